"""Error-driven rounds on a scripted model: what each way to choose draws, samples, learns and counts."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from configs.load import ConfigError, load
from configs.loops import ErrorDriven
from configs.schema import Config
from engine.curate.unleaked import fresh_texts
from engine.preflight.workload import Lengths, Range
from engine.records import Panel, Score, TrainingRow, Turn
from engine.tasks import suite_of
from engine.tasks.fixed import Fixed
from engine.verify.pool import VerifierPool
from loops import aim, curation, error_driven, load_loop, loop_for, weak
from loops import context as context_module
from loops import round as round_module
from loops.loop import Proposal
from loops.spent import Kept
from tests.support.bag_of_words import bag_of_words
from tests.support.kept import Here
from tests.support.provers import PARENT, Prover, Words, chance, config_of, problem_in, round_of
from tests.support.records_files import sums, write_rows
from tests.support.runs import CONFIG, ROOT, journal, rounds
from tests.support.suites import suite

pytestmark = pytest.mark.slow

BUDGET = 600
PASSAGES = {"name": "tests/support/passage_task.py"}


class Parts:
    """Plays rounds, all with one pool of verifiers."""

    def __init__(self, pool: VerifierPool) -> None:
        self.pool = pool

    def __call__(self, home: Path, sampler: Prover | None = None, task: Any = None, **loop: Any) -> Proposal:
        return self.play(home, config_of(home, loop, task), sampler or Prover())

    def play(self, home: Path, config: Config, sampler: Prover, shared: Path | None = None) -> Proposal:
        with round_of(home, config, sampler, self.pool) as context:
            context = replace(context, shared=shared)
            return load_loop(config.loop).propose(context, PARENT, 1, frozenset())


@pytest.fixture(scope="module")
def pool() -> Iterator[VerifierPool]:
    with VerifierPool("rules", num_processes=1, seconds=5.0, memory_mib=512) as pool:
        yield pool


@contextmanager
def light_parts() -> Iterator[None]:
    """No tokenizer and no embedder, but for the round on the real parts."""
    with pytest.MonkeyPatch.context() as patch:
        # The problems by which the leak guard is calibrated take seconds too.
        patch.setattr(context_module, "fresh_texts", lambda suite: {})
        for module in (weak, curation):
            patch.setattr(module, "embedder", lambda: bag_of_words)
        for module in (aim, curation):
            patch.setattr(module, "tokenizer_of", lambda _: Words())
        yield


@pytest.fixture
def propose(pool: VerifierPool) -> Iterator[Parts]:
    with light_parts():
        yield Parts(pool)


def asked(home: Path, stage: str = "sample") -> list[str]:
    """Ids of what a stage's answers are to, each once."""
    lines = (home / "runs" / "r" / "rounds" / "001" / f"{stage}.jsonl").read_text().splitlines()
    return list(dict.fromkeys(json.loads(line)["attempt"]["problem_id"] for line in lines))


def rows(proposal: Proposal) -> tuple[TrainingRow, ...]:
    assert proposal.data is not None
    return proposal.data.rows


def stations(proposal: Proposal) -> dict[str, tuple[int, int]]:
    assert proposal.data is not None and proposal.data.funnel is not None
    return {each.name: (each.num_in, each.num_out) for each in proposal.data.funnel.stations}


def hops_of(row: TrainingRow) -> int:
    return row.chosen.count("\n")


def learnt(proposal: Proposal) -> int:
    """Words of the replies, and the end of each."""
    return sum(len(row.chosen.split()) + 1 for row in rows(proposal))


def test_half_of_the_problems_are_aimed_at_what_the_model_fails(tmp_path: Path, propose: Parts) -> None:
    aimed = propose(tmp_path / "aimed", replies_per_problem=1)
    assert aimed.probe is not None and aimed.probe.num_problems == 120
    weak = {weakness.slice for weakness in aimed.weaknesses}
    assert weak and all(name.startswith("hops=3") for name in weak)
    assert sum(weakness.quota for weakness in aimed.weaknesses) == 40
    ids = asked(tmp_path / "aimed")
    assert len(ids) == 80 and set(ids) <= aimed.seen and len(aimed.seen) == 200
    plain = propose(tmp_path / "plain", replies_per_problem=1, choose="random")
    assert {weakness.slice for weakness in plain.weaknesses} == weak, "it is mined all the same"
    assert not any(weakness.quota for weakness in plain.weaknesses)
    # The rest keeps the mixture: it is the beginning of what is drawn at random.
    assert ids[40:] == asked(tmp_path / "plain")[:40]
    hard, easy = (sum(hops_of(row) == 3 for row in rows(each)) for each in (aimed, plain))
    assert hard > 1.5 * easy
    assert list(stations(aimed))[:7] == [
        "sampled", "not leaked", "decided", "distinct", "parsed", "passed", "kept",
    ]  # fmt: skip
    assert stations(aimed)["sampled"] == (80, 320) and list(stations(aimed))[-1] == "rows"
    for row in rows(aimed):
        assert row.chat[0] == Turn(role="system", text="Prove or refute.")
        assert row.chosen == problem_in(row.chat[-1].text).gold[0], "only what is proved is learnt"
        assert row.weight == 1.0 and not row.rejected


ARMS = ("random", "high_loss", "pass_rate", "diverse", "longest", "placebo")


@pytest.fixture(scope="module")
def arms(
    tmp_path_factory: pytest.TempPathFactory, pool: VerifierPool
) -> dict[str, tuple[Proposal, Prover, Path]]:
    found = {}
    with light_parts():
        for choose in ("targeted", *ARMS):
            home, sampler = tmp_path_factory.mktemp(choose), Prover()
            proposal = Parts(pool)(home, sampler, choose=choose, learnt_tokens=BUDGET)
            found[choose] = proposal, sampler, home
    return found


def test_every_way_to_choose_samples_and_learns_as_much(arms: Any) -> None:
    for proposal, sampler, _ in arms.values():
        assert [num for kind, num in sampler.calls if kind == "sample"] == [120, 320]
        assert BUDGET - 40 < learnt(proposal) <= BUDGET
        assert len(rows(proposal)) < stations(proposal)["passed"][1], "there was something to choose"
    drawn = [asked(home) for name, (_, _, home) in arms.items() if name != "targeted"]
    assert all(ids == drawn[0] for ids in drawn)
    assert {name for name, (_, sampler, _) in arms.items() if ("score" in dict(sampler.calls))} == {
        "high_loss"
    }


def test_ways_to_choose_take_what_they_are_named_for(arms: Any) -> None:
    taken = {name: rows(proposal) for name, (proposal, _, _) in arms.items()}

    def mean(name: str, value: Any) -> float:
        return sum(map(value, taken[name])) / len(taken[name])

    def loss(row: TrainingRow) -> float:
        return 0.1 + 5 * chance(row.chosen)

    assert mean("high_loss", loss) > 1.3 * mean("random", loss)
    assert min(map(hops_of, taken["longest"])) > mean("random", hops_of)
    assert len({row.chosen for row in taken["random"]} ^ {row.chosen for row in taken["diverse"]}) > 4
    solved: Counter[str] = Counter()
    for line in (arms["pass_rate"][2] / "runs/r/rounds/001/sample.jsonl").read_text().splitlines():
        verdict = json.loads(line)["verdict"]
        solved[verdict["problem_id"]] += verdict["status"] == "PASS"

    def from_half(row: TrainingRow) -> float:
        return abs(solved[row.problem_id] / 4 - 0.5)

    assert mean("pass_rate", from_half) < mean("random", from_half) - 0.1


def test_the_placebo_has_the_same_rows_with_the_replies_of_others(arms: Any) -> None:
    plain, placebo = rows(arms["random"][0]), rows(arms["placebo"][0])
    assert [row.chat for row in plain] == [row.chat for row in placebo]
    assert sorted(row.chosen for row in plain) == sorted(row.chosen for row in placebo)
    assert not any(one.chosen == other.chosen for one, other in zip(plain, placebo, strict=True))


def test_aimed_problems_and_others_share_the_budget_evenly(arms: Any) -> None:
    proposal, _, home = arms["targeted"]
    aimed = set(asked(home)[:40])
    own = sum(row.problem_id in aimed for row in rows(proposal))
    assert abs(own - len(rows(proposal)) / 2) <= 2


def test_the_model_writes_variations_of_what_it_failed(tmp_path: Path, propose: Parts) -> None:
    sampler = Prover()
    proposal = propose(tmp_path, sampler, generate="model", variations=4, num_problems=40)
    # Twenty are wanted: four of each of five failed problems, of which one in four is a problem with a truth.
    assert sampler.calls[1] == ("sample", 20)
    counted = stations(proposal)
    assert counted["written"] == (5, 20)
    dropped = {
        name: num_in - num_out for name, (num_in, num_out) in counted.items() if name.startswith("not ")
    }
    assert dropped == {
        "not a repetition": 5, "not contradictory": 5, "not unreadable": 5, "not leaked": 0,
    }  # fmt: skip
    assert counted["sampled"] == (40, 160), "what is missing comes from the task"
    ids = asked(tmp_path)
    judged, failed = set(asked(tmp_path, "probe")), failed_in(tmp_path)
    assert not judged & set(ids)
    written = [row for row in rows(proposal) if row.problem_id in ids[:5]]
    assert written and all(re.search(r"\bN[a-z]+ is ", row.chat[-1].text) for row in written)
    sources = {line["problem_id"] for line in lines_of(tmp_path, "write")}
    assert sources <= failed and len(sources) == 5
    assert len(proposal.written) == 5 and all("is a" in text for text in proposal.written)


def test_nothing_that_leaks_from_what_the_model_wrote_is_judged_on(
    tmp_path: Path, propose: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The guard's fresh problems are drawn once, whatever is judged."""
    with round_of(tmp_path, config_of(tmp_path, {}, None), Prover(), propose.pool) as context:
        drawn = context.suite.draw(30, split="gate", seed=3)
        wrote = Proposal(data=None, seen=frozenset(), written=(drawn[7].text,))
        loop = SimpleNamespace(propose=lambda *_: wrote)
        monkeypatch.setattr(round_module, "load_loop", lambda _: loop)
        round_module._challenger(context, 1, PARENT, frozenset())
        assert "rounds/001/written" in journal(context.run.path)
        for number in (1, 2):  # the challenger of the next round descends from this one
            judging = context.judging(number).draw(30, split="gate", seed=3)
            ids = {problem.id for problem in judging}
            assert len(ids) == 30 and drawn[7].id not in ids and drawn[6].id in ids
        assert context.judging(0) is context.suite and journal(context.run.path).count("fresh") == 1
        earlier = replace(context, begun=replace(context.begun, written=(drawn[6].text,)))
        ids = {problem.id for problem in earlier.judging(0).draw(30, split="gate", seed=3)}
        assert drawn[6].id not in ids and drawn[7].id in ids, (
            "what an earlier campaign wrote and left to this"
        )


def test_variations_of_other_arms_are_of_any_problem(tmp_path: Path, propose: Parts) -> None:
    propose(tmp_path, generate="model", variations=4, num_problems=80, choose="random")
    sources = {line["problem_id"] for line in lines_of(tmp_path, "write")}
    assert len(sources) == 10 and sources - failed_in(tmp_path)


def lines_of(home: Path, stage: str) -> list[Any]:
    file = home / "runs" / "r" / "rounds" / "001" / f"{stage}.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()]


def failed_in(home: Path) -> set[str]:
    return {
        line["verdict"]["problem_id"]
        for line in lines_of(home, "probe")
        if line["verdict"]["status"] == "FAIL"
    }


def test_a_revision_that_passes_is_learnt_under_the_original_prompt(tmp_path: Path, propose: Parts) -> None:
    plain = propose(tmp_path / "plain", choose="random", samples=2)
    proposal = propose(tmp_path / "told", choose="random", samples=2, critique={"num_failures": 12})
    assert asked(tmp_path / "told") == asked(tmp_path / "plain")
    asked_num, mended = stations(proposal)["mended"]
    assert asked_num == 12 and stations(proposal)["revised"][1] == 12 and 3 < mended < 12
    before = {row.problem_id for row in rows(plain)}
    revised = [row for row in rows(proposal) if row.problem_id not in before]
    assert len(revised) == mended
    for row in revised:
        assert "This is an answer" not in row.chat[-1].text
        assert row.chosen == problem_in(row.chat[-1].text).gold[0]
    (panel,) = proposal.panels
    assert isinstance(panel, Panel) and panel.rows[1][:3] == ("wrong, and why", "12", str(mended))
    what, num, untold, _ = panel.rows[2]
    assert (what, num) == ("nothing", "12") and int(untold) < mended
    told_only = propose(tmp_path / "alone", choose="random", samples=2, critique={"control": False})
    assert len(told_only.panels[0].rows) == 2
    assert "rounds/001/revise-untold" not in journal(tmp_path / "alone" / "runs" / "r")


def test_prompts_without_room_for_an_answer_are_not_asked(tmp_path: Path, propose: Parts) -> None:
    config = config_of(tmp_path, {"choose": "random", "samples": 1, "critique": {"num_failures": 99}})
    room = {"max_new_tokens": 40, "max_model_len": 40 + 75}
    tight = config.model_copy(update={"sampler": config.sampler.model_copy(update=room)})
    proposal = propose.play(tmp_path, tight, Prover(skill={1: 0.1, 2: 0.1, 3: 0.1}))
    failures, num_asked = stations(proposal)["revised"]
    assert 0 < num_asked < failures
    asked_again = [name.removesuffix("-told") for name in asked(tmp_path, "revise")]
    drawn = suite_of(tight).draw(80, split="propose-1", seed=3)
    sizes = {problem.id: len(problem.turns[0].split()) for problem in drawn}
    longest = max(sizes[name] for name in asked_again)
    assert longest < max(sizes.values()), "the longest are left out"


def test_rows_can_be_weighted_by_uncertainty(tmp_path: Path, propose: Parts) -> None:
    proposal = propose(tmp_path, choose="random", weigh="uncertainty")
    weights = [row.weight for row in rows(proposal)]
    assert sum(weights) / len(weights) == pytest.approx(1.0)
    by_loss = sorted(rows(proposal), key=lambda row: chance(row.chosen))
    assert [row.weight for row in by_loss] == sorted(weights) and weights != [1.0] * len(weights)


def test_the_filter_keeps_the_likeliest_where_no_verifier_grades(tmp_path: Path, propose: Parts) -> None:
    whole = propose(tmp_path / "all", choose="random")
    best = propose(tmp_path / "best", choose="random", filter={"keep_share": 0.5})
    num = len(rows(whole))
    assert len(rows(best)) == -(-num // 2)
    likeliest = sorted(chance(row.chosen) for row in rows(whole))[: len(rows(best))]
    assert sorted(chance(row.chosen) for row in rows(best)) == pytest.approx(likeliest)


def test_a_resumed_round_asks_nothing_again(tmp_path: Path, propose: Parts) -> None:
    loop = {
        "choose": "high_loss",
        "learnt_tokens": 300,
        "critique": {"num_failures": 5},
        "generate": "model",
    }
    first = propose(tmp_path, **loop)
    again = Prover()
    assert propose(tmp_path, again, **loop) == first
    assert again.calls == []
    stages = [stage.rpartition("/")[2] for stage in journal(tmp_path / "runs" / "r")]
    drawn = ["fresh", "choose"]
    assert stages == ["probe", "mine", "write", "sample", "revise", "revise-untold", "loss", *drawn]


def by_length(texts: Sequence[str]) -> np.ndarray:
    return np.eye(8)[[text.count("\n") - 1 for text in texts]]


def test_found_slices_are_aimed_at_where_they_are_asked_for(
    tmp_path: Path, propose: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weak, "embedder", lambda: by_length)
    sampler = Prover({1: 0.95, 2: 0.95, 3: 0.2})
    proposal = propose(tmp_path, sampler, clusters=3)
    (weakness,) = proposal.weaknesses
    assert not weakness.slice.startswith("hops=") and weakness.quota == 40
    hops = [problem_in(text).slice[:6] for text in sampler.prompts[1]]
    assert hops[:40] == ["hops=3"] * 40 and 0 < hops[40:].count("hops=3") < 30
    aimed = lines_of(tmp_path, "aim")
    assert {line["slice"][:6] for line in aimed} == {"hops=3"}, "the leak guard knows the task's own slices"
    assert proposal.probe and weakness.slice in {each.slice for each in proposal.probe.slices}

    def refuse(texts: Sequence[str]) -> np.ndarray:
        raise AssertionError("a resumed round embeds nothing again")

    monkeypatch.setattr(weak, "embedder", lambda: refuse)
    again = propose(tmp_path, sampler, clusters=3)
    assert replace(again, clusters=None) == replace(proposal, clusters=None)


def test_variations_are_of_what_fails_in_found_slices(
    tmp_path: Path, propose: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weak, "embedder", lambda: by_length)
    sampler = Prover({1: 0.7, 2: 0.7, 3: 0.2})
    proposal = propose(tmp_path, sampler, clusters=3, generate="model", variations=4, num_problems=40)
    assert len(proposal.weaknesses) == 1
    written = [text.partition("\n\n")[0] for text in sampler.prompts[1]]
    assert {problem_in(text).slice[:6] for text in written} == {"hops=3"} and len(written) == 5


@pytest.mark.parametrize(
    ("loop", "hops", "found"),
    [
        ({}, [3], 10),
        ({"clusters": "none"}, [3], 0),
        ({"clusters": 4}, [3], 4),
        ({"probe": {"num_problems": 20}}, [3], 0),
        ({}, [2, 3], 0),
    ],
)
def test_slices_are_found_where_the_task_names_none(
    loop: Any, hops: list[int], found: int, tmp_path: Path, propose: Parts
) -> None:
    cells = {"hops": hops, "negation": [True], "irrelevant": [0], "distractors": [0]}
    proposal = propose(tmp_path, task={"name": "prontoqa", "slices": cells}, **loop)
    assert len(proposal.clusters.found if proposal.clusters else ()) == found
    assert ("rounds/001/clusters" in journal(tmp_path / "runs" / "r")) is bool(found)


def test_trials_of_one_seed_ask_the_model_once(tmp_path: Path, propose: Parts) -> None:
    def play(name: str, shared: Path | None, seed: int = 3, **loop: Any) -> tuple[Proposal, Prover]:
        home, sampler = tmp_path / name, Prover()
        config = config_of(tmp_path / "base", {"learnt_tokens": BUDGET, **loop})
        return propose.play(home, config.model_copy(update={"seed": seed}), sampler, shared), sampler

    shared = tmp_path / "shared"
    calls = {}
    for choose in ("random", "longest", "placebo", "targeted"):
        alone, _ = play(f"{choose}-alone", None, choose=choose)
        proposal, sampler = play(choose, shared, choose=choose)
        assert proposal.data == alone.data and proposal.weaknesses == alone.weaknesses, choose
        calls[choose] = sampler.calls
    asked = [("sample", 120), ("sample", 320)]
    assert calls == {"random": asked, "longest": [], "placebo": [], "targeted": asked[1:]}
    assert play("again", shared, choose="random")[1].calls == []
    assert play("hotter", shared, choose="random", temperature=0.5)[1].calls == asked[1:]
    assert play("other", shared, seed=4, choose="random")[1].calls == asked


def test_trials_share_what_they_read_too(tmp_path: Path, propose: Parts) -> None:
    readers = [Reader(), Reader()]
    for reader, quantile in zip(readers, (0.5, 0.9), strict=True):
        config = config_of(tmp_path / "base", {"choose": "random", "quantile": quantile}, PASSAGES)
        propose.play(tmp_path / f"{quantile}", config, reader, tmp_path / "shared")
    assert [reader.calls for reader in readers] == [[("score", 120), ("score", 80)], []]


class Reader(Prover):
    """Finds what is about the sea unlikely."""

    def likelihood(self, text: str) -> Score:
        num = len(text.split())
        return Score(num * (4.5 if "sea" in text else 2.0 + chance(text)), num, PARENT.id)


def test_passages_that_the_model_finds_unlikely_are_learnt(tmp_path: Path, propose: Parts) -> None:
    proposal = propose(tmp_path, Reader(), PASSAGES, learnt_tokens=BUDGET // 3)
    assert proposal.probe is not None and proposal.probe.headline == "perplexity"
    (weakness,) = proposal.weaknesses
    assert (weakness.slice, weakness.signal, weakness.quota) == ("place=sea", "likelihood", 40)
    assert all(row.chat == () and not row.ends for row in rows(proposal)), "plain text"
    num, weak = len(rows(proposal)), sum("sea" in row.chosen for row in rows(proposal))
    assert 15 < num < 80 and abs(weak - num / 2) <= 2, "unlikely ones and others share the budget in turn"
    assert "weak" not in stations(proposal) and stations(proposal)["no duplicate"][0] == 80
    assert len(proposal.seen) == 200
    (panel,) = proposal.panels
    assert panel.rows[1][0] == "above 50" and panel.rows[1][2] == "90.02"
    assert proposal.read and [each.id for each in proposal.read.passages] == [
        each.problem_id for each in proposal.read.given
    ]


def test_passages_at_random_are_learnt_whatever_they_are(tmp_path: Path, propose: Parts) -> None:
    proposal = propose(tmp_path, Reader(), PASSAGES, choose="random")
    assert len(rows(proposal)) == 80
    aimed = propose(tmp_path / "aimed", Reader(), PASSAGES)
    assert len(rows(aimed)) == 80, (
        "every arm learns as many passages, targeted ones those of weak slices first"
    )
    assert sum("sea" in row.chosen for row in rows(aimed)) > sum(
        "sea" in row.chosen for row in rows(proposal)
    )
    assert {"sea" in row.chosen for row in rows(proposal)} == {True, False}


def test_a_quantile_takes_the_place_of_the_threshold(tmp_path: Path, propose: Parts) -> None:
    proposal = propose(tmp_path, Prover(), PASSAGES, quantile=0.9)
    assert proposal.panels[0].rows[1][1] == "12", "a tenth of the probe"


def test_passages_are_rewritten_by_the_model(tmp_path: Path, propose: Parts) -> None:
    sampler = Reader()
    proposal = propose(tmp_path, sampler, PASSAGES, generate="model", variations=4)
    assert ("sample", 80) in sampler.calls and stations(proposal)["written"] == (20, 80)
    counted = stations(proposal)
    assert [counted[f"not {why}"] for why in ("a repetition", "announced", "cut off")] == [
        (80, 60), (60, 40), (40, 20),
    ]  # fmt: skip
    assert len(rows(proposal)) == 20
    for row in rows(proposal):
        assert row.chosen.startswith("In other words, ") and "sea" in row.chosen and row.chat == ()
        assert row.story and row.story != row.problem_id


@pytest.mark.parametrize(
    ("loop", "task", "sentence"),
    [
        (
            {"choose": "placebo"},
            PASSAGES,
            "loop.choose=placebo needs answers, but task passages has passages",
        ),
        ({"choose": "pass_rate", "learnt_tokens": 9}, PASSAGES, "loop.choose=pass_rate needs answers"),
        ({"critique": {}}, PASSAGES, "loop.critique revises answers, but task passages has passages"),
        (
            {"generate": "model"},
            {"name": "tests/support/toy_task.py"},
            "loop.generate=model needs a task that finds the truth of problems that a model writes",
        ),
    ],
)
def test_what_a_task_cannot_serve_is_refused_before_the_run(loop: Any, task: Any, sentence: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(sentence)) as caught:
        loop_for(config_of(Path("base"), loop, task))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("generate", ["task", "model"])
def test_what_it_can_serve_is_not(generate: str) -> None:
    for task in (None, PASSAGES):
        assert loop_for(config_of(Path("base"), {"generate": generate}, task)).settings.generate == generate


@pytest.mark.parametrize(
    ("loop", "sentence"),
    [
        ({"choose": "longest"}, "choose=longest needs learnt_tokens"),
        ({"train": {"method": "dpo"}}, "train.method must be sft, rft or a method of your own, got dpo"),
        ({"choose": "shortest"}, "loop.choose must be"),
        ({"filter": {"keep_share": 0}}, "loop.filter.keep_share must be greater than 0"),
        ({"critique": {"num_failure": 3}}, "did you mean loop.critique.num_failures?"),
        ({"clusters": 1}, "loop.clusters: it must be auto, none, or a number of slices from 2 on, got 1"),
        ({"clusters": "many"}, "a number of slices from 2 on, got 'many'"),
    ],
)
def test_settings_that_mean_nothing_are_refused(loop: Any, sentence: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(sentence)):
        config_of(Path("base"), loop)


def test_nothing_that_judges_may_be_learnt(tmp_path: Path) -> None:
    file = write_rows(tmp_path / "my.jsonl", sums(60))
    config = config_of(tmp_path, {}, {"name": "records", "file": str(file)})
    records = suite_of(config)
    assert isinstance(records, Fixed)
    kept = Kept(records, tmp_path, config.line, "r")
    context: Any = SimpleNamespace(config=config, suite=kept, measured=("What is it?",))
    protected = set(curation.protected_texts(context))
    assert "What is it?" in protected, "what a trial is measured on"
    for part in ("train", "probe", "gate", "sealed"):
        asked = {record.problem.turns[0] for record in kept.records(part)}
        assert asked and (asked <= protected if part in ("gate", "sealed") else not asked & protected)
    assert not (tmp_path / "registry").exists(), "to look at a record does not use it"
    made: Any = SimpleNamespace(config=config, suite=suite(), measured=())
    sentinels = curation.protected_texts(made)
    assert len(sentinels) > 300 and set(sentinels) < protected


def test_what_decides_on_carrying_may_not_be_learnt_either(tmp_path: Path) -> None:
    file = write_rows(tmp_path / "my.jsonl", sums(60))
    config = config_of(tmp_path, {}, {"name": "records", "file": str(file)})
    carried = config.model_copy(update={"stop": config.stop.model_copy(update={"rounds": 2})})
    records = suite_of(config)
    assert isinstance(records, Fixed)
    kept = Kept(records, tmp_path, config.line, "r")
    own, *others = [record.problem for record in kept.records("probe")]
    for each, asked in ((config, False), (carried, True)):
        context: Any = SimpleNamespace(config=each, suite=kept, measured=())
        protected = set(curation.protected_texts(context, {own.id}))
        assert own.text not in protected, "variations of it are learnt"
        assert all((other.text in protected) is asked for other in others)


def test_records_are_guarded_though_they_are_all_that_there_is_to_calibrate_by(tmp_path: Path) -> None:
    said = "Please read the next words with great care before you try to answer: which fruit has number {}"
    rows = [
        {"prompt": f"{row['prompt']} Think of {i}.", "answer": row["answer"]}
        for i, row in enumerate(sums(60))
    ]
    rows += [
        {"prompt": f"{said.format(7)} {end}?", "answer": 1, "split": split}
        for end, split in (("a", "train"), ("b", "gate"))
    ]
    config = config_of(
        tmp_path, {}, {"name": "records", "file": str(write_rows(tmp_path / "my.jsonl", rows))}
    )
    records = suite_of(config)
    assert isinstance(records, Fixed)
    context: Any = SimpleNamespace(
        config=config,
        suite=Kept(records, tmp_path, config.line, "r"),
        fresh=lambda: fresh_texts(records),
        measured=(),
    )
    end = curation.Curation(aim=SimpleNamespace(context=context))  # type: ignore[arg-type]
    leak = end._guard(None).leak(f"{said.format(7)} a?", "all")
    assert leak is not None and leak.kind == "ngram"


def test_the_shipped_config_has_three_rare_slices_of_twelve() -> None:
    config = load(ROOT / "configs" / "error-driven.yaml")
    loop = loop_for(config).settings
    assert isinstance(loop, ErrorDriven) and loop.learnt_tokens
    drawn = suite_of(config).draw(1200, split="gate", seed=0)
    counts = Counter(problem.slice for problem in drawn)
    assert len(counts) == 12
    rare = [name for name, num in counts.items() if num < 40]
    assert len(rare) == 3 and all("hops=3" in name for name in rare)
    assert min(num for name, num in counts.items() if name not in rare) > 90
    for choose in ("targeted", *ARMS):
        load(ROOT / "configs" / "error-driven.yaml", [f"loop.choose={choose}"])


LENGTHS = Lengths(prompt=Range(100, 200), answer=Range(20, 50))


def test_the_work_of_a_round_is_known_before_it() -> None:
    settings = ErrorDriven(probe={"num_problems": 10}, num_problems=40, samples=4, replies_per_problem=2)
    work = {each.stage: each for each in error_driven.work(settings, LENGTHS)}
    assert list(work) == ["probe", "sample", "train", "closing"]
    assert work["sample"].requests == Range(160, 160)
    assert work["train"].trained_tokens.high == 80 * 250
    more = ErrorDriven(
        probe={"num_problems": 10},
        num_problems=40,
        generate="model",
        critique={},
        weigh="uncertainty",
        learnt_tokens=400,
    )
    work = {each.stage: each for each in error_driven.work(more, LENGTHS)}
    assert list(work) == ["probe", "write", "sample", "revise", "loss", "train", "closing"]
    assert work["loss"].prompt_tokens.high == (80 + 60) * 250
    assert (work["write"].requests.high, work["write"].prompt_tokens.high) == (20, 4 * 200)
    assert work["revise"].requests == Range(0, 120)
    assert work["train"].trained_tokens.high == 20 * 250, "twenty replies of twenty tokens"
    passages = Lengths(prompt=Range(100, 200), answer=Range(0, 0))
    stages = [each.stage for each in error_driven.work(settings, passages)]
    assert stages == ["probe", "score", "train", "closing", "probe-after"]


def test_the_example_is_a_row_as_it_is_learnt() -> None:
    row = error_driven.example(ErrorDriven(), suite(), "Prove.")
    assert row.chosen == problem_in(row.chat[-1].text).gold[0] and row.weight == 1.0
    passage = error_driven.example(ErrorDriven(), suite(PASSAGES["name"]), "")
    assert passage.chat == () and passage.chosen.endswith("that year.")


def test_a_round_on_the_real_parts(tiny_model: Path, tmp_path: Path, here: Here) -> None:
    loop = {
        "name": "error_driven",
        "probe": {"num_problems": 16},
        "choose": "high_loss",
        "num_problems": 24,
        "samples": 4,
        "temperature": 0.25,
        "replies_per_problem": 1,
        "learnt_tokens": 20,
        "weigh": "uncertainty",
        "critique": {"num_failures": 4},
        "train": {"method": "rft", "learning_rate": 5e-3, "epochs": 2, "batch_size": 8, "dtype": "float32"},
    }
    small = ("stop.rounds=1", "baseline=null", "final.num_problems=8", "gate.sentinels.suites=[english]")
    start = ("run", CONFIG, f"base={tiny_model}", "run_id=r", f"loop={json.dumps(loop)}", *small)
    here(tmp_path, *start)
    run = tmp_path / "runs" / "r"
    record = rounds(run)[1]
    assert record.challenger is not None and record.challenger.method == "rft", record.failure
    assert record.funnel is not None and record.decision.looks
    # What the sampler scores of a reply is what the trainer learns of it: the word, and the end of the turn.
    scored = lines_of(tmp_path, "loss")
    assert scored and {line["num_tokens"] for line in scored} == {2}
    assert all(0 < line["nll"] < 50 for line in scored)
    data = json.loads((run / "rounds" / "001" / "choose.json").read_text())
    nats = {line["problem_id"]: line["nll"] for line in scored}
    chosen = [nats[row["problem_id"]] for row in data["rows"]]
    assert len(chosen) == 10 and min(chosen) >= sorted(nats.values(), reverse=True)[9]
    assert sum(row["weight"] for row in data["rows"]) == pytest.approx(10)
    assert record.funnel.station("chosen").why.endswith("20 tokens are learnt in an epoch, at most 20")
    stages = [stage.rpartition("/")[2] for stage in journal(run) if "rounds/001/" in stage]
    revised = ["revise", "revise-untold"]
    assert stages[:8] == ["probe", "mine", "sample", *revised, "loss", "choose", "train"]
    assert journal(run).count("fresh") == 1
    assert record.panels[0].title == "Self-critique" and "Self-critique" in (run / "report.html").read_text()

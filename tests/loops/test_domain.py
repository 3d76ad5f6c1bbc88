"""A user's examples are learnt, then their preferences, and what is added later: on scripted models, and once
on the real parts."""

import json
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from configs.load import ConfigError, load
from configs.schema import Config
from configs.tasks import DomainTask
from engine.corpus.quality import score_of
from engine.disk import steps
from engine.models.identity import Model
from engine.plan.placement import Cluster
from engine.plan.plan import make_plan
from engine.preflight.blocks import examine_records, require_records
from engine.preflight.workload import Lengths, Range
from engine.records import (
    Answer,
    Challenger,
    Check,
    Duel,
    End,
    RoundRecord,
    Status,
    TrainingRow,
    TrainingSet,
    from_json,
    to_json,
)
from engine.registry.registry import Registry
from engine.registry.spent import spent_by
from engine.tasks import suite_of
from engine.tasks.domain import examples_of
from engine.tasks.fixed import Fixed
from engine.tasks.snapshots import snapshot_of
from engine.tasks.suite import DataError
from engine.verify.pool import VerifierPool
from loops import load_loop, loop_for
from loops.curated import curate_files, on_snapshot
from loops.learnt import learnt_by
from loops.loop import Proposal
from loops.ready import require_ready
from tests.support import tram_stops
from tests.support.domain_files import chat, curated, questions
from tests.support.kept import Here
from tests.support.learners import (
    LINE,
    Learner,
    campaign,
    config_of,
    examples,
    number_in,
    play,
    preferences,
    reply,
    sets,
)
from tests.support.plans import dry_plan
from tests.support.records_files import write_rows
from tests.support.registry import decision, manifest
from tests.support.runs import journal, rounds
from tests.support.scripted_campaign import manifest_of
from tests.support.sleepers import challenger_of, model_of

pytestmark = pytest.mark.slow

TINY = "tests/support/tiny_domain.yaml"


@pytest.fixture(scope="module")
def pool() -> Iterator[VerifierPool]:
    """One for all campaigns but those that are interrupted, which leave answers in theirs."""
    with VerifierPool("exact", num_processes=1, seconds=30.0, memory_mib=512) as made:
        yield made


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading the versions of all packages takes longer than a campaign."""
    monkeypatch.setattr(steps, "environment_of", lambda _: {})


def taught(home: Path, number: int, run_id: str = "r") -> TrainingSet:
    file = home / "runs" / run_id / "rounds" / f"{number:03d}" / "examples.json"
    return from_json(TrainingSet, file.read_bytes())


def numbers(rows: Sequence[TrainingRow]) -> set[int]:
    return {number_in(row.chat[-1].text) for row in rows}


def stations(record: RoundRecord) -> dict[str, tuple[int, int]]:
    assert record.funnel is not None
    return {each.name: (each.num_in, each.num_out) for each in record.funnel.stations}


def proposed(
    home: Path, config: Config, pool: VerifierPool, learner: Learner | None = None, **parts: Any
) -> Proposal:
    """What the first round proposes to a model that knows ten things, of which nobody knows who taught it."""
    parent = Model(id="m050", path=model_of(home, "m050", [[str(each)] for each in range(10)]))
    with campaign(home, config, learner or Learner(), pool=pool) as context:
        return load_loop(config.loop).propose(replace(context, **parts), parent, 1, frozenset({"before"}))


def ids(data: TrainingSet) -> set[str]:
    return {row.problem_id for row in data.rows}


def rows(proposal: Proposal) -> tuple[TrainingRow, ...]:
    assert proposal.data is not None
    return proposal.data.rows


def test_examples_then_preferences_each_through_the_gate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pool: VerifierPool
) -> None:
    sets(tmp_path, [*examples(range(30)), *preferences(range(30, 60))])
    records, keys = play(tmp_path, config_of(tmp_path), monkeypatch, pool=pool)
    assert [record.end for record in records] == [End.PROVEN, End.PROVEN]
    assert keys == ["loop.sft", "loop.dpo"]
    first, second = taught(tmp_path, 1), taught(tmp_path, 2)
    assert (len(first.rows), numbers(first.rows)) == (60, set(range(30)))
    assert (len(second.rows), numbers(second.rows)) == (30, set(range(30, 60)))
    assert not any(row.rejected for row in first.rows) and all(row.rejected for row in second.rows)
    assert all(row.chosen == reply(number_in(row.chat[-1].text)) for row in (*first.rows, *second.rows))
    assert [stations(record) for record in records] == [
        {"new": (60, 60), "replayed": (0, 0)},
        {"new": (30, 30), "replayed": (0, 0)},
    ]
    assert spent_by(tmp_path, LINE)["train"] >= ids(first) | ids(second), "this line judges on none of it"
    assert learnt_by(tmp_path, LINE, "m002", "sft", "r") == ids(first)
    assert learnt_by(tmp_path, LINE, "m002", "dpo", "r") == ids(second)
    assert learnt_by(tmp_path, LINE, "m000", "sft", "r") == frozenset()


def test_what_a_refused_round_was_to_teach_is_taught_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pool: VerifierPool
) -> None:
    sets(tmp_path, examples(range(30)))
    config = config_of(tmp_path, loop={"schedule": ["sft"]})
    records, _ = play(tmp_path, config, monkeypatch, dull={1}, pool=pool)
    assert [record.end for record in records] == [End.DROPPED, End.PROVEN]
    assert stations(records[1]) == stations(records[0]) == {"new": (60, 60), "replayed": (0, 0)}
    assert ids(taught(tmp_path, 2)) == ids(taught(tmp_path, 1))


def test_what_is_added_later_comes_beside_a_share_of_the_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pool: VerifierPool
) -> None:
    sets(tmp_path, examples(range(30)))
    play(tmp_path, config_of(tmp_path, 1), monkeypatch, pool=pool)
    before = ids(taught(tmp_path, 1))
    sets(tmp_path, [*examples(range(30)), *examples(range(30, 54))])
    config = config_of(tmp_path, 1, loop={"replay": 0.25}, budget="new")
    records, _ = play(tmp_path, config, monkeypatch, run_id="s", first=2, pool=pool)
    assert stations(records[0]) == {"new": (48, 48), "replayed": (60, 16)}
    new, old = taught(tmp_path, 1, "s").rows[:48], taught(tmp_path, 1, "s").rows[48:]
    assert numbers(new) == set(range(30, 54))
    replayed = {row.problem_id for row in old}
    assert len(replayed) == 16 and replayed <= before
    later = ids(taught(tmp_path, 1, "s"))
    assert learnt_by(tmp_path, LINE, "m002", "sft", "r") == before | later
    # What a training held back is new to its model.
    trained = tmp_path / "runs/r/rounds/001/train.json"
    kept, held = trained.read_text(), min(before)
    trained.write_text(to_json(replace(from_json(Challenger, kept), not_learnt=(held,))))
    assert learnt_by(tmp_path, LINE, "m002", "sft", "r") == (before | later) - ({held} - later)
    trained.write_text(kept)
    # What a run taught that is no longer there is learnt again, and a damaged file is no guess.
    file = tmp_path / "runs/r/rounds/001/examples.json"
    file.unlink()
    assert learnt_by(tmp_path, LINE, "m002", "sft", "r") == later
    # Of a model that no event names, what the run under way taught its warm start.
    gold = tmp_path / "runs/x/rounds/000/gold.json"
    gold.parent.mkdir(parents=True)
    gold.write_text(to_json(taught(tmp_path, 1, "s")))
    registry = Registry(tmp_path)
    registry.add(model_of(tmp_path, "m009", []), manifest("m009"))
    assert learnt_by(tmp_path, LINE, "m009", "sft", "x") == later
    assert not learnt_by(tmp_path, LINE, "m009", "dpo", "x") | learnt_by(tmp_path, LINE, "m009", "sft", "s")
    file.write_text('{"id": 3}')
    with pytest.raises(DataError, match="001/examples.json holds no training set: .*; restore it, or remove"):
        learnt_by(tmp_path, LINE, "m002", "sft", "r")


def test_with_nothing_new_there_is_nothing_to_learn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pool: VerifierPool
) -> None:
    sets(tmp_path, examples(range(30)))
    config = config_of(tmp_path, 2, loop={"schedule": ["sft"]})
    records, keys = play(tmp_path, config, monkeypatch, pool=pool)
    assert keys == ["loop.sft"] and records[1].failure is not None
    assert records[1].failure.reason == "the loop found nothing to learn"
    assert records[1].decision.level == 0, "it costs no error budget"


def test_a_campaign_goes_on_with_the_sets_that_it_began_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pool: VerifierPool
) -> None:
    train = [*examples(range(30)), *preferences(range(30, 60))]
    whole, home = tmp_path / "whole", tmp_path / "broken"
    for each in (whole, home):
        sets(each, train)
    play(whole, config_of(whole), monkeypatch, pool=pool)
    config = on_snapshot(config_of(home), home)
    assert on_snapshot(config_of(home), home) == config, "what is kept is not written again"
    with pytest.raises(KeyboardInterrupt):
        play(home, config, monkeypatch, Learner(interrupted=3))
    # Whatever is curated meanwhile: of what it is learning nothing is left.
    sets(home, preferences(range(70, 80)))
    again, _ = play(home, config, monkeypatch, pool=pool)
    assert len(again) == 2
    assert all(taught(home, number) == taught(whole, number) for number in (1, 2))


def test_what_a_run_keeps_of_a_directory_is_named_by_its_content(tmp_path: Path) -> None:
    curated_there = shipped(tmp_path / "curated")
    kept = on_snapshot(curated_there, tmp_path / "home").task
    assert isinstance(kept, DomainTask) and kept.files == []
    card = json.loads((tmp_path / "curated" / "card.json").read_text())
    folder = Path(kept.directory)
    assert folder == tmp_path / "home" / "snapshots" / card["snapshot"]
    assert sorted(each.name for each in folder.iterdir()) == [
        "card.html",
        "card.json",
        "test.jsonl",
        "train.jsonl",
        "validation.jsonl",
    ]
    snapshot = snapshot_of(kept, tmp_path / "home")
    assert snapshot and snapshot.told()[0] == (
        f"Curated data, snapshot {card['snapshot']}: train 507, validation 46, test 215, of 768 lines of "
        "configs/domain.jsonl."
    )
    assert snapshot_of(curated_there.task, tmp_path / "home") is None
    with (folder / "train.jsonl").open("a") as file:
        file.write("\n")
    with pytest.raises(DataError, match="was changed since a run kept it: restore it, or remove it"):
        on_snapshot(curated_there, tmp_path / "home")
    other = load("configs/quickstart.yaml")
    assert on_snapshot(other, tmp_path / "home") is other and snapshot_of(other.task, tmp_path) is None
    (tmp_path / "curated" / "test.jsonl").unlink()
    with pytest.raises(DataError, match="is no curated directory: it has no test.jsonl; `ratchet doctor`"):
        on_snapshot(curated_there, tmp_path / "home")


def test_a_rejected_reply_that_changes_is_another_set(tmp_path: Path) -> None:
    sets(tmp_path, preferences(range(3)))
    before = suite_of(config_of(tmp_path)).digest  # type: ignore[attr-defined]
    changed = [row | {"rejected": "No idea."} for row in preferences(range(3))]
    sets(tmp_path, changed[::-1])
    assert suite_of(config_of(tmp_path)).digest != before  # type: ignore[attr-defined]


@pytest.mark.parametrize("calls", [1, 3])
def test_an_interrupted_campaign_comes_to_the_same_rows_and_decisions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pool: VerifierPool, calls: int
) -> None:
    train = [*examples(range(30)), *preferences(range(30, 60))]
    whole, home = tmp_path / "whole", tmp_path / "broken"
    for each in (whole, home):
        sets(each, train)
    records, _ = play(whole, config_of(whole), monkeypatch, pool=pool)
    config = config_of(home)
    with pytest.raises(KeyboardInterrupt):
        play(home, config, monkeypatch, Learner(interrupted=calls))
    again, _ = play(home, config, monkeypatch, pool=pool)
    assert [record.decision.looks for record in again] == [record.decision.looks for record in records]
    assert all(taught(home, number) == taught(whole, number) for number in (1, 2))
    assert spent_by(home, LINE) == spent_by(whole, LINE)
    done = Learner()
    play(home, config, monkeypatch, done, pool=pool)
    assert done.calls == [] and max(Counter(journal(home / "runs" / "r")).values()) == 1


def test_chats_are_learnt_with_what_was_said_before_and_the_campaigns_system_message(
    tmp_path: Path, pool: VerifierPool
) -> None:
    told = chat("What is thing 3?", "It is a toy.", "Sure about thing 3?", "It is gadget 21.")
    spoken = {"system": "Be brief.", "prompt": "Thing 4, in short?", "response": "It is gadget 28."}
    sets(tmp_path, [told, spoken, *examples([5])])
    config = config_of(tmp_path, system="You know things.")
    found = {row.chat[-1].text: row for row in rows(proposed(tmp_path, config, pool))}
    assert [(turn.role, turn.text) for turn in found["Sure about thing 3?"].chat] == [
        ("system", "You know things."),
        ("user", "What is thing 3?"),
        ("assistant", "It is a toy."),
        ("user", "Sure about thing 3?"),
    ]
    assert found["Sure about thing 3?"].chosen == "It is gadget 21."
    assert found["Thing 4, in short?"].chat[0].text == "Be brief.", "its own message stays"
    assert len(found) == 4


def test_rows_say_what_curation_has_linked(tmp_path: Path, pool: VerifierPool) -> None:
    sets(tmp_path, [each | {"cluster": "c7"} for each in examples([5])] + examples([6], ["Name thing {}."]))
    found = rows(proposed(tmp_path, config_of(tmp_path), pool))
    assert [row.cluster for row in sorted(found, key=lambda row: row.chosen)] == ["c7", "c7", ""]


def test_which_come_first_is_for_the_config_to_say(tmp_path: Path, pool: VerifierPool) -> None:
    lengths = [3, 9, 1, 30, 14, 6, 20]
    told = [
        {"prompt": f"Thing {at}?", "response": " ".join(f"word{at}x{i}" for i in range(num))}
        for at, num in enumerate(lengths)
    ]
    sets(tmp_path, told)
    task = config_of(tmp_path).task
    assert isinstance(task, DomainTask)
    scores = {each[0].prompt: score_of(each[0]) for each in examples_of(task).values()}
    by_score = sorted(scores, key=lambda prompt: -scores[prompt])
    assert len(set(scores.values())) == len(lengths)

    def first(choose: str, num: int = 3, seed: int = 3) -> list[str]:
        home = tmp_path / f"{choose}-{num}-{seed}"
        sets(home, told)
        config = config_of(home, loop={"choose": choose, "num_examples": num}, seed=seed)
        return [row.chat[-1].text for row in rows(proposed(home, config, pool))]

    assert first("longest") == ["Thing 3?", "Thing 6?", "Thing 4?"]
    assert first("best") == by_score[:3] and first("worst") == by_score[::-1][:3]
    assert first("middle")[0] == by_score[3] and set(first("middle", 5)) == set(by_score[1:6])
    assert first("random", 7, 4) != first("random", 7, 5), "the seed decides"
    assert sorted(first("random", 9)) == sorted(scores), "there are no more"


class Longest:
    """Implements `engine.gate.preference.Judge`: the longer reply is better, and of equal ones neither."""

    decides = False

    def settled(self, duels: Sequence[Duel]) -> list[Duel]:
        return [self._settled(duel) for duel in duels]

    def _settled(self, duel: Duel) -> Duel:
        sides = [side for side in (duel.champion, duel.challenger) if isinstance(side, Answer)]
        most = max(len(side.attempt.text) for side in sides)
        old, new = (
            replace(side, verdict=replace(side.verdict, status=PASSES[len(side.attempt.text) == most]))
            for side in sides
        )
        return replace(duel, champion=old, challenger=new)

    def advice(self, duels: Sequence[Duel], *, proves: bool) -> list[Check]:
        return []


PASSES = {True: Status.PASS, False: Status.FAIL}
ONLINE = {"schedule": ["dpo"], "online": {"num_problems": 40, "samples": 4}}


def test_pairs_of_the_parents_own_replies_are_ranked_by_the_scorer(
    tmp_path: Path, pool: VerifierPool
) -> None:
    told = chat("Hi 1.", "Ho.", "And 2?", "Yes.")
    sets(tmp_path, [*examples(range(20)), *preferences(range(30, 36)), told])
    learner = Learner()
    proposal = proposed(tmp_path, config_of(tmp_path, loop=ONLINE), pool, learner)
    assert proposal.train == "loop.dpo"
    assert learner.calls == [("m050", 40)] and "And 2?" not in learner.asked, "what stands alone is asked"
    own = [row for row in rows(proposal) if "toy" in row.rejected]
    assert numbers(own) == set(range(10)), "of what it knows some samples are right, of the rest none"
    assert all(row.chosen == reply(number_in(row.chat[-1].text)) for row in own)
    assert rows(proposal)[: len(own)] == tuple(own) and len(rows(proposal)) == len(own) + 6
    assert {"before", *(row.problem_id for row in own)} <= proposal.seen
    # They are replies to questions, whose own replies are not learnt by that.
    assert proposal.data is not None
    registry, made = Registry(tmp_path), challenger_of("m060", "m000", proposal.data, 106.0)
    registry.add(model_of(tmp_path, "m060", []), manifest_of(made))
    registry.refuse(LINE, "m060", run_id="r", round=1, decision=decision(False))
    assert not learnt_by(tmp_path, LINE, "m060", "sft", "r")
    assert learnt_by(tmp_path, LINE, "m060", "dpo", "r") == ids(proposal.data)


def test_a_judge_ranks_two_replies_to_each_question_where_the_config_names_one(
    tmp_path: Path, pool: VerifierPool
) -> None:
    sets(tmp_path, examples(range(20)))
    config, learner = config_of(tmp_path, loop=ONLINE), Learner()
    proposal = proposed(tmp_path, config, pool, learner, judge=Longest())
    assert learner.calls == [("m050", 40)] and len(learner.asked) == 80
    # "It is gadget 0." is longer than "It is toy 1.", and two toys are as long as each other.
    assert numbers(rows(proposal)) == set(range(10)) and len(rows(proposal)) == 20
    assert {row.rejected for row in rows(proposal)} == {"It is toy 1."}
    done = [stage.rpartition("/")[2] for stage in journal(tmp_path / "runs" / "r")]
    assert done[-3:] == ["own-replies", "own-replies-judged", "examples"]
    again = Learner()
    assert proposed(tmp_path, config, pool, again, judge=Longest()) == proposal and again.calls == []


def test_without_a_question_that_stands_alone_nobody_is_asked(tmp_path: Path, pool: VerifierPool) -> None:
    sets(tmp_path, [chat("Hi 1.", "Ho.", "And 2?", "Yes."), *preferences(range(3))])
    learner = Learner()
    assert len(rows(proposed(tmp_path, config_of(tmp_path, loop=ONLINE), pool, learner))) == 3
    assert learner.calls == []


def test_another_task_is_refused_and_so_is_a_budget_that_the_sets_do_not_hold(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="and task prontoqa is not that: set task.name=domain"):
        loop_for(load("configs/quickstart.yaml", ["loop={name: domain}"]))
    sets(tmp_path, examples(range(5)))
    config = config_of(tmp_path, gate={"looks": 12, "look_size": 50, "carry": False})
    with pytest.raises(DataError) as error:
        require_records(config, suite_of(config), tmp_path)
    assert "a larger share (task.curation.shares.test and task.sealed with another task.directory" in str(
        error.value
    )
    spoken = [chat("Hi 1.", "Ho.", "And 2?", "Yes."), *questions(3)]
    curated(tmp_path / "chats", spoken, questions(9, 30), questions(200, 50))
    task = config.task.model_copy(update={"directory": str(tmp_path / "chats")})
    asking = config_of(tmp_path, baseline={"num_problems": 5}).model_copy(update={"task": task})
    with pytest.raises(
        DataError, match="examples that go on with a chat cannot be shown: set baseline.shots=0"
    ):
        require_records(asking, suite_of(asking), tmp_path)


def test_a_method_that_is_not_named_is_that_for_the_users_own_replies(tmp_path: Path) -> None:
    config = config_of(tmp_path, loop={"sft": {"learning_rate": 0.1}, "schedule": ["dpo", "sft"]})
    assert {key: train.method for key, train in config.loop.trains.items()} == {
        "loop.dpo": "dpo",
        "loop.sft": "sft",
    }
    assert config_of(tmp_path, loop={"schedule": ["dpo"]}).loop.trains.keys() == {"loop.dpo"}


LENGTHS = Lengths(prompt=Range(20, 40), answer=Range(8, 20))


def test_the_work_of_a_round_is_one_of_its_trainings_and_own_replies(tmp_path: Path) -> None:
    loop = {"num_examples": 75, "replay": 0.25} | {"online": {"num_problems": 10, "samples": 3}}
    settings = config_of(tmp_path, loop=loop).loop
    asked, sft, dpo = load_loop(settings).work(LENGTHS)
    assert (asked.stage, asked.requests) == ("own replies", (0, 30))
    assert (sft.training, dpo.training) == ("loop.sft", "loop.dpo")
    # A hundred rows of up to sixty tokens; of pairs both texts, and two pairs of each question besides.
    assert sft.trained_tokens == (0, 100 * 60) and dpo.trained_tokens == (0, 120 * 60 * 2)


def shipped(directory: Path, *overrides: str) -> Config:
    config = load("configs/domain.yaml", [f"task.directory={directory}", *overrides])
    curate_files(config)
    return config


def test_the_shipped_file_is_what_its_script_writes() -> None:
    assert tram_stops.FILE.read_text() == tram_stops.text()
    told = list(tram_stops.rows())
    assert len({row["prompt"] for row in told}) == len(told) == len({row["id"] for row in told}) == 768
    facts = Counter(row["id"].rpartition("/")[0] for row in told)
    assert len(facts) == 96 and set(facts.values()) == {8}
    pairs = [row for row in told if "chosen" in row]
    assert len(pairs) == 192 and all(row["chosen"] != row["rejected"] for row in pairs)
    right = {row["id"].rpartition("/")[0]: row["response"] for row in told if "response" in row}
    assert all(row["chosen"] == right[row["id"].rpartition("/")[0]] for row in pairs)
    assert {row["rejected"] for row in pairs}.isdisjoint(right.values())


def test_the_shipped_file_survives_curation_and_suffices_for_the_shipped_campaign(tmp_path: Path) -> None:
    config = shipped(tmp_path / "curated")
    card = json.loads((tmp_path / "curated" / "card.json").read_text())
    assert card["splits"] == {"train": 507, "validation": 46, "test": 215}
    assert card["settings"]["length"] == {"model": None, "max_tokens": 256}, (
        "the least that is learnt or read"
    )
    assert (tmp_path / "curated" / "removed.jsonl").read_text() == ""
    suite, home = suite_of(config), tmp_path / "home"
    assert isinstance(suite, Fixed)
    needed = {each.what: each.found for each in examine_records(config, suite, home)}
    assert "140 needed (2 tests of gate.looks 3 x look_size 18" in needed["gate"]
    require_ready(config, home, "r")
    learnt = {record.problem.origin.rpartition("/")[0] for record in suite.records("train")}
    assert len(learnt) == 96, "what is judged was learnt in other wordings"


def test_curating_again_changes_nothing_and_other_tasks_are_left_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = suite_of(shipped(tmp_path / "curated")).digest  # type: ignore[attr-defined]
    with caplog.at_level(logging.INFO):
        after = suite_of(shipped(tmp_path / "curated")).digest  # type: ignore[attr-defined]
    assert before == after and "train 507, validation 46, test 215" in caplog.text
    curate_files(load("configs/quickstart.yaml"))
    curate_files(load("configs/domain.yaml", ["task.files=[]", f"task.directory={tmp_path / 'no'}"]))
    assert not (tmp_path / "no").exists()


def test_the_shipped_campaign_is_planned_with_both_trainings(tmp_path: Path) -> None:
    config = shipped(tmp_path / "curated", "loop.online={num_problems: 20}")
    cluster = Cluster(nodes=1, gpus_per_node=0, gpu_memory=0, cpus_per_node=2, memory_per_node=None)
    plan = make_plan(config, cluster.machine(), tmp_path)
    assert list(plan.workers) == ["loop.sft", "loop.dpo"]
    stages = [stage.work.stage for stage in dry_plan(config, cluster).stages]
    assert {"own replies", "train, loop.sft", "train, loop.dpo", "gate, by looks"} <= set(stages)
    row = load_loop(config.loop).example(suite_of(config), "")
    assert row.chosen and row.rejected and row.chat[-1].role == "user"


def data(folder: Path, name: str, start: int, num: int) -> Path:
    """Questions whose answer is always `yes`, of which every fifth has a worse one beside it."""
    return write_rows(
        folder / name,
        [
            {"prompt": f"Is {i} about cats?", "chosen": "yes", "rejected": "no", "id": f"p{i}"}
            if i % 5 == 0
            else {"prompt": f"Is {i} about cats?", "response": "yes", "id": f"q{i}"}
            for i in range(start, start + num)
        ],
    )


def test_from_a_file_to_two_judged_rounds_and_on_with_a_further_file(
    tiny_model: Path, tmp_path: Path, here: Here
) -> None:
    home, out = tmp_path / "home", tmp_path / "curated"
    first, second = data(tmp_path, "a.jsonl", 0, 500), data(tmp_path, "b.jsonl", 500, 120)
    given = ["run", TINY, f"base={tiny_model}", f"task.directory={out}"]
    said = here(home, *given, f"task.files=[{first}]", "run_id=a", "--json")
    assert json.loads(said.strip().splitlines()[-1])["rounds"] == 2
    run, records = home / "runs" / "a", rounds(home / "runs" / "a")
    (kept,) = (each for each in (home / "snapshots").iterdir() if each.is_dir())
    assert kept.name in (run / "config.yaml").read_text()
    assert [record.round for record in records] == [0, 1, 2]
    methods = [record.challenger.method for record in records[1:] if record.challenger]
    assert methods == ["sft", "dpo"] and max(Counter(journal(run)).values()) == 1
    metrics = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert any("validation_loss" in entry for entry in metrics if entry["round"] == 1)
    learnt = [taught(home, number, "a").rows for number in (1, 2)]
    assert len(learnt[0]) > 150 and not any(row.rejected for row in learnt[0])
    assert len(learnt[1]) > 30 and all(row.rejected == "no" for row in learnt[1])
    spent = spent_by(home, "domain/tiny")
    assert not (spent.get("gate", frozenset()) | spent["sealed"]) & spent["train"]
    assert "<html" in (run / "report.html").read_text()

    # Resumed, it does nothing; a further file is learnt beside what the champion has learnt.
    here(home, "resume", "a")
    assert spent_by(home, "domain/tiny") == spent
    champion = Registry(home).champion("domain/tiny")
    before = learnt_by(home, "domain/tiny", champion, "sft", "r")
    assert bool(before) == records[1].decision.accepted
    more = ["start=champion", "budget=new", "stop.rounds=1", "baseline=null", "gate.look_size=4"]
    more += ["gate.pass_at_k.num_problems=4", "final.num_problems=4"]
    here(home, *given, f"task.files=[{first},{second}]", "run_id=b", *more)
    new = {row.problem_id for row in taught(home, 1, "b").rows} - before
    assert new and new.isdisjoint(before)
    if before:
        assert 30 < len(new) < 70 and len(taught(home, 1, "b").rows) > len(new), "some of the old is replayed"

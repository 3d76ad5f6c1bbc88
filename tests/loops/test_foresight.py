"""A round with a predictor: what it samples again, when the predictor decides, and what a resume does."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from configs.load import ConfigError, load
from configs.loops import OakDpo
from engine.predict import predictor
from engine.predict.states import Marked, States, StatesLost
from engine.preflight.workload import Lengths, Range
from engine.records import Foresight, from_json
from engine.sample.protocol import Request
from engine.verify.pool import VerifierPool
from loops import load_loop
from loops.loop import Proposal
from tests.support.kept import Here
from tests.support.provers import PARENT, Prover, chance, config_of, problem_in, round_of
from tests.support.runs import CONFIG, ROOT, journal, rounds

pytestmark = pytest.mark.slow

LOOP = {
    "name": "oak_dpo",
    "probe": {"num_problems": 40},
    "aim": "uniform",
    "num_problems": 120,
    "samples": 4,
    "predictor": {"allocate": {"first": 2, "more": 4}},
}


class Stumbler(Prover):
    """Proves each line of a problem with a chance of the problem's own, and never the same twice."""

    def text(self, request: Request, sample: int) -> str:
        problem = problem_in(request.messages[-1].text)  # type: ignore[union-attr]
        *lines, last = problem.gold[0].split("\n")
        for place, line in enumerate(lines):
            if chance(problem.id, sample, place) > skill_of(problem.id):
                lines[place] = re.sub(r"\[(\d+) \d+ mp\]", r"[\1 \1 mp]", line)
        return "\n".join([*lines, last])


def skill_of(problem: str) -> float:
    return chance(problem, "skill") ** 0.5


class Read:
    """Stands for the pass over replies: states show a problem's skill and some of a line's own truth."""

    def __init__(self, tells: bool = True, lost: bool = False) -> None:
        self.tells, self.lost = tells, lost
        self.asked: list[Sequence[Marked]] = []

    def __call__(self, ref: Any, marked: Sequence[Marked], depths: Any, place: Any) -> States:
        self.asked.append(marked)
        if self.lost:
            raise StatesLost("the process that reads hidden states was lost: gone")
        rng = np.random.default_rng(0)
        rows = []
        for each in marked:
            skill = skill_of(problem_in(each.chat[-1].text).id)
            for start, end in each.lines:
                is_valid = not re.search(r"\[(\d+) \1 mp\]", each.reply[start:end])
                told = (skill, is_valid) if self.tells else (0.0, 0.0)
                rows.append([4 * told[0] + rng.normal() / 4, told[1] + rng.normal(), *rng.normal(size=6)])
        hidden = np.array(rows, dtype=np.float32)
        return States(hidden[None], rng.normal(size=len(rows)).astype(np.float32), 100 * len(marked))


@pytest.fixture(scope="module")
def pool() -> Iterator[VerifierPool]:
    with VerifierPool("rules", num_processes=1, seconds=5.0, memory_mib=512) as pool:
        yield pool


def play(home: Path, pool: VerifierPool, read: Read, sampler: Prover | None = None, **loop: Any) -> Proposal:
    config = config_of(home, LOOP | loop)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(predictor, "read_states", read)
        patch.setattr(predictor, "refer_to", lambda model: None)
        with round_of(home, config, sampler or Stumbler(), pool) as context:
            plan: Any = SimpleNamespace(
                samplers=SimpleNamespace(threads=1), workers={"loop.train": SimpleNamespace(gpus=0.0)}
            )
            context = replace(context, plan=plan)
            return load_loop(config.loop).propose(context, PARENT, 1, frozenset())


def asked(home: Path, stage: str) -> Counter[str]:
    lines = (home / "runs/r/rounds/001" / f"{stage}.jsonl").read_text().splitlines()
    return Counter(json.loads(line)["attempt"]["problem_id"] for line in lines)


def found(home: Path) -> Foresight:
    return from_json(Foresight, (home / "runs/r/rounds/001/predictor.json").read_bytes())


def told(proposal: Proposal) -> str:
    return " ".join(panel.note or panel.rows[0][0] for panel in proposal.panels)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, pool: VerifierPool) -> Proposal:
    """The round without a predictor."""
    return play(tmp_path_factory.mktemp("plain"), pool, Read(), predictor=None)


@pytest.fixture(scope="module")
def chosen(tmp_path_factory: pytest.TempPathFactory, pool: VerifierPool) -> tuple[Path, Proposal, Read]:
    """The round with a predictor that knows much: where it is, what it proposes, and what was read."""
    home, read = tmp_path_factory.mktemp("chosen"), Read()
    return home, play(home, pool, read), read


def test_problems_of_which_most_is_expected_are_sampled_again(chosen: tuple[Path, Proposal, Read]) -> None:
    home, proposal, read = chosen
    record = found(home)
    assert record.is_better and record.missing == "" and record.num_tokens == 100 * len(read.asked[0])
    assert len(record.scores) == 3 and record.scores[0].ece.value < 0.1
    first, more = asked(home, "sample"), asked(home, "sample-more")
    assert set(first.values()) == {2} and len(first) == 120
    assert set(more.values()) == {4} and len(more) == 60 and set(more) < set(first)
    assert first.total() + more.total() == 120 * 4, "as many samples as without"
    again = sorted(record.chances[name] for name in more)
    others = sorted(chance for name, chance in record.chances.items() if name in first and name not in more)
    assert 0.15 < again[len(again) // 2] < 0.85 and others[0] < again[0]
    assert "It chose 60 of 120 problems for 4 further samples each." in told(proposal)
    assert proposal.data is not None and proposal.data.funnel is not None
    assert proposal.data.funnel.station("sampled").num_out == 480
    table, diagram = proposal.panels
    assert (table.kind, diagram.kind) == ("table", "reliability")
    assert [row[0] for row in table.rows] == [
        "predictor",
        "q̂",
        "mean log-probability of the line",
        "base rate of the rule",
    ]


def test_further_samples_are_other_ones(chosen: tuple[Path, Proposal, Read]) -> None:
    folder = chosen[0] / "runs/r/rounds/001"
    lines = [json.loads(line) for line in (folder / "sample-more.jsonl").read_text().splitlines()]
    assert {each["attempt"]["sample"] for each in lines} == {2, 3, 4, 5}
    assert all(each["attempt"]["sample"] == each["verdict"]["sample"] for each in lines)


def test_more_rows_come_of_as_many_samples(
    tmp_path: Path, pool: VerifierPool, plain: Proposal, chosen: tuple[Path, Proposal, Read]
) -> None:
    """Where the predictor knows each problem's skill; a row is a reply that passed, or a pair."""
    assert num_rows(chosen[1]) > 1.05 * num_rows(plain)
    pairs = {"method": "dpo"}
    alike = play(tmp_path / "plain", pool, Read(), predictor=None, train=pairs)
    assert num_rows(play(tmp_path / "chosen", pool, Read(), train=pairs)) > 1.05 * num_rows(alike)


def num_rows(proposal: Proposal) -> int:
    assert proposal.data is not None
    return len(proposal.data.rows)


def test_a_predictor_that_is_not_shown_to_help_decides_nothing(
    tmp_path: Path, pool: VerifierPool, plain: Proposal
) -> None:
    proposal = play(tmp_path, pool, Read(tells=False))
    assert not found(tmp_path).is_better
    more = asked(tmp_path, "sample-more")
    assert set(more.values()) == {2} and len(more) == 120
    assert "It is not shown to help, so that all 120 problems got 2 further samples each." in told(proposal)
    assert plain.data and proposal.data and plain.data.rows == proposal.data.rows, "as without a predictor"


def test_without_allocate_it_is_measured_and_nothing_rests_on_it(
    tmp_path: Path, pool: VerifierPool, plain: Proposal
) -> None:
    proposal = play(tmp_path, pool, Read(), predictor={})
    assert set(asked(tmp_path, "sample").values()) == {4}
    assert not (tmp_path / "runs/r/rounds/001/sample-more.jsonl").exists()
    assert "nothing rests on it" in told(proposal) and found(tmp_path).is_better
    assert plain.data and proposal.data and plain.data.rows == proposal.data.rows and not plain.panels


def test_states_are_read_of_as_many_lines_as_is_said(tmp_path: Path, pool: VerifierPool) -> None:
    play(tmp_path, pool, Read(), predictor={"steps": 150})
    assert 100 < found(tmp_path).num_steps <= 150


def test_a_round_that_was_interrupted_reads_and_samples_nothing_twice(
    tmp_path: Path, pool: VerifierPool
) -> None:
    sampler = Stumbler()
    with pytest.raises(StatesLost):
        play(tmp_path, pool, Read(lost=True), sampler)
    assert [num for _, num in sampler.calls] == [40, 240]
    read = Read()
    whole = play(tmp_path, pool, read, sampler)
    assert [num for _, num in sampler.calls] == [40, 240, 240] and len(read.asked) == 1
    again = play(tmp_path, pool, read, sampler)
    assert len(sampler.calls) == 3 and len(read.asked) == 1
    assert again.data == whole.data and again.panels == whole.panels


def test_where_lines_are_all_alike_there_is_no_predictor(tmp_path: Path, pool: VerifierPool) -> None:
    class Perfect(Prover):
        def text(self, request: Request, sample: int) -> str:
            return problem_in(request.messages[-1].text).gold[0]  # type: ignore[union-attr]

    read = Read()
    proposal = play(tmp_path, pool, read, Perfect())
    assert "a predictor needs 20 valid and 20 invalid lines about 20 problems, got" in found(tmp_path).missing
    assert not read.asked and "There is none: a predictor needs" in proposal.panels[0].rows[0][0]
    assert set(asked(tmp_path, "sample-more").values()) == {2}


def test_the_plan_counts_what_is_read() -> None:
    lengths = Lengths(prompt=Range(100, 200), answer=Range(50, 100))
    loop = load_loop(OakDpo.model_validate(LOOP))
    (read,) = [work for work in loop.work(lengths) if work.stage == "predictor"]
    assert read.prompt_tokens == Range(0, (40 + 240) * 300)
    assert "predictor" not in [work.stage for work in load_loop(OakDpo()).work(lengths)]


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("loop.predictor.steps=3", "loop.predictor.steps must be greater than or equal to 100, got 3"),
        ("loop.predictor.depth=1.5", "loop.predictor.depth must be less than or equal to 1, got 1.5"),
        ("loop.predictor.stepz=300", "unknown key loop.predictor.stepz; did you mean loop.predictor.steps?"),
        ("loop.predictor=true", "loop.predictor must be a mapping, got True"),
        ("loop.predictor.allocate={first: 1}", "allocate.first must be greater than or equal to 2, got 1"),
        ("loop.predictor.allocate={first: 4}", "allocate.first must be less than samples = 4, .* got 4"),
        (
            "loop.predictor.allocate={more: 2}",
            "allocate.more must be more than samples - first = 2, .*2$",
        ),
    ],
)
def test_what_does_not_fit_is_one_sentence(override: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence) as caught:
        load(ROOT / "configs/prontoqa.yaml", ["loop.samples=4", override])
    assert "\n" not in str(caught.value)


@pytest.mark.engine
def test_a_real_round_reads_states_and_shows_a_diagram(tiny_model: Path, tmp_path: Path, here: Here) -> None:
    out = here(
        tmp_path,
        "run",
        CONFIG,
        f"base={tiny_model}",
        "run_id=r",
        "stop.rounds=1",
        "task={name: tests/support/stepped_task.py}",
        "baseline=null",
        "final.num_problems=8",
        "gate.sentinels.suites=[english]",
        "warm_start.train.epochs=5",
        "loop.num_problems=40",
        "loop.temperature=1.0",
        "loop.samples=4",
        "loop.predictor={allocate: {first: 2, more: 4}}",
        "sampler.max_new_tokens=6",
        "--json",
    )
    run = tmp_path / "runs/r"
    assert json.loads(out.strip().splitlines()[-1])["rounds"] == 1
    record = found(tmp_path)
    assert record.missing == "" and record.num_steps > 40 and record.num_tokens > 2000
    assert record.model_id == rounds(run)[1].champion_before
    done = [stage for stage in journal(run) if stage.startswith("rounds/001/")]
    assert done.index("rounds/001/sample") < done.index("rounds/001/predictor")
    assert done.index("rounds/001/predictor") < done.index("rounds/001/sample-more")
    page = (run / "report.html").read_text()
    assert "Step-success predictor q̂" in page and "chance given beforehand, per cent" in page

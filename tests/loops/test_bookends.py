"""What ends a campaign: sealed problems, drawn when they are opened, once; their seed is recorded."""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cluster.drive import _in_words
from configs.load import from_tree
from engine.disk.steps import Run
from engine.gate.exams import Verdicts
from engine.judge.completions import JudgeError
from engine.judge.endpoint import JudgeLost, OverBudget
from engine.models.identity import Model
from engine.records import (
    Answer,
    Attempt,
    Duel,
    Final,
    Finish,
    Lived,
    Night,
    Problem,
    RoundRecord,
    Start,
    Summary,
    from_json,
)
from engine.registry.exported import Export, ExportedAs, keep_export
from engine.registry.lived import keep_lived
from engine.registry.registry import Registry
from engine.registry.touched import keep_touched
from engine.verify import rules
from loops import bookends
from tests.support.registry import LINE, decision, store, with_baseline
from tests.support.rounds import recorded
from tests.support.runs import reopened
from tests.support.scripted_experiment import write_model
from tests.support.suites import suite

SUITE = suite("prontoqa")
START = Model(id="m0", path=Path("m0"))


def a_run(home: Path, entropy: int | None = None) -> Run:
    tree = {"name": "tiny", "line": "a/b", "start": "champion", "final": {"num_problems": 8}}
    return Run.create(home, from_tree({**tree, "gate": {"entropy": entropy}}, "test"), "run")


def close(
    run: Run,
    records: Sequence[RoundRecord] = (),
    asked: frozenset[str] = frozenset(),
    champion: Model = START,
) -> Summary:
    context: Any = SimpleNamespace(
        begun=Start(champion="m0", epoch=0),
        run=run,
        config=run.config,
        registry=Registry(run.path.parent.parent),
        suite=SUITE,
        judging=lambda round: SUITE,
        judges=None,
        judge=None,
        start=START,
        stored=lambda model: START,
        asked=lambda round: asked,
        plan=SimpleNamespace(num_cpus=2, num_gpus=0),
    )
    return bookends.close(context, None, list(records), frozenset(), "All is done.", champion)


class Proving(Verdicts):
    """The exam of verdicts, whose problems are all proved; it keeps the ids of every asking."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []

    def ask(
        self, bench: Any, model: Model, problems: Sequence[Problem], sampling: Any, shots: Any = ()
    ) -> list[Answer]:
        self.asked.append(tuple(problem.id for problem in problems))
        return [proved(problem) for problem in problems]


def proved(problem: Problem) -> Answer:
    attempt = Attempt(
        problem_id=problem.id,
        model_id=START.id,
        sample=0,
        replies=problem.gold,
        num_prompt_tokens=1,
        num_tokens=1,
        finish=Finish.STOP,
    )
    return Answer(attempt=attempt, verdict=rules.verify(problem, attempt))


def test_a_campaign_from_the_champion_begins_with_what_its_line_was_told(tmp_path: Path) -> None:
    registry = with_baseline(tmp_path)
    lived = Lived(days=4, nights=(Night(run_id="r", round=1, day=4, learnt=("a",), replayed=()),))
    keep_lived(tmp_path, LINE, lived, expected_epoch=registry.line(LINE).epoch)
    for start, wanted in (("champion", lived), ("base", Lived())):
        base = write_model(tmp_path / "base", 0.0)
        tree = {"name": "tiny", "line": LINE, "start": start, "base": str(base)}
        run = Run.create(tmp_path, from_tree(tree, "test"), f"from-{start}")
        assert bookends.start_of(run).lived == wanted
        # It is kept with the run, whatever the line is told later.
        keep_lived(tmp_path, LINE, Lived(days=9), expected_epoch=registry.line(LINE).epoch)
        assert bookends.start_of(run).lived == wanted
        run.close()


def test_a_campaign_goes_on_with_what_the_line_carries_has_to_do_with(tmp_path: Path) -> None:
    registry = with_baseline(tmp_path)
    store(registry, tmp_path, "m1")
    registry.carry(LINE, "m1", run_id="run", round=1, expected_epoch=1, decision=decision(True))
    keep_touched(tmp_path, LINE, ["b", "a"], ["Max is red."], expected_epoch=2)
    tree = {"name": "tiny", "line": LINE, "start": "champion", "base": str(tmp_path)}
    start = bookends.start_of(Run.create(tmp_path, from_tree(tree, "test"), "run"))
    assert (start.working, start.touched, start.written) == ("m1", ("a", "b"), ("Max is red.",))


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    exam = Proving()
    monkeypatch.setattr(bookends, "exam_of", lambda task: exam)
    return exam.asked


def final(run: Run) -> Final:
    return from_json(Final, (run.path / "final.json").read_bytes())


def test_a_file_that_was_exported_of_a_model_may_not_judge_its_line(tmp_path: Path) -> None:
    (champion,) = (event.model_id for event in with_baseline(tmp_path).history(LINE) if event.model_id)
    settings = {"url": "http://127.0.0.1:1/v1", "model": "f" * 16}
    tree = {"name": "tiny", "line": LINE, "start": "champion", "gate": {"judge": settings}}
    run = Run.create(tmp_path, from_tree(tree, "test"), "run")
    with bookends.open_judge(run, ""):
        pass
    files = (ExportedAs(name="m-q8_0.gguf", version="f" * 16, verdict="accepted"),)
    export = Export(model_id=champion, created="now", format="gguf", place="/out", files=files)
    keep_export(tmp_path, export)
    with (
        pytest.raises(JudgeError, match="is the model f{16} of the line on trial"),
        bookends.open_judge(run, ""),
    ):
        pass


def test_every_campaign_has_sealed_problems_of_its_own(tmp_path: Path, opened: list[tuple[str, ...]]) -> None:
    runs = [a_run(tmp_path / name) for name in ("one", "two")]
    for run in runs:
        close(run)
    assert len(opened) == 2 and not set(opened[0]) & set(opened[1])
    for run, ids in zip(runs, opened, strict=True):
        drawn = SUITE.draw(8, split="sealed", seed=final(run).entropy)
        assert ids == tuple(problem.id for problem in drawn)


def test_where_nothing_was_judged_the_line_keeps_its_champion(
    tmp_path: Path, opened: list[tuple[str, ...]]
) -> None:
    """A sweep over warm starts begins with the base, whoever reigns: its best trial may be the champion."""
    run = a_run(tmp_path)
    close(run, champion=Model(id="m7", path=Path("m7")))
    summary = run.summary()
    assert summary and summary.champion == "m7" and len(opened) == 1, "and it alone is asked"


def test_the_entropy_of_the_gate_pins_them(tmp_path: Path, opened: list[tuple[str, ...]]) -> None:
    for name in ("one", "two"):
        run = a_run(tmp_path / name, entropy=7)
        close(run)
        assert final(run).entropy == 7
    assert opened[0] == opened[1]


def test_what_was_interrupted_opens_the_same_ones_again(
    tmp_path: Path, opened: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, ask = a_run(tmp_path), Proving.ask

    def interrupted(*arguments: Any) -> list[Answer]:
        ask(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Proving, "ask", interrupted)
        close(run)
    close(reopened(run))
    assert len(opened) == 2 and opened[0] == opened[1]


def test_a_judge_that_is_lost_costs_no_answer(
    tmp_path: Path, opened: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_: Any) -> list[Duel]:
        raise JudgeLost("the judge does not answer")

    run = a_run(tmp_path)
    with monkeypatch.context() as patch, pytest.raises(JudgeLost):
        patch.setattr(Proving, "settled", lost)
        close(run)
    assert close(reopened(run)).best == 1.0 and len(opened) == 1


def test_sealed_problems_that_cannot_be_judged_do_not_keep_a_campaign_from_its_end(
    tmp_path: Path, opened: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by a judge that has cost what it may: a resumed run would find the same."""

    def spent(*_: Any) -> list[Duel]:
        raise OverBudget("the judge has cost 5, and judge.max_cost is 5")

    monkeypatch.setattr(Proving, "settled", spent)
    run = a_run(tmp_path)
    ended = close(run)
    assert (ended.headline, ended.baseline, ended.best) == ("", None, None)
    assert ended.not_judged == "the judge has cost 5, and judge.max_cost is 5"
    assert reopened(run).summary() == ended and not (run.path / "final.json").exists()
    shown = _in_words(ended)
    assert shown["sealed problems"] == f"not judged: {ended.not_judged}" and "" not in shown
    page = (run.path / "report.html").read_text()
    assert ended.not_judged in page and "The gain:" not in page


def test_no_sealed_problem_is_one_by_which_a_champion_was_chosen(
    tmp_path: Path, opened: list[tuple[str, ...]]
) -> None:
    close(a_run(tmp_path / "one", entropy=7))
    close(a_run(tmp_path / "two", entropy=7), [recorded(False)], frozenset(opened[0][:3]))
    assert len(opened[1]) == 8 and not set(opened[0][:3]) & set(opened[1])

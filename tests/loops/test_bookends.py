"""What ends a campaign: sealed problems, drawn when they are opened, once; their seed is recorded."""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from configs.load import from_tree
from engine.disk.steps import Run
from engine.gate.exams import Verdicts
from engine.judge.completions import JudgeError
from engine.measure.evaluate import Unjudged
from engine.models.identity import Model
from engine.records import Answer, Attempt, Final, Finish, Lived, Night, Problem, Start, from_json
from engine.registry.exported import Export, ExportedAs, keep_export
from engine.registry.lived import keep_lived
from engine.registry.registry import Registry
from engine.verify import rules
from loops import bookends
from tests.support.registry import LINE, with_baseline
from tests.support.scripted_experiment import write_model
from tests.support.suites import suite

SUITE = suite("prontoqa")
START = Model(id="m0", path=Path("m0"))


def a_run(home: Path, entropy: int | None = None) -> Run:
    tree = {"name": "tiny", "line": "a/b", "start": "champion", "final": {"num_problems": 8}}
    return Run.create(home, from_tree({**tree, "gate": {"entropy": entropy}}, "test"), "run")


def close(run: Run) -> None:
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
        plan=SimpleNamespace(num_cpus=2, num_gpus=0),
    )
    bookends.close(context, None, [], frozenset(), "All is done.")


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
    with bookends.judging(run, ""):
        pass
    files = (ExportedAs(name="m-q8_0.gguf", version="f" * 16, verdict="accepted"),)
    export = Export(model_id=champion, created="now", format="gguf", place="/out", files=files)
    keep_export(tmp_path, export)
    with (
        pytest.raises(JudgeError, match="is the model f{16} of the line on trial"),
        bookends.judging(run, ""),
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
        raise Unjudged("the verifiers failed")

    with monkeypatch.context() as patch, pytest.raises(Unjudged):
        patch.setattr(Proving, "ask", interrupted)
        close(run)
    run._lock.close()
    close(Run(run.path))
    assert len(opened) == 2 and opened[0] == opened[1]

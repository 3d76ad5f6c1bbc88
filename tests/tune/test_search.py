"""The search of a sweep, with a stand-in for Ray Tune: what it plays, and what becomes of lost trials."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from configs.sweep import Campaign, Sweep
from engine.records import Challenger, Evaluation, Start
from tests.support.fixtures_report import challenger, evaluation
from tests.support.scripted_experiment import write_model
from tune import search as searching
from tune.outcome import TrialRecord, stage
from tune.search import SweepError
from tune.trial import TrainingLost
from tune.workshop import SweepRun, open_run

LOST = TrainingLost("workers were lost")
Played = tuple[list[TrialRecord], int]


def finish(sweep: SweepRun, number: int, values: Any) -> None:
    """Write what a trial that is over has left."""
    with closing(open_run(sweep, sweep.campaign.varied(values), sweep.trial(number))) as run:
        for rung in range(sweep.settings.rungs):
            run.step(stage(rung, "train"), Challenger, lambda: challenger(f"m{number}", "b", "sft"))
            run.step(stage(rung, "select"), Evaluation, lambda: evaluation(f"m{number}", 0.5, 0.6, 60))


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Played]:
    """Searches two trials, whose processes end with these errors, a dictionary for each time."""
    base = write_model(tmp_path / "base", 0.3)
    tree = {"name": "s", "line": "a/b", "base": str(base), "stop": {"rounds": 1}}
    space = {"warm_start": {"train": {"learning_rate": {"choice": [1e-4]}}}}
    sweep: Any = SweepRun(
        home=tmp_path,
        run_id="s",
        settings=Sweep(name="s", campaign="c.yaml", space=space, trials=2),
        campaign=Campaign(tree, "c.yaml"),
        plan=None,  # type: ignore[arg-type]
        start=Start(champion="b", epoch=0),
    )
    sweep.path.mkdir(parents=True)

    def call(*errors: dict[int, Exception], needs_first: bool = False) -> Played:
        times = iter(errors)
        num = 0

        def fit(run: SweepRun, *_: Any, search_alg: Any, **__: Any) -> dict[int, Exception]:
            nonlocal num
            num += 1
            failed = next(times)
            for setting in (search_alg.suggest("a"), search_alg.suggest("b")):
                if setting["number"] not in failed:
                    finish(run, setting["number"], setting["values"])
            return failed

        monkeypatch.setattr(searching, "fit", fit)
        return searching.search(sweep, 1, needs_first=needs_first), num

    return call


def test_a_trial_that_was_lost_is_played_once_more(play: Callable[..., Played]) -> None:
    found, num = play({1: LOST}, {})
    assert [each.status for each in found] == ["finished"] * 2 and num == 2


def test_what_failed_by_itself_is_not(play: Callable[..., Played]) -> None:
    found, num = play({1: RuntimeError("no such method")})
    assert [each.reason for each in found] == ["", "no such method"] and num == 1


def test_a_sweep_that_lost_its_first_champion_can_be_resumed(play: Callable[..., Played]) -> None:
    """Nothing is wrong with its config. A line that has a champion does without the first trial."""
    with pytest.raises(SweepError, match="^trial 0, which is to be .*, was lost: workers were lost$"):
        play({0: LOST}, {0: LOST}, needs_first=True)
    found, num = play({0: LOST}, {0: LOST})
    assert [each.status for each in found] == ["failed", "finished"] and num == 2

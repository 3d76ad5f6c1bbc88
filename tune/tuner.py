"""Plays trials in processes of Ray Tune's; each has one workshop, however many trials it plays."""

import logging
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

from ray import tune

from engine.errors import cause_of, last_line
from engine.failures import DISK, can_go_away, kind_of
from engine.train.workers import in_thread
from tune.trial import TrainingLost
from tune.workshop import CREWS, TrialsRun, Workshop

log = logging.getLogger(__name__)
TRIES = 2
"""How often a trial is played whose process, or whose train worker, was lost."""


class Play(Protocol):
    """Plays the trial of a setting, and reports to Tune."""

    def __call__(self, setting: dict[str, Any], workshop: Workshop) -> None: ...


def fit(
    trials: TrialsRun,
    play: Play,
    num_concurrent: int,
    callbacks: Sequence[tune.Callback],
    *,
    space: dict[str, Any] | None = None,
    **search: Any,
) -> dict[int, Exception]:
    """Play all trials and return the errors of those whose process failed, by the trial's number.

    The setting of a trial holds its `number`. It comes from `space`, or from a searcher among the settings of
    `tune.TuneConfig` in `search`. For a full disk it raises what says so.
    """
    shutil.rmtree(trials.path / CREWS, ignore_errors=True)  # of a run that was killed
    tuner = tune.Tuner(
        # A trial's own process only waits for samplers and workers, so it asks for what every cluster has.
        tune.with_resources(partial(play, workshop=Workshop(trials)), {"node:__internal_head__": 0.001}),
        param_space=space,
        tune_config=tune.TuneConfig(
            max_concurrent_trials=num_concurrent,
            reuse_actors=True,
            trial_dirname_creator=lambda trial: f"trial-{trial.config['number']:03d}",
            **search,
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=str(trials.path),
            verbose=0,
            callbacks=list(callbacks),
        ),
    )
    # The log and the report name each failed trial with its reason.
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    results = in_thread(tuner.fit).result()
    errors = {result.config["number"]: result.error for result in results if result.error}
    for error in errors.values():
        if kind_of(error) is DISK:
            raise cause_of(error)
    return errors


def may_pass(error: Exception) -> bool:
    """Whether a trial that this ended is to be played once more; what failed by itself would fail again."""
    return can_go_away(error) or isinstance(cause_of(error), TrainingLost)


def reason_of(error: Exception) -> str:
    """The error of a trial without the traceback that Ray puts before it."""
    return last_line(cause_of(error))


class Progress(tune.Callback):
    """Logs a line for every rung that a trial reaches."""

    def __init__(self, in_words: Callable[[dict[str, Any], dict[str, Any]], str]) -> None:
        """`in_words` says what a trial of a setting has reported."""
        self._in_words = in_words

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **_: Any
    ) -> None:
        """Log what a trial has reported."""
        log.info("%s", self._in_words(trial.config, result))

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
        """Log the failure of a trial's process."""
        error = trial.get_pickled_error() or trial.get_error()
        log.warning("trial %d has failed%s", trial.config["number"], f": {reason_of(error)}" if error else "")

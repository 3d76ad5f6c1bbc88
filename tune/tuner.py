"""Plays trials in processes of Ray Tune's; each has one workshop, however many trials it plays."""

import errno
import logging
import shutil
from collections.abc import Sequence
from functools import partial
from typing import Any, Protocol

from ray import tune

from engine.errors import cause_of
from engine.train.workers import in_thread
from tune.workshop import CREWS, TrialsRun, Workshop


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
    `tune.TuneConfig` in `search`. Raises OSError for a full disk.
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
        cause = cause_of(error)
        if isinstance(cause, OSError) and cause.errno == errno.ENOSPC:
            raise cause
    return errors


def reason_of(error: Exception) -> str:
    """The error of a trial without the traceback that Ray puts before it."""
    return str(cause_of(error)).strip().splitlines()[-1]


def reason_for(trial: Any) -> str:
    """Why Tune's process of a trial has failed, for the log of those who wait."""
    error = trial.get_pickled_error() or trial.get_error()
    return f": {reason_of(error)}" if error else ""

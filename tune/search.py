"""Runs the trials of a sweep with Ray Tune: what to try next, what to stop early, what each trial achieved.

A trial has a number and is written down before it starts. A resumed sweep first tries again what it had
written down, which costs nothing for finished work, and only then something new. So no trial is lost or made
twice, and nothing is read from Tune's own pickles.
"""

import logging
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray import tune
from ray.tune.schedulers import ASHAScheduler, TrialScheduler
from ray.tune.search import Searcher

from configs.sweep import Campaign, SearchDomain, Sweep
from engine.disk.journal import append_line, drop_torn_line
from engine.disk.jsonl import objects
from engine.errors import Lost
from tune.outcome import TrialRecord, trial_record
from tune.space import LISTED, METRIC, Values, describe, draw_trials, is_new, rounded
from tune.trial import play
from tune.tuner import TRIES, Progress, fit, may_pass, reason_of
from tune.workshop import SweepRun, open_run

if TYPE_CHECKING:
    from ray.tune.experiment import Trial
    from ray.tune.search.optuna import OptunaSearch

log = logging.getLogger(__name__)
SUGGESTIONS = 200
"""Consecutive invalid or repeated suggestions of Optuna's before the search gives up."""


class SweepError(Lost):
    """The sweep cannot go on, but can be resumed."""


def search(run: SweepRun, num_concurrent: int, *, needs_first: bool) -> list[TrialRecord]:
    """Run all trials with Tune.

    Raises SweepError if none finishes, or if the first was lost where the sweep `needs_first`, because its
    model is to be the line's first champion; and OSError for a full disk.
    """
    sweep = run.settings
    planned = draw_trials(sweep, run.campaign) if sweep.search in LISTED else None
    num = len(planned) if planned is not None else sweep.trials
    for _ in range(TRIES):
        # As in a sweep that is resumed, what is done is only reported again, and what was lost is played.
        trials = Trials(run.path / "tried.jsonl", sweep, run.campaign, planned)
        errors = fit(
            run,
            play,
            num_concurrent,
            _callbacks(sweep, num),
            metric=METRIC,
            mode="max",
            num_samples=num,
            search_alg=trials,
            scheduler=SparesFirst.of(sweep),
        )
        if not any(map(may_pass, errors.values())):
            break
    found = [_read(run, number, values, errors.get(number)) for number, values in enumerate(trials.known)]
    for each in found:
        if each.status == "failed":
            log.warning("trial %d failed: %s", each.number, each.reason)
    if not any(each.status == "finished" for each in found):
        raise SweepError(f"none of {num} trials was finished; the first: {found[0].reason or 'stopped'}")
    if needs_first and found[0].status == "failed" and 0 in errors and may_pass(errors[0]):
        raise SweepError(f"trial 0, which is to be the line's first champion, was lost: {found[0].reason}")
    return found


def _read(sweep: SweepRun, number: int, values: Values, error: Exception | None) -> TrialRecord:
    """A trial's result, from its run directory."""
    with closing(open_run(sweep, sweep.campaign.varied(values), sweep.trial(number))) as run:
        reason = reason_of(error) if error else ""
        return trial_record(run.path, number, values, sweep.settings.rungs, run.read, reason)


class Trials(Searcher):
    """Hands Tune one trial after another, from a list or from Optuna."""

    def __init__(self, file: Path, sweep: Sweep, campaign: Campaign, planned: list[Values] | None) -> None:
        """Take all trials from `planned`, or from Optuna if that is None, and write each down in `file`."""
        super().__init__(metric=METRIC, mode="max")
        drop_torn_line(file)
        self.known: list[Values] = [entry["values"] for entry in objects(file)]
        self._file, self._campaign, self._planned, self._most = file, campaign, planned, sweep.trials
        self._optuna = None if planned is not None else _optuna_search(sweep, self.known[1:])
        self._number_of: dict[str, int] = {}
        self._asked_as: dict[str, str] = {}
        """Under which id Optuna knows a trial, where that is not Tune's."""

    def suggest(self, trial_id: str) -> dict[str, Any] | str:
        """Name the next trial for Tune, or end the search."""
        number = len(self._number_of)
        if number >= (self._most if self._planned is None else len(self._planned)):
            return Searcher.FINISHED
        values = self._values(trial_id, number)
        if values is None:
            log.warning(
                "nothing new was suggested in %d tries: the search ends with %d trials", SUGGESTIONS, number
            )
            self._most = number
            return Searcher.FINISHED
        if number == len(self.known):
            append_line(self._file, {"number": number, "values": values})
            self.known.append(values)
        self._number_of[trial_id] = number
        return {"number": number, "values": values}

    def _values(self, trial_id: str, number: int) -> Values | None:
        """Choose the next trial's values; None if Optuna suggests only what is tried already or invalid."""
        if self._planned is not None:
            return self._planned[number]
        if number == 0:
            return {}
        assert self._optuna is not None
        if number < len(self.known):
            # What was tried before the sweep was resumed comes first, unchanged.
            self._optuna.suggest(trial_id)
            return self.known[number]
        for attempt in range(SUGGESTIONS):
            # Whoever asks again under one id is told the same again.
            asked_as = f"{trial_id}-{attempt}"
            values = _plain(self._optuna.suggest(asked_as))
            if is_new(self._campaign, values, self.known):
                self._asked_as[trial_id] = asked_as
                return values
            self._optuna.on_trial_complete(asked_as, error=True)
        return None

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Pass a rung's score on to Optuna."""
        self._forward("on_trial_result", trial_id, result)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Pass the end of a trial on to Optuna."""
        self._forward("on_trial_complete", trial_id, result, error)

    def save(self, checkpoint_path: str) -> None:
        """Do nothing: a sweep is resumed from its own file, not from a pickle."""

    def _forward(self, event: str, trial_id: str, *what: Any) -> None:
        # The first trial may lie outside the space.
        if self._optuna and self._number_of[trial_id]:
            getattr(self._optuna, event)(self._asked_as.get(trial_id, trial_id), *what)


def _optuna_search(sweep: Sweep, known: list[Values]) -> "OptunaSearch":
    """Build a search of Optuna's that starts with the values suggested before."""
    import optuna
    from ray.tune.search.optuna import OptunaSearch

    # It would warn at each trial that `cmaes` and `qmc` draw from lists at random.
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    samplers: dict[str, Callable[..., Any]] = {
        "tpe": optuna.samplers.TPESampler,
        "gp": optuna.samplers.GPSampler,
        "cmaes": optuna.samplers.CmaEsSampler,
        "qmc": optuna.samplers.QMCSampler,
    }

    def of(domain: SearchDomain) -> Any:
        if domain.choice is not None:
            return tune.choice(domain.choice)
        if domain.integers is not None:
            return tune.randint(domain.integers[0], domain.integers[1] + 1)
        if domain.uniform is not None:
            return tune.uniform(*domain.uniform)
        assert domain.log_uniform is not None
        return tune.loguniform(*domain.log_uniform)

    return OptunaSearch(
        OptunaSearch.convert_search_space({key: of(domain) for key, domain in sweep.domains()}),
        metric=METRIC,
        mode="max",
        sampler=samplers[sweep.search](seed=sweep.seed),
        points_to_evaluate=known or None,
    )


def _plain(suggested: dict[str, Any]) -> Values:
    return {key: rounded(value) if isinstance(value, float) else value for key, value in suggested.items()}


class SparesFirst(ASHAScheduler):
    """Asynchronous successive halving (Li et al. 2020) that never stops the first trial.

    The others are compared with the first, so it must finish.
    """

    @staticmethod
    def of(sweep: Sweep) -> "SparesFirst":
        """Build the scheduler for a sweep's rungs."""
        return SparesFirst(
            time_attr="resource",
            max_t=sweep.keep ** (sweep.rungs - 1),
            grace_period=1,
            reduction_factor=sweep.keep,
        )

    def on_trial_result(self, tune_controller: Any, trial: "Trial", result: dict[str, Any]) -> str:
        """Decide whether a trial goes on after a rung."""
        decision = super().on_trial_result(tune_controller, trial, result)
        first = trial.config["number"] == 0
        return TrialScheduler.CONTINUE if first and not result["over"] else decision


def _callbacks(sweep: Sweep, num: int) -> list[tune.Callback]:
    """The callbacks of Tune's run, besides Tune's own, which write files for TensorBoard."""

    def in_words(setting: dict[str, Any], result: dict[str, Any]) -> str:
        shown = result["shown"] if result["over"] else f"{result['shown']} so far"
        return f"trial {setting['number']} of {num} ({describe(setting['values'])}): {shown}"

    found: list[tune.Callback] = [Progress(in_words)]
    if sweep.mlflow:
        from ray.air.integrations.mlflow import MLflowLoggerCallback

        found.append(MLflowLoggerCallback(tracking_uri=sweep.mlflow, experiment_name=sweep.name))
    return found

"""`ratchet sweep`, `ratchet experiment` and `ratchet experiments`: many trials of one campaign.

ratchet experiment configs/experiments/error-driven.yaml seeds=3
"""

import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol, TypeVar

import typer

from engine.terminal import AsJson, show

if TYPE_CHECKING:
    from engine.disk.steps import Run
    from engine.plan.machine import Machine
    from engine.plan.plan import Plan
    from engine.records import Summary

T = TypeVar("T")
ConfigFile = Annotated[Path | None, typer.Argument(help="A YAML file.")]
Overrides = Annotated[list[str] | None, typer.Argument(help="Changes to it, such as seeds=3.")]
Resume = Annotated[str | None, typer.Option(help="Continue an interrupted one: its run id, or `latest`.")]


class Cluster(Protocol):
    """What drives a run where Ray is: this room knows no cluster."""

    def machine(self, home: Path) -> "Machine": ...

    def submission_id(self) -> str | None: ...

    def on_ray(self, opened: "Run", needs: "Plan", work: Callable[[], T]) -> T: ...

    def drive(
        self,
        opened: "Run",
        needs: Callable[[], "Plan"],
        work: Callable[[], "Summary"],
        write_reports: Callable[[Path], object],
        *,
        as_json: bool,
    ) -> None: ...


def app_with(cluster: Cluster) -> typer.Typer:
    """The commands, which run their trials on a cluster."""
    app = typer.Typer()

    @app.command()
    def sweep(
        config: ConfigFile = None,
        overrides: Overrides = None,
        resume: Resume = None,
        as_json: AsJson = False,
    ) -> None:
        """Search hyperparameters by trials; the gate judges only the best one."""
        if config is None or resume is not None:
            from tune.plan import require_sweep

            _sweep(cluster, require_sweep(_opened("a sweep", config, resume)), as_json)
        else:
            _new_sweep(cluster, config, overrides, as_json)

    @app.command()
    def experiment(
        config: ConfigFile = None,
        overrides: Overrides = None,
        resume: Resume = None,
        as_json: AsJson = False,
    ) -> None:
        """Compare ways to choose what is learnt: arms from one champion, several seeds, equal tokens."""
        if config is None or resume is not None:
            from tune.plan import require_experiment

            _experiment(cluster, require_experiment(_opened("an experiment", config, resume)), as_json)
        else:
            _new_experiment(cluster, config, overrides, as_json)

    @app.command()
    def experiments(as_json: AsJson = False) -> None:
        """List all experiments: what each asked, the effect that it saw, and what it concluded."""
        from engine.disk.home import ratchet_home
        from tune.listing import logged, print_list

        found = logged(ratchet_home())
        if as_json:
            show({"experiments": found}, as_json)
        else:
            print_list(found)

    return app


def resume_trials(cluster: Cluster, opened: "Run", as_json: bool) -> bool:
    """Continue a sweep or an experiment; returns whether the run is one."""
    from tune.plan import is_experiment, is_sweep

    if is_sweep(opened.path):
        _sweep(cluster, opened, as_json)
    elif is_experiment(opened.path):
        _experiment(cluster, opened, as_json)
    else:
        return False
    return True


def _new_sweep(cluster: Cluster, config: Path, overrides: list[str] | None, as_json: bool) -> None:
    """Check a sweep, begin its run and drive it."""
    from configs.sweep import load_sweep
    from engine.disk.home import new_run_id, ratchet_home
    from engine.disk.steps import Run
    from engine.plan.precision import settle
    from engine.tasks import suite_of
    from loops.curated import curate_files, on_snapshot
    from loops.ready import require_ready
    from tune.plan import dump, plans
    from tune.ready import require_apart, require_begun, require_playable, require_unjudged
    from tune.space import likely_trials, require_installed

    home = ratchet_home()
    settings, campaign = load_sweep(config, overrides)
    curate_files(campaign.config)
    checked = plans(settings, campaign, machine := cluster.machine(home), home)
    run_id = settings.run_id or cluster.submission_id() or new_run_id(settings.name)
    if not (home / "runs" / run_id / "config.yaml").exists():
        require_installed(settings)
        require_unjudged(campaign.config)
        require_begun(settings, campaign.config, config, home)
        trials = [campaign.varied(values) for values in likely_trials(settings, campaign)]
        require_playable(trials)
        if campaign.section == "loop":
            require_apart(settings.num_problems, suite_of(campaign.config), trials)
        require_ready(campaign.config, home, run_id)
    settled = on_snapshot(settle(campaign.config, machine), home)
    opened = Run.create(home, settled, run_id, {"sweep.yaml": dump(settings)})
    _sweep(cluster, opened, as_json, checked)


def _sweep(
    cluster: Cluster, opened: "Run", as_json: bool, checked: "tuple[Plan, Plan] | None" = None
) -> None:
    from tune.plan import footing, plans, sweep_of
    from tune.report import write_reports

    settings, campaign = sweep_of(opened.path)

    @cache
    def planned() -> "tuple[Plan, Plan]":
        return checked or plans(settings, campaign, cluster.machine(opened.home), opened.home)

    def needs() -> "Plan":
        return footing(settings, campaign.config, *planned())

    def work() -> "Summary":
        from tune.sweep import run_sweep

        return run_sweep(opened, opened.home, *planned())

    cluster.drive(opened, needs, work, write_reports, as_json=as_json)


def _new_experiment(cluster: Cluster, config: Path, overrides: list[str] | None, as_json: bool) -> None:
    """Check an experiment, begin its run and drive it."""
    from configs.experiment import load_experiment
    from engine.disk.home import new_run_id, ratchet_home
    from engine.disk.steps import Run
    from engine.plan.precision import settle
    from loops.curated import curate_files, on_snapshot
    from tune.plan import DESIGN, dump, plans_of_experiment
    from tune.ready import require_comparable

    home = ratchet_home()
    design = load_experiment(config, overrides)
    curate_files(design.config)
    checked = plans_of_experiment(design, machine := cluster.machine(home), home)
    run_id = design.settings.run_id or cluster.submission_id() or new_run_id(design.settings.name)
    if not (home / "runs" / run_id / "config.yaml").exists():
        require_comparable(design, home)
    settled = on_snapshot(settle(design.config, machine), home)
    opened = Run.create(home, settled, run_id, {DESIGN: dump(design.settings)})
    _experiment(cluster, opened, as_json, checked)


def _experiment(
    cluster: Cluster, opened: "Run", as_json: bool, checked: "tuple[Plan, Plan] | None" = None
) -> None:
    from tune.listing import logged
    from tune.plan import experiment_of, footing, plans_of_experiment
    from tune.report import write_reports

    design, home = experiment_of(opened.path), opened.home
    if not opened.is_done("findings"):
        trial, whole = checked or plans_of_experiment(design, cluster.machine(home), home)

        def work() -> object:
            from tune.experiment import run_experiment

            return run_experiment(opened, home, trial, whole)

        cluster.on_ray(opened, footing(design.settings, design.config, trial, whole), work)
    # A kill may have come between the findings and the reports.
    page = write_reports(opened.path)
    show(next(each for each in logged(home) if each.run_id == opened.id), as_json)
    if not as_json:
        print(f"\nThe report, for a browser: {page.absolute().as_uri()}", file=sys.stderr)
        print("`ratchet experiments` lists all experiments side by side.", file=sys.stderr)


def _opened(what: str, config: Path | None, resume: str | None) -> "Run":
    """The run to continue. Raises ConfigError unless a run is named and no config is."""
    from configs.load import ConfigError
    from engine.disk.home import ratchet_home
    from engine.disk.steps import Run

    if config is not None or resume is None:
        got = "neither" if config is None else "both"
        raise ConfigError(f"{what} takes either a config or --resume RUN, got {got}")
    return Run.open(ratchet_home(), resume)

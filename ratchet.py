"""The command line, in the order in which a newcomer meets the commands.

    ratchet run configs/quickstart.yaml loop.samples=8

A command of one room is in its `commands.py`; those that need several rooms are here. Only here errors become
exit codes: 2 and a sentence for a user's mistake or lost work, 70 for a failed integrity check, 1 for a bug.
An interruption exits with 130 and leaves a run that `ratchet resume` continues; it ends servers with 0.
"""

import sys
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from typer.core import TyperGroup

import cluster.commands
import engine.benchmark.commands
import engine.corpus.commands
import engine.export.commands
import engine.gate.commands
import engine.judge.commands
import engine.memory.commands
import engine.preflight.commands
import engine.preflight.data_commands
import engine.prove.commands
import engine.registry.commands
import engine.verify.commands
import serve.commands
import tune.commands
from engine.errors import BROKEN, Broken, cause_of, sentence_of
from engine.terminal import AsJson, RunName, as_process, printable, show

if TYPE_CHECKING:
    from configs.schema import Config
    from engine.disk.steps import Run
    from engine.plan.machine import Machine
    from engine.plan.plan import Plan
    from engine.preflight.workload import LoopWork
    from engine.records import Summary

T = TypeVar("T")
COMMANDS = ["doctor", "run", "resume", "report", "eval", "compare", "prove", "verify", "models", "curate"]
COMMANDS += ["benchmark", "rate", "export", "serve", "keys", "sweep", "experiment", "experiments"]
COMMANDS += ["submit", "plan", "dashboard", "data", "memory"]


class _InOrder(TyperGroup):
    """Lists the commands in the order of COMMANDS."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [*COMMANDS]


app = typer.Typer(
    cls=_InOrder,
    help="Self-improvement for language models: loops propose, the gate disposes.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
ConfigFile = Annotated[Path, typer.Argument(help="A YAML file, such as configs/quickstart.yaml.")]
Overrides = Annotated[list[str] | None, typer.Argument(help="Changes to it, such as stop.rounds=1.")]


@app.command()
def doctor(
    config: Annotated[Path | None, typer.Argument(help="Also check this config.")] = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Show what is here, what is missing and how to get it; of a config its plan, gate and learnt tokens.

    The exit code is 1 if `ratchet run` would be refused, else 0, whatever else is marked !!.
    """
    from cluster.connect import machine_here
    from configs.load import load
    from engine.preflight.doctor import examine, examine_config, verdict
    from engine.preflight.findings import found_by, print_table

    home = _home()
    ready: Callable[[], object] | None = None
    findings = examine(machine := machine_here(home), home)
    if config:
        from engine.disk.home import new_run_id
        from engine.preflight.learnt import examine_learnt
        from loops import loop_for
        from loops.curated import curate_files

        curate_files(settings := load(config, overrides))
        learnt = partial(examine_learnt, settings, home, loop_for(settings).example)
        findings += found_by(partial(examine_config, settings, machine, home), learnt)
        ready = partial(_ready, settings, home, settings.run_id or new_run_id(settings.name))
    findings.append(last := verdict(home, ready))
    if as_json:
        show(findings, as_json)
    else:
        print_table(findings)
    raise typer.Exit(0 if last.ok else 1)


@app.command()
def run(config: ConfigFile, overrides: Overrides = None, as_json: AsJson = False) -> None:
    """Run a campaign. With run_id=ID of an earlier, unchanged run, only what is missing runs."""
    from cluster.connect import submission_id
    from configs.load import load
    from engine.disk.home import new_run_id
    from engine.disk.steps import Run
    from loops.curated import curate_files, on_snapshot

    curate_files(settings := load(config, overrides))
    home = _home()
    run_id = settings.run_id or submission_id() or new_run_id(settings.name)
    settings, plan = _ready(settings, home, run_id)
    _campaign(Run.create(home, on_snapshot(settings, home), run_id), lambda: plan, as_json)


@app.command()
def resume(name: RunName = "latest", as_json: AsJson = False) -> None:
    """Continue an interrupted run: only what is missing runs."""
    from engine.disk.steps import Run

    opened = Run.open(home := _home(), name)
    if not tune.commands.resume_trials(_Cluster(), opened, as_json):
        _campaign(opened, cache(lambda: _planned(opened.config, home)[1]), as_json)


@app.command()
def report(name: RunName = "latest") -> None:
    """Write a run's report, or that of a sweep or an experiment, also while it runs, and print its path."""
    from engine.disk.home import run_dir_of
    from tune.report import write_reports

    print(write_reports(run_dir_of(_home(), name)))


@app.command("eval")
def evaluate(
    models: Annotated[list[str], typer.Argument(help="Each `embedded`, a directory, a model id, or a line.")],
    task: Annotated[str, typer.Option(help="Name of a task, path of its file, or a campaign's config.")],
    data: Annotated[
        Path | None, typer.Option(help="A file, which later gates do without; else the task's own.")
    ] = None,
    skip: Annotated[int, typer.Option(min=0, help="Records to skip at the start of the file.")] = 0,
    num: Annotated[int | None, typer.Option("-n", min=1, help="How many; by default up to 100.")] = None,
    seed: Annotated[int | None, typer.Option(help="Draws the same problems of the task again.")] = None,
    shots: Annotated[int, typer.Option(min=0, help="Solved problems to show before each one.")] = 0,
    system: Annotated[str | None, typer.Option(help="System message, instead of the task's own.")] = None,
    max_new_tokens: Annotated[int | None, typer.Option(min=1, help="Longest answer, in tokens.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write every answer and its verdict there.")] = None,
    as_json: AsJson = False,
) -> None:
    """Measure models, or the champions of lines, on the same problems. Readings of a file are kept."""
    from cluster.connect import connect, settled_here
    from engine.gate.exams import exam_of
    from engine.measure.asking import asking_of, plans_for, with_options
    from engine.measure.outcomes import files_for
    from engine.measure.readings import evaluate_models, problems_for
    from engine.measure.table import print_reading
    from engine.registry.locate import model_dir_of
    from engine.tasks import load_task

    home, asking = _home(), asking_of(task)
    exam = exam_of(load_task(asking.task.name))
    # Whatever can be refused is refused before anything is fetched or started.
    options = {"--shots": shots or None, "--system": system, "--max-new-tokens": max_new_tokens}
    asking = with_options(asking, options, generates=exam.samples)
    asked = problems_for(home, asking.task, data, skip=skip, num=num, seed=seed)
    files = files_for(out, models)
    paths = {name: model_dir_of(home, name) for name in dict.fromkeys(models)}
    asking, machine = settled_here(asking, home)
    plans = plans_for(asking, paths, machine, home)
    connect(plans[models[0]])
    print_reading(evaluate_models(home, asking, paths, plans, asked, exam, files), as_json)


@app.command()
def dashboard(
    name: RunName = "latest",
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="By default a free one.")] = None,
) -> None:
    """Show a run's curves, and a sweep's hyperparameters, in TensorBoard until Ctrl-C, also while it runs."""
    from cluster.connect import ray_dashboard
    from cluster.drive import until_interrupted
    from engine.disk.home import run_dir_of
    from tune.dashboard import show_dashboard

    run_dir = run_dir_of(_home(), name)

    def ready(url: str) -> None:
        print(f"TensorBoard shows {run_dir.name} at {url}; Ctrl-C ends it", flush=True)
        if link := ray_dashboard():
            print(f"Ray's dashboard is at {link}", flush=True)

    with until_interrupted("the dashboard"):
        show_dashboard(run_dir, port, ready)


def _home() -> Path:
    from engine.disk.home import ratchet_home

    return ratchet_home()


def _campaign(opened: "Run", plan: Callable[[], "Plan"], as_json: bool) -> None:
    from cluster.drive import drive
    from tune.report import write_reports

    def work() -> "Summary":
        from loops.campaign import run_campaign

        return run_campaign(opened, plan())

    drive(opened, plan, work, write_reports, as_json=as_json)


class _Cluster:
    """What `tune` needs of the cluster, imported when it is needed."""

    def machine(self, home: Path) -> "Machine":
        from cluster.connect import machine_here

        return machine_here(home)

    def connect(self, needs: Any) -> None:
        from cluster.connect import connect

        connect(needs)

    def until_interrupted(self, what: str) -> AbstractContextManager[None]:
        from cluster.drive import until_interrupted

        return until_interrupted(what)

    def submission_id(self) -> str | None:
        from cluster.connect import submission_id

        return submission_id()

    def on_ray(self, opened: "Run", needs: "Plan", work: Callable[[], T]) -> T:
        from cluster.drive import on_ray

        return on_ray(opened, needs, work)

    def drive(self, *run: Any, as_json: bool) -> None:
        from cluster.drive import drive

        drive(*run, as_json=as_json)


def _planned(settings: "Config", home: Path) -> tuple["Config", "Plan"]:
    from cluster.connect import settled_here
    from engine.plan.plan import make_plan

    settings, machine = settled_here(settings, home)
    return settings, make_plan(settings, machine, home)


def _ready(settings: "Config", home: Path, run_id: str) -> tuple["Config", "Plan"]:
    """What a campaign is run with. Raises what refuses it, before anything of a new run is written."""
    from loops.ready import require_ready

    settings, plan = _planned(settings, home)
    if not (home / "runs" / run_id / "config.yaml").exists():
        require_ready(settings, home, run_id)
    return settings, plan


def _loop_work(config: "Config") -> "LoopWork":
    from loops import loop_for

    return loop_for(config).work


app.add_typer(engine.gate.commands.app)  # compare
app.add_typer(engine.prove.commands.app_with(_Cluster()))  # prove
app.add_typer(engine.verify.commands.app)  # verify
app.add_typer(engine.registry.commands.app, name="models")
app.add_typer(engine.corpus.commands.app)  # curate
app.add_typer(engine.benchmark.commands.app_with(_Cluster()))  # benchmark
app.add_typer(engine.judge.commands.app, name="rate")
app.add_typer(engine.export.commands.app_with(_Cluster()))  # export
app.add_typer(serve.commands.serve_with(_Cluster()))  # serve
app.add_typer(serve.commands.app, name="keys")
app.add_typer(tune.commands.app_with(_Cluster()))  # sweep, experiment, experiments
app.add_typer(cluster.commands.app)  # submit
app.add_typer(engine.preflight.commands.app_with(_loop_work))  # plan
app.add_typer(engine.preflight.data_commands.app, name="data")
app.add_typer(engine.memory.commands.app)  # memory


def main() -> None:
    """The `ratchet` command, in a process that may go on after it."""
    try:
        app()
    except Exception as error:
        if isinstance(cause_of(error), Broken):
            print(printable("".join(traceback.format_exception(error))), end="", file=sys.stderr)
            print(f"ratchet: {BROKEN}", file=sys.stderr)
            sys.exit(70)
        from engine.disk.home import named_home

        if (sentence := sentence_of(error, named_home())) is None:
            raise
        print(printable(f"ratchet: {sentence}"), file=sys.stderr)
        sys.exit(2)


def process() -> None:
    """The `ratchet` command as a process of its own."""
    as_process(main)


if __name__ == "__main__":
    process()

"""The command line: every command on one page.

    ratchet run configs/quickstart.yaml propose.samples=8

A user's mistake is one sentence on standard error and exit code 2; an interruption leaves a
run that `ratchet resume` continues and exits with 130; a bug keeps its traceback.
"""

import errno
import logging
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.terminal import LogLines, Relay, printable, show

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

    from cluster.connect import Needs
    from configs.schema import Config
    from configs.sweep import Campaign, Sweep
    from engine.disk.steps import Run
    from engine.plan.machine import Machine
    from engine.plan.plan import Plan
    from engine.records import Summary
    from engine.registry.registry import Registry
    from serve.keys import Keys

log = logging.getLogger(__name__)
OURS = ("configs", "engine", "loops", "tune", "serve", "cluster")
app = typer.Typer(
    help="Self-improvement for language models: loops propose, the gate disposes.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
models_app = typer.Typer(help="Models and lines of the registry.", invoke_without_command=True)
app.add_typer(models_app, name="models")
keys_app = typer.Typer(help="Keys of the API.", no_args_is_help=True)
app.add_typer(keys_app, name="keys")

AsJson = Annotated[bool, typer.Option("--json", help="For programs: JSON on standard output.")]
RunName = Annotated[str, typer.Argument(help="Run id, run directory, or `latest`.")]


@app.command()
def run(
    config: Annotated[Path, typer.Argument(help="A YAML file, such as configs/quickstart.yaml.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="Changes to it, such as stop.rounds=1.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run a campaign. With run_id=ID of an earlier, unchanged run, only what is missing runs."""
    from cluster.connect import submission_id
    from configs.load import load
    from engine.disk.home import ratchet_home

    settings, home = load(config, overrides), ratchet_home()
    plan = _plan(settings, home)
    from engine.disk.steps import Run, new_run_id
    from engine.preflight.doctor import require_ready

    run_id = settings.run_id or submission_id() or new_run_id(settings.name)
    if not (home / "runs" / run_id / "config.yaml").exists():
        require_ready(settings, home, run_id)
    _campaign(Run.create(home, settings, run_id), plan, as_json)


@app.command()
def resume(
    name: Annotated[str, typer.Argument(help="Run id, or `latest`.")] = "latest", as_json: AsJson = False
) -> None:
    """Continue an interrupted run: what is missing runs, nothing else."""
    from engine.disk.home import ratchet_home
    from engine.disk.steps import Run
    from tune.plan import is_sweep, sweep_of

    home = ratchet_home()
    opened = Run.open(home, name)
    if is_sweep(opened.path):
        _sweep(opened, home, _trial_plans(*sweep_of(opened.path), home), as_json)
    else:
        _campaign(opened, _plan(opened.config, home), as_json)


@app.command()
def sweep(
    config: Annotated[
        Path | None, typer.Argument(help="A YAML file, such as configs/sweeps/quick.yaml.")
    ] = None,
    overrides: Annotated[list[str] | None, typer.Argument(help="Changes to it, such as trials=20.")] = None,
    resume: Annotated[str | None, typer.Option(help="Continue a sweep: its run id, or `latest`.")] = None,
    as_json: AsJson = False,
) -> None:
    """Search hyperparameters by trials; the best one alone is judged by the gate."""
    from cluster.connect import submission_id
    from configs.load import ConfigError
    from configs.sweep import load_sweep
    from engine.disk.home import ratchet_home
    from engine.disk.steps import Run, new_run_id
    from engine.preflight.doctor import require_ready
    from tune.plan import dump, require_sweep, sweep_of
    from tune.space import require_installed

    home = ratchet_home()
    if (config is None) == (resume is None):
        raise ConfigError("a sweep is asked for by a config or by --resume RUN: give one of them")
    if config is None:
        opened = require_sweep(Run.open(home, resume or "latest"))
        _sweep(opened, home, _trial_plans(*sweep_of(opened.path), home), as_json)
        return
    settings, campaign = load_sweep(config, overrides)
    plans = _trial_plans(settings, campaign, home)
    run_id = settings.run_id or submission_id() or new_run_id(settings.name)
    if not (home / "runs" / run_id / "config.yaml").exists():
        require_installed(settings)
        require_ready(campaign.config, home, run_id)
    _sweep(Run.create(home, campaign.config, run_id, {"sweep.yaml": dump(settings)}), home, plans, as_json)


@app.command()
def submit(
    config: Annotated[Path | None, typer.Argument(help="A YAML file in the working directory.")] = None,
    overrides: Annotated[list[str] | None, typer.Argument(help="Changes to it.")] = None,
    address: Annotated[
        str, typer.Option(envvar=["RAY_API_SERVER_ADDRESS", "RAY_ADDRESS"], help="The dashboard's.")
    ] = "http://127.0.0.1:8265",
    submission_id: Annotated[
        str | None, typer.Option(help="Names the run; given again, the same run goes on.")
    ] = None,
    working_dir: Annotated[Path, typer.Option(help="What is sent; .gitignore and .rayignore hold.")] = Path(),
    sweep: Annotated[bool, typer.Option("--sweep", help="The file is a sweep's.")] = False,
    resume: Annotated[str | None, typer.Option(help="Continue a run by its id.")] = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Follow it to its end.")] = True,
    as_json: AsJson = False,
) -> None:
    """Run as a Ray job on a cluster, with the job's exit code. Ctrl-C stops it, resumably."""
    from cluster.order import OrderError, order_resume, order_run
    from cluster.submit import open_client, send
    from engine.disk.steps import new_run_id

    if (config is None) == (resume is None) or (resume is not None and (submission_id or sweep)):
        raise OrderError(
            "a job is asked for by a config, with --submission-id and --sweep, or by --resume RUN"
        )
    if config is None:
        order = order_resume(resume or "", working_dir=working_dir)
    else:
        order = order_run(
            config,
            overrides or [],
            sweep=sweep,
            submission_id=submission_id,
            new_id=new_run_id,
            working_dir=working_dir,
        )
    client = open_client(address)
    job, new = send(client, order, as_json)
    if not wait:
        show({"job": job, "run_id": order.run_id}, as_json)
        return
    print(f"ratchet: job {job} {'is sent' if new else 'is there already'}", file=sys.stderr)
    _follow(client, job, order.run_id, as_json)


def _follow(client: "JobSubmissionClient", job: str, run_id: str, as_json: bool) -> None:
    from cluster.submit import Following, exit_code
    from engine.disk.steps import interruptible

    relay, again = Relay(as_json), f"`ratchet submit --resume {run_id}` continues"
    following = Following(client, job, relay.write)
    try:
        try:
            with interruptible():
                details = following.to_end()
        except KeyboardInterrupt:
            print(f"ratchet: job {job} is asked to stop", file=sys.stderr)
            details = following.stop()
    except KeyboardInterrupt:
        print(f"ratchet: its end is not waited for; {again}", file=sys.stderr)
        raise typer.Exit(130) from None
    code = exit_code(details)
    relay.end(succeeded=not code)
    if details.status == "STOPPED":
        print(f"ratchet: job {job} was stopped; {again}", file=sys.stderr)
    elif code and details.driver_exit_code is None:
        print(printable(f"ratchet: job {job} failed: {details.message}"), file=sys.stderr)
    raise typer.Exit(code)


@app.command("eval")
def evaluate(
    models: Annotated[
        list[str], typer.Argument(help="Each `embedded`, a directory, a model id, or a line (its champion).")
    ],
    task: Annotated[str, typer.Option("--task", help="A task's name, or the path of a Python file.")],
    data: Annotated[Path | None, typer.Option("--data", help="A file of problems; fresh without.")] = None,
    skip: Annotated[int, typer.Option("--skip", min=0, help="Records of the file to leave unread.")] = 0,
    num: Annotated[int | None, typer.Option("-n", min=1, help="How many; by default up to 100.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Repeats fresh problems by their seed.")] = None,
    as_json: AsJson = False,
) -> None:
    """Measure models side by side on the same problems, greedily. Readings of a file are kept."""
    from cluster.connect import connect
    from engine.disk.home import ratchet_home
    from engine.measure.readings import evaluate_models, print_reading, problems_for, settings_for
    from engine.registry.locate import model_dir_of

    # What can be refused is refused before anything is fetched or started.
    home = ratchet_home()
    asked = problems_for(home, task, data, skip=skip, num=num, seed=seed)
    settings = {name: settings_for(task, model_dir_of(home, name)) for name in dict.fromkeys(models)}
    plans = {name: _plan(config, home, training=False) for name, config in settings.items()}
    connect(plans[models[0]])
    reading = evaluate_models(home, settings, plans, asked)
    if as_json:
        show(reading, as_json)
        return
    print_reading(reading)


@app.command()
def serve(
    config: Annotated[Path, typer.Argument(help="A YAML file.")] = Path("configs/serve.yaml"),
    overrides: Annotated[list[str] | None, typer.Argument(help="Changes to it, such as port=9000.")] = None,
) -> None:
    """Serve a line's champion over HTTP until Ctrl-C, through its promotions and rollbacks."""
    from cluster.connect import connect
    from configs.load import load_as
    from configs.serving import Serving
    from engine.disk.home import ratchet_home
    from engine.disk.steps import interruptible
    from serve.app import alone, prepare, run
    from serve.keys import Keys

    settings, home = load_as(Serving, config, overrides), ratchet_home()
    machine = _machine(home)

    def ready(url: str) -> None:
        print(f"{settings.line} is served at {url}/v1, and its page at {url}/", flush=True)
        if not any(not key.revoked for key in Keys(home).all()):
            print("no key is there yet: `ratchet keys create NAME` makes one", flush=True)

    footing = prepare(settings, home, machine)
    with alone(settings, home):
        connect(footing)
        try:
            with interruptible():
                run(settings, home, machine, ready)
        except KeyboardInterrupt:
            print("ratchet: the server has ended", file=sys.stderr)


@keys_app.command("create")
def keys_create(
    name: Annotated[str, typer.Argument(help="Whose it is.")],
    scope: Annotated[list[str] | None, typer.Option(help="infer (the default) or admin.")] = None,
    requests_per_minute: Annotated[int | None, typer.Option(min=1, help="Instead of the server's.")] = None,
    tokens_per_minute: Annotated[int | None, typer.Option(min=1, help="Instead of the server's.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a key. It is shown this once."""
    key, token = _keys().create(name, scope or ["infer"], requests_per_minute, tokens_per_minute)
    if as_json:
        show({"id": key.id, "name": key.name, "key": token}, as_json)
    else:
        print(token)


@keys_app.command("list")
def keys_list(as_json: AsJson = False) -> None:
    """All keys, by name; what is kept does not give them away."""
    keys = _keys().all()
    if as_json:
        show({"keys": [replace(key, sha256="") for key in keys]}, as_json)
        return
    for key in keys:
        state = f"revoked {key.revoked}" if key.revoked else ", ".join(key.scopes)
        print(f"{key.id}  {key.name}  {state}  (created {key.created})")


@keys_app.command("revoke")
def keys_revoke(name: Annotated[str, typer.Argument(help="Its name or id.")]) -> None:
    """End a key; servers refuse it at once."""
    print(f"revoked {_keys().revoke(name).name}")


@app.command()
def verify(
    file: Annotated[Path, typer.Argument(help="JSON lines: premises, question, proof, answer where known.")],
    verifier: Annotated[str, typer.Option(help="rules, z3, or both in turn.")] = "rules + z3",
) -> None:
    """Check proofs from anywhere: one JSON verdict a record, with a reason for every line.

    Exit code 0 where every record passes, 1 where one does not, 2 where the file cannot be read.
    """
    from engine.verify.proof_file import verify_file

    raise typer.Exit(1 if verify_file(file, sys.stdout, verifier) else 0)


@app.command()
def report(name: RunName = "latest") -> None:
    """Write a run's report.html, also while it runs, and print where it is; for a sweep its sweep.html."""
    from engine.disk.home import ratchet_home, run_dir_of

    print(_write_reports(run_dir_of(ratchet_home(), name)))


@app.command()
def dashboard(
    name: RunName = "latest",
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="By default one that is free.")] = None,
) -> None:
    """Show a run in TensorBoard until Ctrl-C, also while it runs: curves, and a sweep's HParams."""
    from cluster.connect import ray_dashboard
    from engine.disk.home import ratchet_home, run_dir_of
    from engine.disk.steps import interruptible
    from tune.dashboard import show_dashboard

    run_dir = run_dir_of(ratchet_home(), name)

    def ready(url: str) -> None:
        print(f"TensorBoard shows {run_dir.name} at {url}; Ctrl-C ends it", flush=True)
        if link := ray_dashboard():
            print(f"Ray's dashboard is at {link}", flush=True)

    try:
        with interruptible():
            show_dashboard(run_dir, port, ready)
    except KeyboardInterrupt:
        print("ratchet: the dashboard has ended", file=sys.stderr)


@app.command()
def doctor(
    config: Annotated[Path | None, typer.Argument(help="Also its plan and the power of its gate.")] = None,
    overrides: Annotated[list[str] | None, typer.Argument(help="Changes to it.")] = None,
    as_json: AsJson = False,
) -> None:
    """Tell what is here, what is missing and how to get it."""
    from configs.load import load
    from engine.disk.home import ratchet_home
    from engine.preflight.doctor import examine, examine_config, print_table

    home = ratchet_home()
    machine = _machine(home)
    findings = examine(machine, home)
    if config:
        findings += examine_config(load(config, overrides), machine, home)
    if as_json:
        show(findings, as_json)
        return
    print_table(findings)


@app.command()
def plan(
    config: Annotated[Path, typer.Argument(help="A YAML file, such as configs/cluster.yaml.")],
    overrides: Annotated[list[str] | None, typer.Argument(help="Changes to it.")] = None,
    nodes: Annotated[int, typer.Option(min=1, max=10_000, help="Equal ones.")] = 1,
    gpus_per_node: Annotated[int, typer.Option(min=0, max=128, help="0: on CPUs.")] = 0,
    gpu_memory_gib: Annotated[float, typer.Option(min=1, max=1e4, help="Of each GPU.")] = 80,
    cpus_per_node: Annotated[
        int | None, typer.Option(min=1, max=10_000, help="12 a GPU, or 8 without any.")
    ] = None,
    memory_per_node_gib: Annotated[
        float | None, typer.Option(min=1, max=1e6, help="Not checked without.")
    ] = None,
    gpu_hour_price: Annotated[
        float | None, typer.Option(min=0, max=1e6, help="Of one GPU for an hour.")
    ] = None,
    assume: Annotated[
        list[str] | None, typer.Option(help="Another assumption, such as train_mfu=0.4 or 0.3..0.5.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Tell where a campaign would run, what it would need, take and cost. Nothing is started."""
    from configs.load import load
    from engine.plan.footprint import GIB
    from engine.plan.placement import Cluster
    from engine.preflight.doctor import print_table
    from engine.preflight.dry_page import page
    from engine.preflight.dry_plan import make_dry_plan

    cluster = Cluster(
        nodes=nodes,
        gpus_per_node=gpus_per_node,
        gpu_memory=int(gpu_memory_gib * GIB),
        cpus_per_node=cpus_per_node or 12 * gpus_per_node or 8,
        memory_per_node=None if memory_per_node_gib is None else int(memory_per_node_gib * GIB),
    )
    dry = make_dry_plan(load(config, overrides), cluster, price=gpu_hour_price, assume=assume or ())
    if as_json:
        show(dry, as_json)
        return
    print_table(page(dry))


@models_app.callback()
def models(context: typer.Context, as_json: AsJson = False) -> None:
    """Models and lines of the registry; `list` where no command is given."""
    if context.invoked_subcommand is None:
        models_list(as_json)


@models_app.command("list")
def models_list(as_json: AsJson = False) -> None:
    """All lines with their champions, and all stored models."""
    registry = _registry()
    if as_json:
        show({"lines": registry.lines(), "models": registry.models()}, as_json)
        return
    for line in registry.lines():
        left = f", {line.ledger.num_left} gate tests left" if line.ledger else ""
        print(f"{line.name}  champion {line.champion or 'none'} (epoch {line.epoch}{left})")
    for stored in registry.models():
        freed = "weights freed" if stored.freed else f"{stored.num_bytes / 2**20:.0f} MiB"
        print(f"{stored.manifest.model_id}  {freed}  {', '.join(stored.lines)}")
    if not registry.lines():
        print("the registry is empty: `ratchet run configs/quickstart.yaml` fills it")


@models_app.command("show")
def models_show(name: Annotated[str, typer.Argument(help="A line.")], as_json: AsJson = False) -> None:
    """A line: champion, ledger and history."""
    registry = _registry()
    line = registry.used_line(name)
    if as_json:
        show({"line": line, "history": registry.history(name)}, as_json)
        return
    show(line, as_json)
    for event in registry.history(name):
        print(printable(f"{event.time}  {event.kind}  {event.model_id}  {event.reason}"))


@models_app.command("rollback")
def models_rollback(
    name: Annotated[str, typer.Argument(help="A line.")],
    reason: Annotated[str, typer.Option(help="Kept in the history.")] = "by hand",
) -> None:
    """Make the previous champion of a line its champion again."""
    line = _registry().rollback(name, reason)
    print(f"{line.name}  champion {line.champion} (epoch {line.epoch})")


@models_app.command("prune")
def models_prune(
    name: Annotated[str | None, typer.Argument(help="Only models of this line.")] = None,
    keep: Annotated[int, typer.Option(min=0, help="Keep so many of the newest.")] = 0,
) -> None:
    """Free the weights of models that no line needs; what was recorded of them stays."""
    freed = _registry().prune(name, keep)
    size = sum(stored.num_bytes for stored in freed)
    print(f"freed {len(freed)} models, {size / 2**20:.0f} MiB")


def _campaign(opened: "Run", plan: "Plan", as_json: bool) -> None:
    def drive() -> "Summary":
        from loops.campaign import run_campaign

        return run_campaign(opened, plan)

    _drive(opened, plan, drive, as_json)


def _trial_plans(settings: "Sweep", campaign: "Campaign", home: Path) -> tuple["Plan", "Plan"]:
    from tune.plan import plans

    return plans(settings, campaign, _machine(home), home)


def _sweep(opened: "Run", home: Path, plans: tuple["Plan", "Plan"], as_json: bool) -> None:
    from tune.plan import footing, sweep_of

    settings, campaign = sweep_of(opened.path)
    trial, whole = plans

    def drive() -> "Summary":
        from tune.sweep import run_sweep

        return run_sweep(opened, home, trial, whole)

    _drive(opened, footing(settings, campaign.config, trial, whole), drive, as_json)


def _drive(opened: "Run", needs: "Needs", drive: Callable[[], "Summary"], as_json: bool) -> None:
    from cluster.connect import connect
    from engine.disk.steps import interruptible

    if summary := opened.summary():
        # A kill may have come between the two.
        _write_reports(opened.path)
        show(summary, as_json)
        return
    logging.basicConfig(
        format="%(asctime)s %(message)s", datefmt="%H:%M:%S", level=logging.INFO, handlers=[LogLines()]
    )
    again = f"`ratchet resume {opened.id}` continues"
    try:
        if link := connect(needs):
            log.info("Ray's dashboard: %s", link)
        # After Ray has started: it puts a handler of its own for SIGTERM in the place of ours.
        with interruptible():
            summary = drive()
    except KeyboardInterrupt:
        print(f"ratchet: interrupted; {again}", file=sys.stderr)
        raise typer.Exit(130) from None
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        where = printable(str(error.filename or "a file could not be written"))
        print(f"ratchet: the disk is full: {where}; free some space, then {again}", file=sys.stderr)
        raise typer.Exit(2) from None
    show(summary, as_json)


def _write_reports(run_dir: Path) -> Path:
    """Of a run, and where it is one of a sweep; the path of the latter, if there is such."""
    from engine.report.campaign import write_report
    from tune.plan import is_sweep
    from tune.report import write_sweep_report

    written = write_report(run_dir)
    return write_sweep_report(run_dir) if is_sweep(run_dir) else written


def _machine(home: Path) -> "Machine":
    from cluster.connect import cluster_machine
    from engine.disk.home import inside_job
    from engine.plan.machine import detect_machine

    return cluster_machine(home) if inside_job() else detect_machine(home)


def _plan(settings: "Config", home: Path, *, training: bool = True) -> "Plan":
    from engine.plan.plan import make_plan

    return make_plan(settings, _machine(home), home, training=training)


def _keys() -> "Keys":
    from engine.disk.home import ratchet_home
    from serve.keys import Keys

    return Keys(ratchet_home())


def _registry() -> "Registry":
    from engine.disk.home import ratchet_home
    from engine.registry.registry import Registry

    return Registry(ratchet_home())


_UNUSABLE = {errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.EROFS}
"""What the place of RATCHET_HOME may be: a file, or not writable."""


def _users_error(error: Exception) -> str | None:
    """The sentence for what our own errors name: a user's mistake, a part that was lost. None for a bug."""
    # What a Ray worker raised arrives wrapped, with the worker's traceback for its text.
    cause = getattr(error, "cause", None)
    error = cause if isinstance(cause, Exception) else error
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return f"the disk is full: {error.filename or 'a file'} could not be written"
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG and error.filename:
        return f"the name is too long for a file: {error.filename}"
    if isinstance(error, OSError) and error.errno in _UNUSABLE and error.filename:
        from engine.disk.home import ratchet_home

        if Path(error.filename).absolute().is_relative_to(ratchet_home().absolute()):
            return f"RATCHET_HOME {ratchet_home()} cannot be used: {error.filename}: {error.strerror}"
    ours = type(error).__module__.partition(".")[0] in OURS
    return str(error) if isinstance(error, ValueError | RuntimeError) and ours else None


def main() -> None:
    """Entry point of the `ratchet` command: the one place where errors become exit codes."""
    try:
        app()
    except Exception as error:
        sentence = _users_error(error)
        if sentence is None:
            raise
        print(printable(f"ratchet: {sentence}"), file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()

"""`ratchet submit`: a campaign, a sweep or an experiment as a Ray job.

ratchet submit configs/quickstart.yaml --submission-id nightly
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.terminal import INTERRUPTED, AsJson, Relay, printable, show

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

app = typer.Typer()

_BLANK_IN_PATH = "If Ray was started from a path with a blank in it, it starts no jobs."


@app.command()
def submit(
    config: Annotated[Path | None, typer.Argument(help="A YAML file in the working directory.")] = None,
    overrides: Annotated[list[str] | None, typer.Argument(help="Changes to it, as key=value.")] = None,
    address: Annotated[
        str,
        typer.Option(
            envvar=["RAY_API_SERVER_ADDRESS", "RAY_ADDRESS"], help="Address of the cluster's dashboard."
        ),
    ] = "http://127.0.0.1:8265",
    submission_id: Annotated[
        str | None, typer.Option(help="Names the run; the same id again continues the same run.")
    ] = None,
    working_dir: Annotated[
        Path, typer.Option(help="Directory to upload, less what .gitignore and .rayignore name.")
    ] = Path(),
    sweep: Annotated[bool, typer.Option("--sweep", help="The file describes a sweep.")] = False,
    experiment: Annotated[
        bool, typer.Option("--experiment", help="The file describes an experiment.")
    ] = False,
    resume: Annotated[str | None, typer.Option(help="Continue a run by its id.")] = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Follow the job until it ends.")] = True,
    as_json: AsJson = False,
) -> None:
    """Run as a Ray job on a cluster and exit with its code. Ctrl-C stops the job, resumably."""
    from cluster.order import OrderError, order_resume, order_run
    from cluster.submit import open_client, send
    from engine.disk.home import new_run_id

    if resume is not None and (config or submission_id or sweep or experiment):
        raise OrderError(
            "--resume RUN takes no config, --submission-id, --sweep or --experiment: the run has its own"
        )
    if sweep and experiment:
        raise OrderError("a file describes a sweep or an experiment, got both --sweep and --experiment")
    if resume is not None:
        order = order_resume(resume, working_dir=working_dir)
    elif config is None:
        raise OrderError("submit needs a config, or --resume RUN to continue a run, got neither")
    else:
        order = order_run(
            config,
            overrides or [],
            kind="sweep" if sweep else "experiment" if experiment else "run",
            submission_id=submission_id,
            new_id=new_run_id,
            working_dir=working_dir,
        )
    client = open_client(address)
    job, new = send(client, order, as_json)
    if not wait:
        show({"job": job, "run_id": order.run_id}, as_json)
        return
    print(f"ratchet: job {job} {'was sent' if new else 'exists already'}", file=sys.stderr)
    _follow(client, job, order.run_id, as_json)


def _follow(client: "JobSubmissionClient", job: str, run_id: str, as_json: bool) -> None:
    """Show a job's output until it ends, and exit with its code; an interruption stops the job."""
    from cluster.follow import Following, exit_code
    from engine.disk.interruption import interruptible

    def tell(why: str) -> None:
        print(printable(f"ratchet: job {job} has not started: {why} {_BLANK_IN_PATH}"), file=sys.stderr)

    relay, again = Relay(as_json), f"`ratchet submit --resume {run_id}` continues"
    following = Following(client, job, relay.write, tell)
    try:
        try:
            with interruptible():
                details = following.to_end()
        except KeyboardInterrupt:
            print(f"ratchet: stopping job {job}", file=sys.stderr)
            details = following.stop()
    except KeyboardInterrupt:
        print(f"ratchet: not waiting for job {job} to end; {again}", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None
    code = exit_code(details)
    relay.end(succeeded=not code)
    if details.status == "STOPPED":
        print(f"ratchet: job {job} was stopped; {again}", file=sys.stderr)
    elif code and details.driver_exit_code is None:
        print(printable(f"ratchet: job {job} failed: {details.message}"), file=sys.stderr)
    raise typer.Exit(code)

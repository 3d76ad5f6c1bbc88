"""Connect to Ray, on one machine or inside `ray job submit`.

On one machine, Ray is started with the resources that the plan needs. Inside a job, where RAY_ADDRESS is set,
the driver joins the cluster and checks that it has those resources.
"""

import contextlib
import http.client
import json
import logging
import os
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel

from cluster.place import directories, python_for_workers, settle_home, settle_temporary, unfit
from cluster.shared import require_shared
from configs.load import require_run_id
from engine.disk.home import inside_job, ratchet_home
from engine.errors import Mistake, last_line
from engine.plan.machine import Machine, detect_bf16, detect_machine, free_disk
from engine.plan.precision import settle

T = TypeVar("T", bound=BaseModel)

DASHBOARD = "RATCHET_RAY_DASHBOARD"
"""Environment variable; 1 starts Ray's dashboard along with Ray."""
OBJECT_STORE = 256 << 20
"""Bytes. Ray carries only records; weights are files."""

_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Under `uv run`, Ray would otherwise upload the working directory and build an environment per worker.
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    # A worker imports torch, transformers and trl, which can take over the default minute on two cores.
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "300",
    # At Ray's niceness of 15 any other process delays a thread of an engine, and its other threads wait.
    "RAY_worker_niceness": "0",
    # A lost HTTP proxy restarts after three failed checks: after three seconds instead of thirty.
    "RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S": "1",
    "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "serve.edge.middlewares",
    # Otherwise each Tune trial changes into its own directory, where relative paths in its config fail.
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    # Tune would print a banner among our lines, and before the JSON of a sweep or an experiment.
    "RAY_AIR_NEW_OUTPUT": "0",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "TOKENIZERS_PARALLELISM": "false",
    # Ray trains in a thread, and glibc returns memory freed by a thread to the kernel, only to fault it in
    # again at the next step. With one heap that keeps it, training on two cores is 1.1 to 1.3 times as fast.
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(1 << 32),
}
_ALONE = {
    # Each of our processes has an environment of its own, so those that Ray would start in advance, and wait
    # for, are of no use.
    "RAY_prestart_worker_first_driver": "0",
    # Nobody gives notice that this machine will be taken away, so no process need wait for it.
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
}
"""More of them where Ray is started for one run on this machine."""


class ConnectError(Mistake):
    """The Ray cluster cannot be joined, or lacks resources that a run needs."""


class Needs(Protocol):
    """The Ray resources that a plan needs."""

    @property
    def num_cpus(self) -> int: ...

    @property
    def num_gpus(self) -> int: ...

    @property
    def resources(self) -> Mapping[str, float]: ...


def submission_id() -> str | None:
    """The id of the Ray job that runs this driver, which names its run; None outside a job.

    Raises ConfigError if the id cannot name a run.
    """
    submitted = _job().get("metadata", {}).get("job_submission_id")
    return None if submitted is None else require_run_id(submitted, "the job's submission id")


def _job() -> dict[str, Any]:
    """Ray's description of the job that runs this driver; empty outside a job."""
    try:
        return json.loads(os.environ.get("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}"))
    except ValueError:
        return {}


def connect(plan: Needs) -> str | None:
    """Join the job's cluster, or start Ray on this machine with the resources that `plan` needs.

    Returns the address of Ray's dashboard, or None without one. Raises ConnectError if the cluster lacks a
    resource or this machine a directory for Ray, and StorageError if nodes do not share RATCHET_HOME.
    """
    if inside_job():
        url = _join()
        import ray

        require_shared(ratchet_home())
        available = ray.cluster_resources()
        for name, needed in {"CPU": plan.num_cpus, "GPU": plan.num_gpus, **plan.resources}.items():
            if available.get(name, 0) < needed:
                option = json.dumps(dict(plan.resources))
                hint = f": start Ray with --resources='{option}'" if name in plan.resources else ""
                raise ConnectError(
                    f"the plan needs {needed:g} of the Ray resource {name}, but the cluster has "
                    f"{available.get(name, 0):g}{hint}"
                )
        return url
    settle_home(ratchet_home() / "home")
    dashboard = os.environ.get(DASHBOARD) == "1"
    settle_temporary(directory := _ray_directory(dashboard))
    set_environment(_ENVIRONMENT | _ALONE)
    # Ray warns at every start that access to it needs a token.
    logging.getLogger("ray._private.authentication").setLevel(logging.ERROR)
    with _keeping_sigterm():
        started = _start(
            "local",  # a cluster that `ray start` left on this machine is for jobs
            num_cpus=plan.num_cpus,
            num_gpus=plan.num_gpus,
            resources=dict(plan.resources),
            object_store_memory=OBJECT_STORE,
            include_dashboard=dashboard,
            log_to_driver=False,
            logging_level="WARNING",
            runtime_env=python_for_workers(here=True) or None,
            _temp_dir=str(directory),
        )
    # Ray creates its token file readable by everybody.
    token = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")
    with contextlib.suppress(OSError):  # there is none, or it is somebody else's
        token.chmod(0o600)
    return _address(started.dashboard_url)


def _ray_directory(dashboard: bool) -> Path:
    """The directory that Ray keeps its files and sockets in. Raises ConnectError."""
    if named := os.environ.get("RAY_TMPDIR"):
        directory = Path(os.path.expanduser(named)).absolute() / "ray"
        if reason := unfit(directory, dashboard=dashboard):
            raise ConnectError(f"Ray cannot use {directory}, as RAY_TMPDIR={named} wants it to: {reason}")
        return directory
    refused = []
    for directory in directories():
        if not (reason := unfit(directory, dashboard=dashboard)):
            return directory
        refused.append(f"{directory} ({reason})")
    raise ConnectError(
        f"Ray cannot use {' or '.join(refused)}: set RAY_TMPDIR to a directory of yours with a short path"
    )


def _start(*address: str, **options: Any) -> Any:
    """`ray.init`, twice where a busy machine does not start Ray's node within the 30 s that Ray allows."""
    import ray

    try:
        return ray.init(*address, **options)
    except Exception as error:
        if "timed out during startup" not in str(error):
            raise
    ray.shutdown()
    return ray.init(*address, **options)


@contextlib.contextmanager
def _keeping_sigterm() -> Iterator[None]:
    """Start or join Ray, which takes SIGTERM for itself and answers it with exit code 15 or 1."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    except SystemExit:
        raise KeyboardInterrupt from None
    finally:
        if callable(before):  # the default would leave Ray's processes to themselves
            signal.signal(signal.SIGTERM, before)


def ray_dashboard() -> str | None:
    """The address of a Ray dashboard, for a process that is not on Ray; None if no dashboard answers.

    The address is RAY_API_SERVER_ADDRESS, by default the one that Ray uses on this machine.
    """
    address = os.environ.get("RAY_API_SERVER_ADDRESS", "http://127.0.0.1:8265").rstrip("/")
    # It is on this machine or in its cluster, where no proxy leads.
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        try:
            with direct.open(f"{address}/api/version", timeout=2) as reply:
                answers = "ray_version" in json.load(reply)
        except urllib.error.HTTPError as error:
            # A dashboard that wants a token is a dashboard.
            answers = about_token(error.read().decode(errors="replace"))
    except (OSError, http.client.HTTPException, ValueError, TypeError):
        answers = False
    return address if answers else None


def about_token(said: str) -> bool:
    """Whether a refusal is that of a Ray dashboard, which wants a token, and not of a proxy on the way."""
    return "Missing authentication token" in said or "Invalid authentication token" in said


def machine_here(at: Path) -> Machine:
    """The job's whole cluster inside a job, else this machine; `at` is RATCHET_HOME, whose disk is measured.

    Whatever comes later may need a HOME, so that this process is given one where it has none.
    """
    settle_home(at / "home")
    return cluster_machine(at) if inside_job() else detect_machine(at)


def settled_here(settings: T, home: Path) -> tuple[T, Machine]:
    """The settings with what they leave to the machine decided, and the machine."""
    machine = machine_here(home)
    return settle(settings, machine), machine


def cluster_machine(at: Path) -> Machine:
    """All nodes of the job's cluster as one machine; joins it. Ray does not know the memory of GPUs."""
    _join()
    import ray

    total = ray.cluster_resources()
    alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    nodes = sorted((int(each["CPU"]), int(each.get("GPU", 0))) for each in alive if each.get("CPU", 0) >= 1)
    return Machine(
        num_cpus=int(total.get("CPU", 0)),
        memory=int(total.get("memory", 0)) or None,
        disk=free_disk(at),
        num_gpus=int(total.get("GPU", 0)),
        gpu=None,
        node_cpus=tuple(cpus for cpus, _ in nodes),
        node_gpus=tuple(gpus for _, gpus in nodes),
        cpu_bf16=detect_bf16(),
    )


def set_environment(variables: Mapping[str, str] = _ENVIRONMENT) -> None:
    """Set the variables that Ray and vLLM read, some of them when they are imported: call it before."""
    for name, value in variables.items():
        os.environ.setdefault(name, value)


def _address(url: str | None) -> str | None:
    return f"http://{url}" if url else None


def _join() -> str | None:
    """Join the job's cluster. Returns the address of Ray's dashboard, or None without one."""
    set_environment()
    import ray

    try:
        # The address comes from RAY_ADDRESS. Variables that the driver sets for itself do not leave its node,
        # and Ray refuses to set those of the job again.
        of_job = _job().get("runtime_env", {})
        given = of_job.get("env_vars", {})
        python = {} if "py_executable" in of_job else python_for_workers(here=False)
        with _keeping_sigterm():
            joined = ray.init(
                ignore_reinit_error=True,
                log_to_driver=False,
                logging_level="WARNING",
                runtime_env={
                    "env_vars": {name: _ENVIRONMENT[name] for name in _ENVIRONMENT if name not in given},
                    **python,
                },
            )
    except ray.exceptions.AuthenticationError:
        raise ConnectError(
            f"the Ray cluster at {os.environ['RAY_ADDRESS']} refuses this token: set RAY_AUTH_TOKEN_PATH "
            "to the cluster's own token, and RAY_AUTH_MODE=token"
        ) from None
    except (ConnectionError, RuntimeError) as error:
        # What differs is on several lines: it is versions of Ray and Python.
        reason = " ".join(str(error).split()) if "mismatch" in str(error) else last_line(error)
        raise ConnectError(
            f"the Ray cluster at {os.environ['RAY_ADDRESS']} cannot be joined: {reason}"
        ) from None
    return _address(joined.dashboard_url)

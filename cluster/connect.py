"""Getting onto Ray: one path for a laptop and for a driver inside `ray job submit`.

Locally Ray is started with what the plan says. Inside a job (RAY_ADDRESS is set) the cluster is
there already, and what the plan needs is checked against it.
"""

import contextlib
import json
import logging
import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from cluster.shared import require_shared
from configs.load import require_run_id
from engine.disk.home import inside_job, ratchet_home
from engine.plan.machine import Machine, free_disk

DASHBOARD = "RATCHET_RAY_DASHBOARD"
"""Environment variable: 1 starts Ray's dashboard with Ray."""
OBJECT_STORE = 256 << 20
"""Bytes. Only records travel through Ray; weights travel as files."""

_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Below a `uv run` Ray would otherwise upload the working directory and build an environment a worker.
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    # Workers import torch, transformers and trl as they start: two cores can need more than the usual minute.
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "300",
    # At Ray's niceness of 15 each thread of an engine gives way to every other process, and its fellows wait.
    "RAY_worker_niceness": "0",
    # A lost HTTP proxy is started anew after three failed checks: after three seconds, not thirty.
    "RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S": "1",
    "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "serve.edge.middlewares",
    # A trial of Tune's would else work in a directory of its own, where a path in its config means nothing.
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "TOKENIZERS_PARALLELISM": "false",
    # Ray trains in a thread. What a thread frees glibc gives back to the kernel, only to fault it in again at
    # the next step; kept in one heap instead, training on two cores is 1.1 to 1.3 times as fast.
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(1 << 32),
}


class ConnectError(ValueError):
    """Ray, or the place of a job, is not as a run needs it."""


class Needs(Protocol):
    """What a plan says of Ray."""

    @property
    def num_cpus(self) -> int: ...

    @property
    def num_gpus(self) -> int: ...

    @property
    def resources(self) -> Mapping[str, float]: ...


def submission_id() -> str | None:
    """The id of the Ray job that this driver is, which names its run; None outside one.

    Raises ConfigError where no run can be called so.
    """
    told = _job().get("metadata", {}).get("job_submission_id")
    return None if told is None else require_run_id(told, "the job's submission id")


def _job() -> dict[str, Any]:
    """What Ray tells the driver of its job; empty outside one."""
    try:
        return json.loads(os.environ.get("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}"))
    except ValueError:
        return {}


def connect(plan: Needs) -> str | None:
    """Join the job's cluster, or start Ray on this machine with what `plan` says.

    Returns the address of Ray's dashboard, where there is one. Raises ConnectError where the cluster lacks
    something that the plan needs, StorageError where its nodes do not share RATCHET_HOME.
    """
    if inside_job():
        url = _join()
        import ray

        require_shared(ratchet_home())
        there = ray.cluster_resources()
        for name, needed in {"CPU": plan.num_cpus, "GPU": plan.num_gpus, **plan.resources}.items():
            if there.get(name, 0) < needed:
                option = json.dumps(dict(plan.resources))
                hint = f": start Ray with --resources='{option}'" if name in plan.resources else ""
                raise ConnectError(
                    f"the plan needs {needed:g} of the Ray resource {name}, but the cluster has "
                    f"{there.get(name, 0):g}{hint}"
                )
        return url
    set_environment()
    import ray

    # At every start Ray warns that access to it needs a token.
    logging.getLogger("ray._private.authentication").setLevel(logging.ERROR)
    started = ray.init(
        "local",  # one that runs here already, by `ray start`, takes jobs
        num_cpus=plan.num_cpus,
        num_gpus=plan.num_gpus,
        resources=dict(plan.resources),
        object_store_memory=OBJECT_STORE,
        include_dashboard=os.environ.get(DASHBOARD) == "1",
        log_to_driver=False,
        logging_level="WARNING",
    )
    # Ray makes its token file readable by everybody.
    token = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")
    with contextlib.suppress(FileNotFoundError):
        token.chmod(0o600)
    return _address(started.dashboard_url)


def ray_dashboard() -> str | None:
    """The address of a Ray dashboard that answers, for a process that is not on Ray; None where none does.

    It is looked for where RAY_API_SERVER_ADDRESS says, else where Ray puts it on this machine.
    """
    address = os.environ.get("RAY_API_SERVER_ADDRESS", "http://127.0.0.1:8265").rstrip("/")
    try:
        with urllib.request.urlopen(f"{address}/api/version", timeout=2) as reply:
            there = "ray_version" in json.load(reply)
    except urllib.error.HTTPError as error:
        # It is there, and wants a token.
        there = error.code in (401, 403)
    except (OSError, ValueError):
        there = False
    return address if there else None


def cluster_machine(at: Path) -> Machine:
    """All nodes of the job's cluster taken together; joins it. The memory of GPUs is not known."""
    _join()
    import ray

    there = ray.cluster_resources()
    gpus = int(there.get("GPU", 0))
    alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    nodes = sorted((int(each["CPU"]), int(each.get("GPU", 0))) for each in alive if each.get("CPU", 0) >= 1)
    return Machine(
        num_cpus=int(there.get("CPU", 0)),
        memory=int(there.get("memory", 0)) or None,
        disk=free_disk(at),
        num_gpus=gpus,
        gpu=None,
        node_cpus=tuple(cpus for cpus, _ in nodes),
        node_gpus=tuple(gpus for _, gpus in nodes),
    )


def set_environment() -> None:
    """Before Ray is imported: some of it is read then."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)


def _address(url: str | None) -> str | None:
    return f"http://{url}" if url else None


def _join() -> str | None:
    """Returns the address of Ray's dashboard, where there is one."""
    set_environment()
    import ray

    try:
        # The address comes from RAY_ADDRESS; what the driver sets in its own environment stops at its node.
        # Ray refuses what the job says already.
        said = _job().get("runtime_env", {}).get("env_vars", {})
        joined = ray.init(
            ignore_reinit_error=True,
            log_to_driver=False,
            logging_level="WARNING",
            runtime_env={"env_vars": {name: _ENVIRONMENT[name] for name in _ENVIRONMENT if name not in said}},
        )
    except ray.exceptions.AuthenticationError:
        raise ConnectError(
            f"the Ray cluster at {os.environ['RAY_ADDRESS']} refuses this token: give its own by "
            "RAY_AUTH_TOKEN_PATH, with RAY_AUTH_MODE=token"
        ) from None
    except (ConnectionError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[-1]
        raise ConnectError(
            f"the Ray cluster at {os.environ['RAY_ADDRESS']} cannot be joined: {reason}"
        ) from None
    return _address(joined.dashboard_url)

"""Send, follow, stop and continue runs as Ray jobs, from any machine that reaches the dashboard.

    ratchet submit configs/quickstart.yaml --address http://127.0.0.1:8265 --submission-id nightly

A Ray job runs once and uses up its id. A run may take several jobs: the first has the run's id, those that
continue it are `ID.2`, `ID.3` and so on. So submitting an id again joins a running job, shows a finished one,
and continues a run that was stopped or failed.
"""

import asyncio
import logging
import os
import re
import shlex
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from cluster.connect import set_environment
from cluster.order import Order
from engine.errors import Mistake

if TYPE_CHECKING:
    from ray.job_submission import JobDetails, JobSubmissionClient

T = TypeVar("T")

INTERRUPTED = 130
_RUN, _CONFIG = "ratchet_run", "ratchet_config"
"""Metadata of a job: the run that it drives, and the hash of its config."""
_ENDED = ("SUCCEEDED", "FAILED", "STOPPED")
_POLL_SECONDS = 0.5
_CONNECT_SECONDS = 10.0
_ANSWER_SECONDS = 30.0
"""Time limit of each GET request. Orders, uploads and the log have none."""
_AWAY_SECONDS = 60.0
"""How long a dashboard may be unreachable after it has answered once."""


class SubmitError(Mistake):
    """A job that cannot be sent or followed; the message says what was wrong and what to do."""


def open_client(address: str) -> "JobSubmissionClient":
    """Connect to the dashboard at `address`. Raises SubmitError."""
    if not address.startswith(("http://", "https://")):
        raise SubmitError(
            "--address must be that of a Ray dashboard, such as http://127.0.0.1:8265, got "
            + _without_credentials(address)
        )
    try:
        url = urlsplit(address)
        # Ray's own requests have no time limit, so the connection is tried here first.
        port = url.port or (443 if url.scheme == "https" else 80)
        socket.create_connection((url.hostname or "", port), timeout=_CONNECT_SECONDS).close()
    except (OSError, ValueError):
        raise _no_dashboard(address) from None
    set_environment()
    # Ray prefers this variable to the address that it is given.
    os.environ["RAY_API_SERVER_ADDRESS"] = address
    token = os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token"
    if os.environ.get("RAY_AUTH_TOKEN") or Path(token).exists():
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    from ray.job_submission import JobSubmissionClient

    logging.getLogger("ray").setLevel(logging.ERROR)
    for name in ("dashboard_sdk", "job.sdk"):
        logging.getLogger(f"ray.dashboard.modules.{name}").setLevel(logging.ERROR)

    class Client(JobSubmissionClient):
        # The requests of Ray's own client have no time limit.
        def _do_request(self, method: str, endpoint: str, **options: Any) -> Any:
            limit = {"timeout": _ANSWER_SECONDS} if method == "GET" else {}
            return super()._do_request(method, endpoint, **options, **limit)

    return _call(address, Client, address)


def send(client: "JobSubmissionClient", order: Order, as_json: bool) -> tuple[str, bool]:
    """Send a job that drives the run, unless one does already; returns the job's id, and whether it is new.

    Raises SubmitError, also if the run exists with another config.
    """
    address, number, deadline = client.get_address(), 1, time.monotonic() + _AWAY_SECONDS
    while True:
        jobs = _jobs_of(_call(address, client.list_jobs), order.run_id)
        known = (digest for job in jobs if (digest := (job.metadata or {}).get(_CONFIG)))
        config = next(known, order.config)
        if order.config and config != order.config:
            raise SubmitError(
                f"run {order.run_id} exists with another config; continue it with `ratchet submit --resume "
                f"{order.run_id}`, or choose another --submission-id"
            )
        if jobs and jobs[-1].status not in ("FAILED", "STOPPED"):
            return str(jobs[-1].submission_id), False
        number = max([number, *(_number(job, order.run_id) + 1 for job in jobs)])
        attempt = order.run_id if number == 1 else f"{order.run_id}.{number}"
        try:
            _call(address, _send, client, order, as_json, attempt, config)
        except SubmitError as error:
            if "already exists" in str(error):
                number += 1  # another submit was quicker, or another run has this name
            elif "try again later" in str(error) and time.monotonic() < deadline:
                time.sleep(_POLL_SECONDS)  # the cluster is still starting
            else:
                raise
        else:
            return attempt, True


def _send(client: "JobSubmissionClient", order: Order, as_json: bool, attempt: str, config: str) -> None:
    home = {"RATCHET_HOME": order.home} if order.home else {}
    client.submit_job(
        entrypoint=shlex.join(["python", "-m", "ratchet", *order.command, *(["--json"] if as_json else [])]),
        submission_id=attempt,
        runtime_env={
            "working_dir": str(order.working_dir),
            # Weights and runs stay here even if no .gitignore names them.
            "excludes": [".ratchet/"],
            "env_vars": home,
        },
        metadata={_RUN: order.run_id, _CONFIG: config} if config else {_RUN: order.run_id},
    )


class Following:
    """Follows a job until it ends."""

    def __init__(self, client: "JobSubmissionClient", job: str, write: Callable[[str], None]) -> None:
        """`write` receives the job's output from its beginning, as it arrives."""
        self._client, self._job, self._write = client, job, write
        self._num_written = 0

    def to_end(self) -> "JobDetails":
        """Wait for the job to end, and return its details. Raises SubmitError if the cluster is lost."""
        from aiohttp import ClientError

        unreachable_since = None
        while True:
            try:
                details = self._client.get_job_info(self._job)
                asyncio.run(self._tail())
                # The status is older than the output, so the output of an ended job is complete.
                if details.status in _ENDED:
                    return details
                unreachable_since = None
            except (OSError, RuntimeError, ClientError) as error:
                # The dashboard may be restarting while the job goes on.
                unreachable_since = unreachable_since or time.monotonic()
                if time.monotonic() - unreachable_since > _AWAY_SECONDS:
                    shown = _without_credentials(self._client.get_address())
                    raise SubmitError(
                        f"the cluster at {shown} cannot be reached: {_last_line(error)}"
                    ) from None
            time.sleep(_POLL_SECONDS)

    async def _tail(self) -> None:
        """Write the new part of the job's output; each stream starts from the beginning of the output."""
        num_seen = 0
        async for text in self._client.tail_job_logs(self._job):
            num_seen += len(text)
            if num_seen > self._num_written:
                new = text[self._num_written - num_seen :]
                self._num_written = num_seen
                self._write(new)

    def stop(self) -> "JobDetails":
        """Stop the job and wait for it to end. Raises SubmitError."""
        _call(self._client.get_address(), self._client.stop_job, self._job)
        return self.to_end()


def exit_code(details: "JobDetails") -> int:
    """The job's exit code; for a stopped job, whose code Ray does not keep, that of an interruption."""
    if details.status == "STOPPED":
        return INTERRUPTED
    code = details.driver_exit_code
    if code is None:
        return 0 if details.status == "SUCCEEDED" else 1
    return code if code >= 0 else 128 - code


def _jobs_of(jobs: Sequence["JobDetails"], run_id: str) -> list["JobDetails"]:
    """The jobs that drove a run, in order; one that `ray job submit` started under the run's id counts."""
    found = [job for job in jobs if ((job.metadata or {}).get(_RUN) or job.submission_id) == run_id]
    return sorted(found, key=lambda job: _number(job, run_id))


def _number(job: "JobDetails", run_id: str) -> int:
    number = (job.submission_id or "")[len(run_id) + 1 :]
    return int(number) if number.isdigit() else 1


def _call(address: str, call: Callable[..., T], *arguments: Any) -> T:
    """Call the dashboard. Raises SubmitError with the reason if that fails."""
    from ray.exceptions import AuthenticationError
    from requests import JSONDecodeError, RequestException, Timeout

    shown = _without_credentials(address)
    try:
        return call(*arguments)
    except AuthenticationError as error:
        problem = "refuses this token" if "invalid" in str(error).lower() else "wants a token"
        raise SubmitError(
            f"the cluster at {shown} {problem}: set RAY_AUTH_TOKEN_PATH to the cluster's own token, and "
            "RAY_AUTH_MODE=token"
        ) from None
    except JSONDecodeError:
        raise SubmitError(f"the server at {shown} is not a Ray dashboard") from None
    except Timeout:
        raise SubmitError(
            f"the server at {shown} gave no answer within {_ANSWER_SECONDS:g} s: give another --address, or "
            "try again later if it is a Ray dashboard"
        ) from None
    except (ConnectionError, RequestException):
        raise _no_dashboard(address) from None
    except (RuntimeError, ValueError) as error:
        raise SubmitError(f"the job cannot be sent to {shown}: {_last_line(error)}") from None


def _no_dashboard(address: str) -> SubmitError:
    return SubmitError(
        f"no Ray dashboard answers at {_without_credentials(address)}: start one with `ray start --head`, or "
        "give another --address"
    )


def _without_credentials(address: str) -> str:
    """The address without user and password."""
    return re.sub(r"(?s)^(\w+://)?.*@", r"\1", address)


def _last_line(error: Exception) -> str:
    """The last line of an error's message, which holds the reason in Ray's errors."""
    lines = str(error).strip().splitlines()
    return lines[-1].rstrip(".") if lines else type(error).__name__

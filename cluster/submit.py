"""Runs as Ray jobs: sent, followed to their end, stopped and continued from wherever the dashboard is seen.

    ratchet submit configs/quickstart.yaml --address http://127.0.0.1:8265 --submission-id nightly

A job of Ray's runs once, and its id is used up with it. A run may take several: the first has the run's own
id, those that continue it `ID.2`, `ID.3` and so on. So a second submit of one id joins what is running, shows
what has finished, and continues what was stopped or failed.
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

if TYPE_CHECKING:
    from ray.job_submission import JobDetails, JobSubmissionClient

T = TypeVar("T")

INTERRUPTED = 130
_RUN, _CONFIG = "ratchet_run", "ratchet_config"
"""Metadata of a job: the run that it drives, and the hash of what it was told."""
_ENDED = ("SUCCEEDED", "FAILED", "STOPPED")
_POLL_SECONDS = 0.5
_CONNECT_SECONDS = 10.0
_ANSWER_SECONDS = 30.0
"""For each question. Orders, uploads and the log take what they take."""
_AWAY_SECONDS = 60.0
"""How long a dashboard that answered before may be out of reach."""


class SubmitError(ValueError):
    """A job that cannot be sent or followed: what was wrong, and what to do."""


def open_client(address: str) -> "JobSubmissionClient":
    """A client of the dashboard at `address`. Raises SubmitError."""
    if not address.startswith(("http://", "https://")):
        raise SubmitError(
            f"--address must be that of a Ray dashboard, such as http://127.0.0.1:8265, got {_shown(address)}"
        )
    try:
        at = urlsplit(address)
        # With a limit of time, which Ray's own requests lack.
        port = at.port or (443 if at.scheme == "https" else 80)
        socket.create_connection((at.hostname or "", port), timeout=_CONNECT_SECONDS).close()
    except (OSError, ValueError):
        raise _no_dashboard(address) from None
    set_environment()
    # Ray would take another one from there, whatever it is told.
    os.environ["RAY_API_SERVER_ADDRESS"] = address
    token = os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token"
    if os.environ.get("RAY_AUTH_TOKEN") or Path(token).exists():
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    from ray.job_submission import JobSubmissionClient

    logging.getLogger("ray").setLevel(logging.ERROR)
    for name in ("dashboard_sdk", "job.sdk"):
        logging.getLogger(f"ray.dashboard.modules.{name}").setLevel(logging.ERROR)

    class Client(JobSubmissionClient):
        # What Ray's own asks has no limit of time.
        def _do_request(self, method: str, endpoint: str, **sent: Any) -> Any:
            limit = {"timeout": _ANSWER_SECONDS} if method == "GET" else {}
            return super()._do_request(method, endpoint, **sent, **limit)

    return _asked(address, Client, address)


def send(client: "JobSubmissionClient", order: Order, as_json: bool) -> tuple[str, bool]:
    """Have the run driven, by a job that is sent or by one that is there: its id, and whether it is new.

    Raises SubmitError, also where the run is another config's.
    """
    address, number, deadline = client.get_address(), 1, time.monotonic() + _AWAY_SECONDS
    while True:
        jobs = _jobs_of(_asked(address, client.list_jobs), order.run_id)
        told = next((hash for job in jobs if (hash := (job.metadata or {}).get(_CONFIG))), order.config)
        if order.config and told != order.config:
            raise SubmitError(
                f"run {order.run_id} is there with another config; continue it with `ratchet submit --resume "
                f"{order.run_id}`, or choose another --submission-id"
            )
        if jobs and jobs[-1].status not in ("FAILED", "STOPPED"):
            return str(jobs[-1].submission_id), False
        number = max([number, *(_number(job, order.run_id) + 1 for job in jobs)])
        attempt = order.run_id if number == 1 else f"{order.run_id}.{number}"
        try:
            _asked(address, _send, client, order, as_json, attempt, told)
        except SubmitError as error:
            if "already exists" in str(error):
                number += 1  # another submit was quicker, or this is the name of another run
            elif "try again later" in str(error) and time.monotonic() < deadline:
                time.sleep(_POLL_SECONDS)  # the cluster is just starting
            else:
                raise
        else:
            return attempt, True


def _send(client: "JobSubmissionClient", order: Order, as_json: bool, attempt: str, told: str) -> None:
    home = {"RATCHET_HOME": order.home} if order.home else {}
    client.submit_job(
        entrypoint=shlex.join(["python", "-m", "ratchet", *order.command, *(["--json"] if as_json else [])]),
        submission_id=attempt,
        runtime_env={
            "working_dir": str(order.working_dir),
            # Weights and runs, also where no .gitignore names them.
            "excludes": [".ratchet/"],
            "env_vars": home,
        },
        metadata={_RUN: order.run_id, _CONFIG: told} if told else {_RUN: order.run_id},
    )


class Following:
    """A job that is followed to its end."""

    def __init__(self, client: "JobSubmissionClient", job: str, write: Callable[[str], None]) -> None:
        """`write` takes the job's output as it comes, from its beginning."""
        self._client, self._job, self._write = client, job, write
        self._num_written = 0

    def to_end(self) -> "JobDetails":
        """The job when it has ended. Raises SubmitError where the cluster is gone."""
        from aiohttp import ClientError

        away_since = None
        while True:
            try:
                details = self._client.get_job_info(self._job)
                asyncio.run(self._tail())
                # Known before what is the rest of its output: then that is whole.
                if details.status in _ENDED:
                    return details
                away_since = None
            except (OSError, RuntimeError, ClientError) as error:
                # The dashboard may be started anew, and the job goes on meanwhile.
                away_since = away_since or time.monotonic()
                if time.monotonic() - away_since > _AWAY_SECONDS:
                    raise SubmitError(
                        f"the cluster at {_shown(self._client.get_address())} is out of reach: "
                        f"{_sentence(error)}"
                    ) from None
            time.sleep(_POLL_SECONDS)

    async def _tail(self) -> None:
        """Hand on what has not been, until the stream ends; it begins at the beginning each time."""
        num_seen = 0
        async for text in self._client.tail_job_logs(self._job):
            num_seen += len(text)
            if num_seen > self._num_written:
                new = text[self._num_written - num_seen :]
                self._num_written = num_seen
                self._write(new)

    def stop(self) -> "JobDetails":
        """Ask the job to stop, and wait for its end. Raises SubmitError."""
        _asked(self._client.get_address(), self._client.stop_job, self._job)
        return self.to_end()


def exit_code(details: "JobDetails") -> int:
    """The job's own; that of an interruption where it was stopped, whose own Ray does not keep."""
    if details.status == "STOPPED":
        return INTERRUPTED
    code = details.driver_exit_code
    if code is None:
        return 0 if details.status == "SUCCEEDED" else 1
    return code if code >= 0 else 128 - code


def _jobs_of(jobs: Sequence["JobDetails"], run_id: str) -> list["JobDetails"]:
    """Those that drove a run, in order; also one that `ray job submit` started under the run's id."""
    found = [job for job in jobs if ((job.metadata or {}).get(_RUN) or job.submission_id) == run_id]
    return sorted(found, key=lambda job: _number(job, run_id))


def _number(job: "JobDetails", run_id: str) -> int:
    number = (job.submission_id or "")[len(run_id) + 1 :]
    return int(number) if number.isdigit() else 1


def _asked(address: str, call: Callable[..., T], *arguments: Any) -> T:
    """What a request to the dashboard gives. Raises SubmitError with what was wrong."""
    from ray.exceptions import AuthenticationError
    from requests import JSONDecodeError, RequestException, Timeout

    shown = _shown(address)
    try:
        return call(*arguments)
    except AuthenticationError as error:
        asks = "refuses this token" if "invalid" in str(error).lower() else "asks for a token"
        raise SubmitError(
            f"the cluster at {shown} {asks}: give its own by RAY_AUTH_TOKEN_PATH, with RAY_AUTH_MODE=token"
        ) from None
    except JSONDecodeError:
        raise SubmitError(f"what answers at {shown} is no Ray dashboard") from None
    except Timeout:
        raise SubmitError(
            f"what is at {shown} gave no answer within {_ANSWER_SECONDS:g} s: if it is no Ray dashboard give "
            "another --address, else try again later"
        ) from None
    except (ConnectionError, RequestException):
        raise _no_dashboard(address) from None
    except (RuntimeError, ValueError) as error:
        raise SubmitError(f"the job cannot be sent to {shown}: {_sentence(error)}") from None


def _no_dashboard(address: str) -> SubmitError:
    return SubmitError(
        f"no Ray dashboard answers at {_shown(address)}: start one with `ray start --head`, or give another "
        "--address"
    )


def _shown(address: str) -> str:
    """Without user and password."""
    return re.sub(r"(?s)^(\w+://)?.*@", r"\1", address)


def _sentence(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[-1].rstrip(".") if lines else type(error).__name__

"""Send and continue runs as Ray jobs, from any machine that reaches the dashboard; `follow` follows them.

    ratchet submit configs/quickstart.yaml --address http://127.0.0.1:8265 --submission-id nightly

A Ray job runs once and uses up its id. A run may take several jobs: the first has the run's id, those that
continue it are `ID.2`, `ID.3` and so on. So submitting an id again joins a running job, shows a finished one,
and continues a run that was stopped or failed.
"""

import logging
import os
import re
import shlex
import socket
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from cluster.connect import about_token, set_environment
from cluster.order import Order
from cluster.own_python import HOOK
from cluster.upload import refusal
from engine.errors import Mistake, last_line
from engine.proxies import or_its_proxy, proxy_for, without_credentials

if TYPE_CHECKING:
    from ray.exceptions import AuthenticationError
    from ray.job_submission import JobDetails, JobSubmissionClient

T = TypeVar("T")

_RUN, _CONFIG = "ratchet_run", "ratchet_config"
"""Metadata of a job: the run that it drives, and the hash of its config."""
_STAYS = (".ratchet/",)
"""Weights and runs are not uploaded even if no .gitignore names them."""
_POLL_SECONDS = 0.5
_CONNECT_SECONDS = 10.0
_ANSWER_SECONDS = 30.0
"""Time limit of each GET request. Orders, uploads and the log have none."""
_STARTING_SECONDS = 60.0
"""How long a cluster may take to start."""
_PORTS = {"https": 443, "socks5": 1080, "socks5h": 1080}
"""Ports of addresses that name none; of any other scheme it is 80."""
_PROXIES: dict[str, str] = {}
"""Proxies of the environment through which dashboards are reached, by the dashboard's address."""


class SubmitError(Mistake):
    """A job that cannot be sent or followed; the message says what was wrong and what to do."""


def open_client(address: str) -> "JobSubmissionClient":
    """Connect to the dashboard at `address`. Raises SubmitError."""
    if not address.startswith(("http://", "https://")):
        raise SubmitError(
            "--address must be that of a Ray dashboard, such as http://127.0.0.1:8265, got "
            + without_credentials(address)
        )
    _find_way(address)
    set_environment()
    # Ray prefers this variable to the address that it is given.
    os.environ["RAY_API_SERVER_ADDRESS"] = address
    # Its compiled code finds a token by these, without asking for the user's entry in passwd.
    if os.path.isabs(home := os.path.expanduser("~")):
        os.environ["HOME"] = home
    token = os.environ.get("RAY_AUTH_TOKEN_PATH") or os.path.join(home, ".ray", "auth_token")
    if os.environ.get("RAY_AUTH_TOKEN") or os.path.exists(token):
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    from ray.job_submission import JobSubmissionClient

    logging.getLogger("ray").setLevel(logging.ERROR)
    for name in ("dashboard_sdk", "job.sdk"):
        logging.getLogger(f"ray.dashboard.modules.{name}").setLevel(logging.ERROR)

    class Client(JobSubmissionClient):
        # The requests of Ray's own client have no time limit, and go through a proxy that is not needed.
        def _do_request(self, method: str, endpoint: str, **options: Any) -> Any:
            limit = {"timeout": _ANSWER_SECONDS} if method == "GET" else {}
            way = {} if address in _PROXIES else {"proxies": {"no_proxy": "*"}}
            return super()._do_request(method, endpoint, **options, **limit, **way)

        # Its stream goes through no proxy.
        async def tail_job_logs(self, job_id: str) -> AsyncIterator[str]:
            if address in _PROXIES:
                yield self.get_job_logs(job_id)
                return
            async for text in super().tail_job_logs(job_id):
                yield text

    return call(address, Client, address)


def _find_way(address: str) -> None:
    """Find out whether a dashboard is reached directly or, if not, through a proxy. Raises SubmitError.

    Ray's own requests have no time limit, so the connection is tried here first.
    """
    place = re.sub(r"^\w+://(.*@)?([^/]*).*", r"\2", address)
    if place.count(":") > 1 and not place.startswith("["):
        raise SubmitError(
            f"an IPv6 address must stand in brackets, such as http://[::1]:8265, got --address "
            f"{without_credentials(address)}"
        )
    _PROXIES.pop(address, None)
    if _answers(address):
        return
    proxy = proxy_for(address)
    if proxy is None:
        raise _no_dashboard(address)
    if not _answers(proxy):
        raise SubmitError(
            f"neither {without_credentials(address)} answers nor the proxy of the environment (http_proxy, "
            f"https_proxy or all_proxy), {without_credentials(proxy)}: give another --address, or correct it"
        )
    _PROXIES[address] = proxy


def _answers(address: str) -> bool:
    """Whether something accepts connections at the place that an address names."""
    try:
        url = urlsplit(address)
        port = url.port or _PORTS.get(url.scheme, 80)
        socket.create_connection((url.hostname or "", port), timeout=_CONNECT_SECONDS).close()
    except (OSError, ValueError):
        return False
    return True


def send(client: "JobSubmissionClient", order: Order, as_json: bool) -> tuple[str, bool]:
    """Send a job that drives the run, unless one does already; returns the job's id, and whether it is new.

    Raises SubmitError, also if the run exists with another config, or if there is too much to upload.
    """
    address, number, deadline = client.get_address(), 1, time.monotonic() + _STARTING_SECONDS
    while True:
        jobs = _jobs_of(call(address, client.list_jobs), order.run_id)
        known = (digest for job in jobs if (digest := (job.metadata or {}).get(_CONFIG)))
        config = next(known, order.config)
        if order.config and config != order.config:
            raise SubmitError(
                f"run {order.run_id} exists with another config; continue it with `ratchet submit --resume "
                f"{order.run_id}`, or choose another --submission-id"
            )
        if jobs and jobs[-1].status not in ("FAILED", "STOPPED"):
            return str(jobs[-1].submission_id), False
        if sentence := refusal(order.working_dir, _STAYS):
            raise SubmitError(sentence)
        number = max([number, *(_number(job, order.run_id) + 1 for job in jobs)])
        attempt = order.run_id if number == 1 else f"{order.run_id}.{number}"
        try:
            call(address, _send, client, order, as_json, attempt, config)
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
    from ray._private.ray_constants import WORKER_PROCESS_SETUP_HOOK_ENV_VAR

    home = {"RATCHET_HOME": order.home} if order.home else {}
    client.submit_job(
        entrypoint=shlex.join(["python", "-m", "ratchet", *order.command, *(["--json"] if as_json else [])]),
        submission_id=attempt,
        runtime_env={
            "working_dir": str(order.working_dir),
            "excludes": [*_STAYS],
            # Ray's own key for the hook reaches only what the job's command starts, and not what starts that.
            "env_vars": {**home, WORKER_PROCESS_SETUP_HOOK_ENV_VAR: HOOK},
        },
        metadata={_RUN: order.run_id, _CONFIG: config} if config else {_RUN: order.run_id},
    )


def _jobs_of(jobs: Sequence["JobDetails"], run_id: str) -> list["JobDetails"]:
    """The jobs that drove a run, in order; one that `ray job submit` started under the run's id counts."""
    found = [job for job in jobs if ((job.metadata or {}).get(_RUN) or job.submission_id) == run_id]
    return sorted(found, key=lambda job: _number(job, run_id))


def _number(job: "JobDetails", run_id: str) -> int:
    number = (job.submission_id or "")[len(run_id) + 1 :]
    return int(number) if number.isdigit() else 1


def who_answers(address: str) -> str:
    """The dashboard at an address for a sentence, with the proxy on the way to it if there is one."""
    return f"the server at {without_credentials(address)}{or_its_proxy(_PROXIES.get(address))}"


def call(address: str, request: Callable[..., T], *arguments: Any) -> T:
    """Ask something of the dashboard at `address`. Raises SubmitError with the reason if that fails."""
    from ray.exceptions import AuthenticationError
    from requests import HTTPError, JSONDecodeError, RequestException, Timeout

    shown, who = without_credentials(address), who_answers(address)
    try:
        return request(*arguments)
    except AuthenticationError as error:
        raise refused(address, error) from None
    except JSONDecodeError:
        raise SubmitError(f"{who} is not a Ray dashboard") from None
    except Timeout:
        raise SubmitError(
            f"{who} gave no answer within {_ANSWER_SECONDS:g} s: give another --address, or try again later "
            "if it is a Ray dashboard"
        ) from None
    except HTTPError as error:
        reply = error.response
        answer = f"{reply.status_code} {reply.reason}" if reply is not None else "with an error"
        raise SubmitError(f"{who} answers {answer}: give another --address, or try again later") from None
    except (ConnectionError, RequestException):
        if address in _PROXIES:
            raise SubmitError(f"{who} does not answer: give another --address, or no proxy") from None
        raise _no_dashboard(address) from None
    except (RuntimeError, ValueError) as error:
        raise SubmitError(f"the job cannot be sent to {shown}: {reason_of(error)}") from None


def refused(address: str, error: "AuthenticationError") -> SubmitError:
    """The error for a request that was refused with 401 or 403, by Ray for its token or by something else."""
    shown, who, said = without_credentials(address), who_answers(address), error.message
    if about_token(said):
        problem = "refuses this token" if "Invalid" in said else "wants a token"
        return SubmitError(
            f"the cluster at {shown} {problem}: set RAY_AUTH_TOKEN_PATH to the cluster's own token, and "
            "RAY_AUTH_MODE=token"
        )
    status = "403 Forbidden" if "failed" in said.partition(":")[0] else "401 Unauthorized"
    return SubmitError(
        f"{who} answers {status}, and not for a token of Ray: give another --address, or let what stands "
        "before the dashboard pass this request"
    )


def _no_dashboard(address: str) -> SubmitError:
    return SubmitError(
        f"no Ray dashboard answers at {without_credentials(address)}: start one with `ray start --head`, or "
        "give another --address"
    )


def reason_of(error: Exception) -> str:
    """Why a request to a dashboard failed; where a gateway answers with a page of its own, by its status."""
    if page := re.search(r"status code (\d+):\s*<", str(error)):
        return f"it answers {page[1]}" + (", as the upload is too large" if page[1] == "413" else "")
    return last_line(error).rstrip(".")

"""Follow a job until it ends, through restarts of the dashboard."""

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from cluster.submit import SubmitError, call, reason_of, refused, who_answers
from engine.terminal import INTERRUPTED

if TYPE_CHECKING:
    from ray.job_submission import JobDetails, JobSubmissionClient

_ENDED = ("SUCCEEDED", "FAILED", "STOPPED")
_POLL_SECONDS = 0.5
_AWAY_SECONDS = 60.0
"""How long a dashboard may be unreachable after it has answered once."""
_PENDING_SECONDS = 60.0
"""How long a job may take to start before people are told why it does not."""


class Following:
    """Follows a job until it ends."""

    def __init__(
        self,
        client: "JobSubmissionClient",
        job: str,
        write: Callable[[str], None],
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`write` receives the job's output from its beginning, as it comes; `tell` why it does not start."""
        self._client, self._job, self._write, self._tell = client, job, write, tell
        self._num_written = 0

    def to_end(self) -> "JobDetails":
        """Wait for the job to end, and return its details.

        Raises SubmitError if the cluster is lost, or refuses to be asked: that does not pass.
        """
        from aiohttp import ClientError
        from ray.exceptions import AuthenticationError

        unreachable_since = None
        told_after = time.monotonic() + _PENDING_SECONDS
        while True:
            try:
                details = self._client.get_job_info(self._job)
                if details.status != "PENDING":  # there is no output yet, and a stream would wait for it
                    asyncio.run(self._tail())
                # The status is older than the output, so the output of an ended job is complete.
                if details.status in _ENDED:
                    return details
                unreachable_since = None
                if details.status == "PENDING" and time.monotonic() > told_after:
                    told_after = float("inf")
                    self._tell(str(details.message))
            except AuthenticationError as error:
                raise refused(self._client.get_address(), error) from None
            except (OSError, RuntimeError, ClientError) as error:
                # The dashboard may be restarting while the job goes on.
                unreachable_since = unreachable_since or time.monotonic()
                if time.monotonic() - unreachable_since > _AWAY_SECONDS:
                    who = who_answers(self._client.get_address())
                    raise SubmitError(f"{who} cannot be reached any more: {reason_of(error)}") from None
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
        call(self._client.get_address(), self._client.stop_job, self._job)
        return self.to_end()


def exit_code(details: "JobDetails") -> int:
    """The job's exit code; for a stopped job, whose code Ray does not keep, that of an interruption."""
    if details.status == "STOPPED":
        return INTERRUPTED
    code = details.driver_exit_code
    if code is None:
        return 0 if details.status == "SUCCEEDED" else 1
    return code if code >= 0 else 128 - code

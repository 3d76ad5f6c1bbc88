"""A train worker that stays for all trainings of a run, which need not each wait for its start.

Of the half minute that a worker takes to start, most goes into imports. One that trains alone on a CPU stays
instead: it waits at a desk, a directory that driver and worker see, for the jobs that the driver puts there,
and gives its memory back after each. Ray Train starts it anew where it is lost, and it finds its job again.
"""

import ctypes
import gc
import itertools
import shutil
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, Self

from configs.training import Train
from engine.disk.files import replace_file
from engine.plan.plan import Group
from engine.records import to_json
from engine.train.job import Job

Start = Callable[[dict[str, str], Path], "Future[Any]"]
"""Starts Ray Train's workers with the settings and the storage that are given; done when they have ended."""

_WAIT = 0.05
"""Seconds between two looks at the desk."""


class _Shift(NamedTuple):
    """A worker from its start to its end."""

    desk: Path
    kind: tuple[int, int]
    """Its threads, and how often it may be lost."""
    over: "Future[Any]"


class Crew:
    """The worker that stays, if there is one: a context manager, at whose end it ends."""

    def __init__(self, place: Path) -> None:
        """`place` is a directory of the run, seen by all nodes; an earlier process may have left one."""
        self._place = place
        self._shift: _Shift | None = None
        shutil.rmtree(place, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let the worker go, and leave nothing behind."""
        self.end()
        shutil.rmtree(self._place, ignore_errors=True)

    @staticmethod
    def takes(config: Train, workers: Group) -> bool:
        """Whether a training's worker may stay: it has no GPU to give back and no group to leave."""
        return workers.num == 1 and not workers.gpus and not config.deepspeed

    def prepare(self, config: Train, workers: Group, start: Start) -> None:
        """Have a worker for such trainings: the one that is there, or a new one, which begins to import."""
        kind = (workers.threads, config.max_failures)
        if self._shift and (
            self._shift.kind != kind
            or self._shift.over.done()
            # How often a worker may be lost counts for each training anew, also what it lost while it waited.
            or len(list(self._shift.desk.glob("*.start"))) > 1
        ):
            self.end()
        if self._shift is None:
            desk = self._place / f"{time.time_ns()}"
            desk.mkdir(parents=True)
            self._shift = _Shift(desk, kind, start({"desk": str(desk)}, desk))

    def outcome(self, job: Job, workers: Group, start: Start) -> str:
        """Do a job, and return its outcome as JSON. Raises what Ray Train does when it gives up."""
        self.prepare(job.config, workers, start)
        assert self._shift
        desk, _, over = self._shift
        number = len(list(desk.glob("*.job")))
        replace_file(desk / f"{number}.job", to_json(job).encode())
        done = desk / f"{number}.outcome"
        while not done.exists():
            if over.done() and not done.exists():
                self._shift = None
                over.result()
                raise RuntimeError("the train worker ended without a word")
            time.sleep(_WAIT)
        return done.read_text()

    def end(self) -> None:
        """Let the worker go, once its job is done."""
        if self._shift:
            with suppress(OSError):  # of a full disk; a worker whose desk is removed ends too
                (self._shift.desk / "end").touch()
            self._shift = None


def stay(settings: dict[str, str]) -> str:
    """What Ray Train's worker does: the jobs that come to the directory ``settings["desk"]``, until it ends.

    A job without an outcome, after this worker has taken the place of a lost one, is taken up again.
    """
    from engine.train.worker import keep_apart, train_loop

    desk = Path(settings["desk"])
    (desk / f"{time.time_ns()}.start").touch()
    keep_apart(desk / "datasets")
    # What a job will need, while none is there.
    from trl import DPOTrainer, SFTTrainer  # noqa: F401

    for number in itertools.count():
        job, outcome = desk / f"{number}.job", desk / f"{number}.outcome"
        if outcome.exists():
            continue
        while not job.exists():
            if (desk / "end").exists() or not desk.exists():
                return ""
            time.sleep(_WAIT)
        replace_file(outcome, train_loop({"job": job.read_text()}).encode())
        _forget()
    raise AssertionError("numbers do not end")


def _forget() -> None:
    """Give memory back, and begin the next training as if it were the first of this process."""
    from accelerate.state import AcceleratorState, GradientState

    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()
    gc.collect()
    with suppress(OSError, AttributeError):  # on a system without glibc the allocator decides
        ctypes.CDLL("libc.so.6").malloc_trim(0)

"""A run in TensorBoard: the curves of its trainings and, of a sweep, what was tried and what it came to.

    ratchet dashboard RUN

What is shown is written from what the run has committed, into a directory that is made anew each time: a
training that was resumed is there once. Ray Tune's own event files are not shown: they know neither curves
nor the campaign's own values, and a trial that was resumed is in them twice.
"""

import logging
import socket
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from engine.report.data import read_run, rows_of
from tune.plan import is_sweep
from tune.report_data import read_sweep

_HOST = "127.0.0.1"
_PAUSE = 10.0
"""Seconds between two looks at what a run has committed."""
_COORDINATES = {"time", "round", "step", "stage"}
_SCORE = "selection/strict"


class DashboardError(ValueError):
    """A dashboard that cannot be started as asked."""


def show_dashboard(run_dir: Path, port: int | None, ready: Callable[[str], None]) -> None:
    """Serve TensorBoard on the loopback interface until it is interrupted; `ready` is told its address.

    Raises DashboardError where the port is taken, ReportError and ConfigError for what is no run, or damaged.
    """
    with ExitStack() as stack:
        logs = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ratchet-dashboard-")))
        events = stack.enter_context(Events(run_dir, logs))
        events.update()
        ready(_serve(logs, port or _free_port(), run_dir.name))
        while True:
            time.sleep(_PAUSE)
            events.update()


class Events:
    """TensorBoard's event files of a run: one directory for a training, one point for a figure and step."""

    def __init__(self, run_dir: Path, logs: Path) -> None:
        self._run_dir, self._logs = run_dir, logs
        self._writers: dict[str, Any] = {}
        self._written: set[tuple[str, str, int]] = set()

    def __enter__(self) -> "Events":
        return self

    def __exit__(self, *_: object) -> None:
        for writer in self._writers.values():
            writer.close()

    def update(self) -> None:
        """Write what the run has committed since the last time."""
        if is_sweep(self._run_dir):
            self._sweep()
        else:
            for row in read_run(self._run_dir).metrics:
                self._curve(f"round-{row['round']:03d}", row)
        for writer in self._writers.values():
            writer.flush()

    def _sweep(self) -> None:
        data = read_sweep(self._run_dir)
        for trial in data.trials:
            name = f"trial-{trial.record.number:03d}"
            keys = [key for key, _ in data.sweep.domains()]
            self._values(name, {key: data.value(trial.record, key) for key in keys}, trial.state)
            for row in rows_of(self._run_dir / "trials" / name.removeprefix("trial-") / "metrics.jsonl"):
                self._curve(name, row)
            for rung, evaluation in enumerate(trial.record.rungs):
                self._point(name, _SCORE, evaluation.strict.rate, rung + 1, None)

    def _curve(self, name: str, row: dict[str, Any]) -> None:
        for key, value in row.items():
            if key not in _COORDINATES and isinstance(value, int | float):
                self._point(name, f"{row['stage']}/{key}", value, row["step"], row["time"])

    def _point(self, name: str, tag: str, value: float, step: int, at: float | None) -> None:
        if (name, tag, step) not in self._written:
            self._written.add((name, tag, step))
            self._writer(name).add_scalar(tag, value, step, at)

    def _values(self, name: str, values: dict[str, Any], state: str) -> None:
        """What a trial was tried with; once it has ended well, that it has."""
        from tensorboardX.summary import hparams

        shown = {key: "none" if value is None else value for key, value in values.items()}
        space, begun, ended = hparams(shown, {_SCORE: 0.0})
        told = {"begun": (space, begun), "ended": (ended,) if state in ("finished", "stopped") else ()}
        for what, summaries in told.items():
            if summaries and (name, what, 0) not in self._written:
                self._written.add((name, what, 0))
                for summary in summaries:
                    self._writer(name).file_writer.add_summary(summary)

    def _writer(self, name: str) -> Any:
        from tensorboardX import SummaryWriter

        if name not in self._writers:
            self._writers[name] = SummaryWriter(str(self._logs / name), write_to_disk=True)
        return self._writers[name]


def _serve(logs: Path, port: int, title: str) -> str:
    """Start TensorBoard in a thread of this process, and return its address."""
    # Without TensorFlow it has all that is needed here, and would say otherwise.
    logging.getLogger("tensorboard").setLevel(logging.ERROR)
    from tensorboard import program

    board = program.TensorBoard()
    # `load_fast` would be one more process, for logs far larger than these.
    options = {"logdir": logs, "host": _HOST, "port": port, "reload_interval": 5, "load_fast": "false"}
    board.configure(
        [None, *(f"--{name}={value}" for name, value in options.items()), f"--window_title={title}"]
    )
    try:
        return str(board.launch())
    except program.TensorBoardServerException as error:
        raise DashboardError(f"TensorBoard cannot be started on port {port}: {error}") from None


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind((_HOST, 0))
        port: int = taken.getsockname()[1]
        return port

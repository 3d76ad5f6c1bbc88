"""Shows a run in TensorBoard: the curves of its trainings and, for a sweep, its values and scores.

    ratchet dashboard RUN

The event files are written from what the run has committed, into a directory that is new each time, so a
resumed training appears once. Ray Tune's own event files are not shown: they hold neither curves nor the
campaign's own values, and they hold a resumed trial twice.
"""

import logging
import socket
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from engine.errors import Mistake
from engine.report.data import read_run, rows_of
from tune.plan import experiment_of, is_experiment, is_sweep
from tune.report_data import read_sweep
from tune.space import METRIC

_HOST = "127.0.0.1"
_PAUSE = 10.0
"""Seconds between two looks at what the run has committed."""
_COORDINATES = {"time", "round", "step", "stage"}
_SCORE = f"selection/{METRIC}"


class DashboardError(Mistake):
    """The dashboard cannot be started as asked."""


def show_dashboard(run_dir: Path, port: int | None, ready: Callable[[str], None]) -> None:
    """Serve TensorBoard on the loopback interface until interrupted; `ready` receives its address.

    Raises DashboardError if the port is taken, and ReportError or ConfigError for a directory that is not a
    run, or is damaged.
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
    """TensorBoard's event files for a run: a directory a training, one point for each figure and step."""

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
        """Write what the run has committed since the last call."""
        if is_sweep(self._run_dir):
            self._sweep()
        elif is_experiment(self._run_dir):
            self._experiment()
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
                self._point(name, _SCORE, evaluation.score, rung + 1, None)

    def _experiment(self) -> None:
        for number, (arm, seed) in enumerate(experiment_of(self._run_dir).trials):
            for row in rows_of(self._run_dir / "trials" / f"{number:03d}" / "metrics.jsonl"):
                self._curve(f"{arm}-{seed}", row)

    def _curve(self, name: str, row: dict[str, Any]) -> None:
        for key, value in row.items():
            if key not in _COORDINATES and isinstance(value, int | float):
                self._point(name, f"{row['stage']}/{key}", value, row["step"], row["time"])

    def _point(self, name: str, tag: str, value: float, step: int, at: float | None) -> None:
        if (name, tag, step) not in self._written:
            self._written.add((name, tag, step))
            self._writer(name).add_scalar(tag, value, step, at)

    def _values(self, name: str, values: dict[str, Any], state: str) -> None:
        """Write a trial's values and, once it has ended well, that it has ended."""
        from tensorboardX.summary import hparams

        shown = {key: "none" if value is None else value for key, value in values.items()}
        space, begun, ended = hparams(shown, {_SCORE: 0.0})
        parts = {"begun": (space, begun), "ended": (ended,) if state in ("finished", "stopped") else ()}
        for what, summaries in parts.items():
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
    """Start TensorBoard in a thread of this process and return its address."""
    # It would warn that TensorFlow is missing, which nothing here needs.
    logging.getLogger("tensorboard").setLevel(logging.ERROR)
    from tensorboard import program

    board = program.TensorBoard()
    # `load_fast` would start another process, for logs far larger than these.
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

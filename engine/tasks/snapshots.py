"""Snapshots of curated directories that runs keep, each under the hash of its sets, never changed again.

    RATCHET_HOME/snapshots/0123456789abcdef/{train,validation,test}.jsonl, card.json, card.html

What `ratchet curate` makes is replaced when more files come. A run begins with a copy, so that it ends, is
resumed and is asked again on what it began with.
"""

import json
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

from configs.curation import Curation
from configs.tasks import AnyTask, DomainTask
from engine.disk.files import locked, sync_dir
from engine.tasks.examples import SPLITS
from engine.tasks.suite import DataError
from engine.terminal import counted

FOLDER = "snapshots"
_SETS = tuple(f"{split}.jsonl" for split in SPLITS)
_CARD, _PAGE = "card.json", "card.html"


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What a kept snapshot says of itself."""

    id: str
    """The hash of its sets, as curation writes it on the data card."""
    card: Path | None = None
    """The data card as a page; None, and nothing below, for sets that were not curated here."""
    sources: tuple[str, ...] = ()
    """Files, as the user named them."""
    num_lines: int = 0
    """Of all sources."""
    sets: Mapping[str, int] = field(default_factory=dict)
    """Examples by set."""
    removed: Mapping[str, int] = field(default_factory=dict)
    """Examples that were left out, by fault, the most first."""
    noted: Mapping[str, int] = field(default_factory=dict)
    """What was masked or noticed, by kind."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Of curation, as far as they are not the defaults."""

    def told(self) -> list[str]:
        """What it holds and how it came about, in sentences."""
        if self.card is None:
            return [f"Curated data, snapshot {self.id}."]
        sizes = ", ".join(f"{name} {num:,}" for name, num in self.sets.items())
        lines = counted(self.num_lines, "line")
        told = [f"Curated data, snapshot {self.id}: {sizes}, of {lines} of {', '.join(self.sources)}."]
        for what, counts in (("Left out", self.removed), ("Masked or noted", self.noted)):
            if counts:
                listed = ", ".join(f"{num:,} {name.replace('_', ' ')}" for name, num in counts.items())
                told.append(f"{what}: {listed}.")
        if self.settings:
            told.append(f"Curated with {json.dumps(self.settings, ensure_ascii=False)}, else the defaults.")
        return told


def keep(settings: DomainTask, home: Path) -> Path:
    """Copy the sets of a task's directory, and their data card, under `home`; returns where they are now.

    Sets that are kept already are not written again. Raises DataError where the directory is none of
    curation's, is replaced at this moment, or where the kept ones were changed, and OSError.
    """
    under = home / FOLDER
    with locked(under):
        staging = under / ".new"
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(mode=0o700)
        try:
            _copy(settings, staging)
            kept = under / _id_of(staging)
            if not kept.exists():
                sync_dir(staging)
                os.rename(staging, kept)
                sync_dir(under)
            elif _id_of(kept) != kept.name:
                raise DataError(f"{kept} was changed since a run kept it: restore it, or remove it")
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    return kept


def _copy(settings: DomainTask, target: Path) -> None:
    """Copy the files of a directory as they are in it now, also if another takes its place meanwhile."""
    directory = Path(settings.directory)
    try:
        handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        raise no_set(settings, _SETS[0]) from None
    try:
        for name in (*_SETS, _CARD, _PAGE):
            try:
                source = open(name, "rb", opener=partial(os.open, dir_fd=handle))  # noqa: SIM115  closed below
            except FileNotFoundError:
                if name not in _SETS:
                    continue
                if (directory / name).exists():
                    raise DataError(f"{directory} was curated just now: run the command again") from None
                raise no_set(settings, name) from None
            with source, (target / name).open("wb") as copy:
                shutil.copyfileobj(source, copy)
                copy.flush()
                os.fsync(copy.fileno())
    finally:
        os.close(handle)


def no_set(settings: DomainTask, name: str) -> DataError:
    """What to raise where a directory lacks one of its sets."""
    way = f"`ratchet curate FILE… --out {settings.directory}` makes one"
    if settings.files:
        way = "`ratchet doctor` and `ratchet run` make it of task.files"
    return DataError(f"{settings.directory} is no curated directory: it has no {name}; {way}")


def id_of(hashes: Sequence[str]) -> str:
    """The id of a snapshot by the SHA-256 of its sets, in the order of `SPLITS`."""
    return sha256("\n".join(hashes).encode()).hexdigest()[:16]


def _id_of(folder: Path) -> str:
    """The id of the snapshot in a folder."""
    hashes = []
    for name in _SETS:
        with (folder / name).open("rb") as file:
            hashes.append(file_digest(file, "sha256").hexdigest())
    return id_of(hashes)


def snapshot_of(task: AnyTask, home: Path) -> Snapshot | None:
    """The snapshot that a run's task names; None for other tasks, and for a directory that nobody keeps."""
    if not isinstance(task, DomainTask) or Path(task.directory).parent.name != FOLDER:
        return None
    folder = home / FOLDER / Path(task.directory).name
    try:
        card = json.loads((folder / _CARD).read_bytes())
        if card["snapshot"] != folder.name:
            return Snapshot(id=folder.name)  # the card is of sets that somebody has changed since
        stations, defaults = card["counts"].values(), Curation().model_dump(mode="json")
        return Snapshot(
            id=folder.name,
            card=folder / _PAGE,
            sources=tuple(each["file"] for each in card["sources"]),
            num_lines=sum(each["lines"] for each in card["sources"]),
            sets=card["splits"],
            removed=_added(each["removed"] for each in stations),
            noted=_added(each["noted"] for each in stations),
            settings={key: value for key, value in card["settings"].items() if value != defaults.get(key)},
        )
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return Snapshot(id=folder.name)


def _added(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Counts of several stations together, the most first."""
    total: Counter[str] = Counter()
    for each in counts:
        total.update(each)
    return dict(total.most_common())

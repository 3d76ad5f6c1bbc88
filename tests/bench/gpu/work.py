"""What a check is given, and how it says what it found."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from engine.disk.journal import append_line
from tests.bench.gpu.record import Figure, Outcome


class Skipped(Exception):
    """A check that finds that it cannot run; the message says why."""


class Failed(Exception):
    """A check that finds what must not be; the message says it in a sentence."""


@dataclass(frozen=True, slots=True)
class Work:
    """One run of a check, as the check itself sees it."""

    model: Path
    """The small model."""
    place: Path
    """A directory of its own, which is kept where the check fails."""

    def found(self, name: str, value: float, unit: str = "") -> None:
        """Say what was measured, at once: a check that fails later does not lose it."""
        self._say({"figure": asdict(Figure(name, round(float(value), 6), unit))})

    def end(self, outcome: Outcome, why: str) -> None:
        """Say how it ended, which is the last that is said."""
        self._say({"outcome": outcome, "why": why})

    def _say(self, line: dict[str, Any]) -> None:
        append_line(said_in(self.place), line)


def said_in(place: Path) -> Path:
    """The file in which a check says what it found."""
    return place / "said.jsonl"

"""What curation is made of: stations that sort examples, and the record of what they did.

A station that judges each example by itself is given chunks, in several processes: what it says of one must
not depend on the others. Duplicates, conflicts and splits compare examples, and see what may be alike.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from engine.corpus.removal import Removal
from engine.errors import Mistake
from engine.tasks.examples import Example

_LABEL = 80
"""Characters of an example that its removal shows."""


class CurationError(Mistake):
    """Files or settings that cannot be curated."""


class Sorted(NamedTuple):
    """What a station makes of some examples."""

    kept: list[Example]
    """In their order; changed copies where it changes them."""
    removed: list[Removal]
    noted: dict[str, int]
    """Counts by kind of what was masked, or noticed and left as it was."""


class Station(Protocol):
    """One look at examples. Its settings are given when it is made, which raises CurationError."""

    @property
    def name(self) -> str:
        """As the data card and the removals call it."""
        ...

    def __call__(self, examples: Sequence[Example]) -> Sorted:
        """Sort some examples."""
        ...


def sorted_by(judge: Callable[[Example], Example | Removal], examples: Iterable[Example]) -> Sorted:
    """Judge examples one by one, with nothing noted."""
    kept: list[Example] = []
    removed: list[Removal] = []
    for example in examples:
        verdict = judge(example)
        if isinstance(verdict, Removal):
            removed.append(verdict)
        else:
            kept.append(verdict)
    return Sorted(kept, removed, {})


def removal_of(example: Example, *, station: str, fault: str, reason: str) -> Removal:
    """The removal of an example, with its beginning as a label in one line."""
    # A lone surrogate can be in a text, but in no file.
    prompt = example.prompt[: 4 * _LABEL].encode(errors="replace").decode()
    label = " ".join(prompt.split())
    return Removal(
        file=example.file,
        number=example.number,
        part=example.part,
        station=station,
        fault=fault,
        reason=reason,
        text=label if len(label) <= _LABEL else f"{label[:_LABEL]}…",
    )


@dataclass(slots=True, kw_only=True)
class Tally:
    """What a station did, in numbers."""

    entered: int = 0
    """Examples that it was given; of the station ``layout`` lines."""
    left: int = 0
    """Examples that it kept."""
    removed: dict[str, int] = field(default_factory=dict)
    """By fault."""
    noted: dict[str, int] = field(default_factory=dict)
    """By kind, as `Sorted.noted`."""

    def add(self, other: "Tally") -> None:
        """Count what was done to further examples."""
        self.entered += other.entered
        self.left += other.left
        for mine, theirs in ((self.removed, other.removed), (self.noted, other.noted)):
            for fault, num in theirs.items():
                mine[fault] = mine.get(fault, 0) + num


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A file that examples came from."""

    file: str
    """As the user gave it."""
    sha256: str
    lines: int


class Histogram(NamedTuple):
    """How many values lie between each two edges, the upper one excluded."""

    edges: tuple[int, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Curated:
    """What was made of some files: what the data card shows."""

    directory: Path
    snapshot: str
    """Hash of the three sets: it changes with any row of theirs."""
    before: str = ""
    """The snapshot that the directory held before; empty where it held none."""
    sources: tuple[Source, ...]
    settings: Mapping[str, Any]
    """All of `configs.curation.Curation`."""
    counts: Mapping[str, Tally]
    """By station, in their order."""
    splits: Mapping[str, int]
    """Examples of each set."""
    added: Mapping[str, int]
    """Examples of each set that the snapshot before had not."""
    gone: int = 0
    """Examples of the snapshot before that are no longer there."""
    histograms: Mapping[str, Histogram]
    """Lengths in characters of what is kept: ``prompt`` and ``reply``."""
    samples: Mapping[str, tuple[Example, ...]]
    """Some examples of each set."""

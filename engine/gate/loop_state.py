"""What a ledger of comparisons keeps on disk: the budget, and every call with what it was given.

compare/<name>/ledger.json    replaced as a whole, under the lock beside it
"""

import hashlib
import re
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

from pydantic import ValidationError

from engine.disk.files import replace_file
from engine.gate.compare import Answer
from engine.gate.outcomes import CompareError
from engine.gate.side_by_side import SideBySide
from engine.records import fault_in, from_json, to_json
from engine.registry.ledger import next_level

SHOWN = (Answer.BETTER, Answer.NO_WORSE, Answer.ACCEPT, Answer.PROVEN)
"""Answers that claim something: they reject the test's null hypothesis."""


class Asked(StrEnum):
    """What a call of a ledger asks."""

    TEST = "test"
    """Is the candidate better? Spends a test."""
    CARRY = "carry"
    """Does the candidate look better than the working model? Claims nothing and spends nothing."""
    PROVE = "prove"
    """Is the working model better than the champion, on items that no call has touched? Spends a test."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The looks of a sequential test."""

    looks: int
    look_size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """The results that a call brought, and what they said."""

    old: str
    """Hash of the old model's results."""
    new: str
    items: str
    """Name of the set of items in the ledger's `item_sets`."""
    won: int | None = None
    """None until the call is answered."""
    lost: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A test, a trial or a decision to carry, committed before it is answered."""

    asked: Asked
    candidate: str
    """Name that the caller gave; empty for none."""
    level: float
    """Its share of the error budget; 0 where nothing is claimed."""
    margin: float | None
    plan: Plan | None
    """None for a test that takes all its items at once."""
    brought: tuple[Brought, ...]
    """The results of each look."""
    answer: Answer | None = None
    """None until it is answered, and for good where it never was; then it counts as not shown."""

    @property
    def spends(self) -> bool:
        return self.asked is not Asked.CARRY

    @property
    def ended(self) -> bool:
        return self.answer not in (None, Answer.CONTINUE)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopLedger:
    """An error budget, and the calls so far."""

    alpha: float
    planned_tests: int
    entries: tuple[Entry, ...] = ()
    item_sets: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """The items of each set that was brought, and their stories, as hashes."""

    @property
    def num_spent(self) -> int:
        return sum(entry.spends for entry in self.entries)

    @property
    def num_left(self) -> int:
        return self.planned_tests - self.num_spent

    def next_level(self) -> float:
        """The level of the next test. Raises LedgerUsedUp where none is left."""
        past = [(entry.level, entry.answer in SHOWN) for entry in self.entries if entry.spends]
        return next_level(self.alpha, self.planned_tests, past)

    def with_entry(self, number: int, entry: Entry) -> "LoopLedger":
        """The ledger with an entry in the place of a number, or added after all others."""
        entries = list(self.entries)
        entries[number : number + 1] = [entry]
        return replace(self, entries=tuple(entries))

    def with_items(self, touched: dict[str, str]) -> tuple["LoopLedger", str]:
        """The ledger that knows a set of items, as `touched_by` gives it, and the set's name."""
        hashes = tuple(sorted(touched))
        name = _hash("\n".join(hashes))
        return replace(self, item_sets={**self.item_sets, name: hashes}), name

    def seen(self, entries: tuple[Entry, ...]) -> set[str]:
        """Hashes of the items and stories that some entries have touched."""
        names = {brought.items for entry in entries for brought in entry.brought}
        return {each for name in names for each in self.item_sets[name]}


def touched_by(both: SideBySide, *, stories: bool = True) -> dict[str, str]:
    """What a call touches, by hash: its items by id and content, and their stories."""
    items = {
        _hash(f"item\0{name}\0{old.content or new.content}"): name
        for name, (old, new) in zip(both.names, both.pairs, strict=True)
    }
    named = {story for story in both.stories if stories and story.startswith("story ")}
    return items | {_hash(f"story\0{story}"): story for story in named}


def folder_of(home: Path, name: str) -> Path:
    """The directory of a ledger. Raises CompareError for a name that cannot be a file's."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name):
        raise CompareError(
            f"the name of a ledger has letters, digits, `.`, `_` and `-`, at most 64 in all, and begins with "
            f"a letter or a digit, got {name!r}"
        )
    return home / "compare" / name


def load(folder: Path) -> LoopLedger | None:
    """The ledger in a directory; None where there is none yet. Raises CompareError for a damaged one."""
    path = folder / "ledger.json"
    try:
        ledger = from_json(LoopLedger, path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CompareError(f"the ledger {path} cannot be read: {error.strerror}") from None
    except ValidationError as error:
        raise CompareError(f"the ledger {path} is damaged: {fault_in(error)}") from None
    for number, entry in enumerate(ledger.entries, 1):
        if not entry.brought or any(each.items not in ledger.item_sets for each in entry.brought):
            raise CompareError(f"the ledger {path} is damaged: call {number} is of no items that it knows")
    return ledger


def save(folder: Path, ledger: LoopLedger) -> None:
    """Replace the ledger on disk; the lock must be held."""
    replace_file(folder / "ledger.json", to_json(ledger).encode())


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:16]

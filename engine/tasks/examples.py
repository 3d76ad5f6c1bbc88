"""What every layout of the field is read into: an example to learn from, with where it was found."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from engine.records import Turn

Kind: TypeAlias = Literal["sft", "pair"]
SPLITS = ("train", "validation", "test")
"""The sets that examples are divided into."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A chat with the reply to learn, and for a preference pair the reply that is worse.

    A chat whose earlier assistant turns are learnt too becomes one example for each of these turns, which
    share `story`: no two of them may stand on two sides of a split.
    """

    file: str
    """Name of the file, as the user gave it."""
    number: int
    """Line of the file, from 1."""
    kind: Kind
    chat: tuple[Turn, ...]
    """Ends with the user's turn that is replied to."""
    chosen: str
    rejected: str = ""
    """Empty but for a pair."""
    part: int = 0
    """Which of the examples of its line this is, from 0."""
    id: str = ""
    """The user's own name for it, where the record has one."""
    story: str = ""
    """Examples of one story stay on one side of every split; empty where it stands alone."""
    cluster: str = ""
    """Of a curated example: others of this name are of its story, ask the same or are near twins."""
    split: str = ""
    """``train``, ``validation`` or ``test`` where the record says so itself."""

    @property
    def place(self) -> str:
        """Where it was found, for messages: ``faq.jsonl, line 12``."""
        return f"{self.file}, line {self.number}"

    @property
    def prompt(self) -> str:
        """The last user's turn, which is what duplicates and leaks are looked for in, with the reply."""
        return self.chat[-1].text

    @property
    def texts(self) -> Iterator[str]:
        """Every text of the example, in order."""
        yield from (turn.text for turn in self.chat)
        yield self.chosen
        if self.rejected:
            yield self.rejected

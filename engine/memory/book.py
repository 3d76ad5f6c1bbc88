"""Memories in the order in which they were stored; at most one holds for a person and an attribute."""

import hashlib
from collections.abc import Iterable
from dataclasses import replace

from engine.people.values import same
from engine.records import Fact, Memory, Statement, to_json


def memory_id(fact: Fact, num_before: int = 0) -> str:
    """Content hash of a fact, and of how many memories held it before, where it comes back."""
    content = f"{to_json(fact)}{num_before or ''}"
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def person_key(name: str) -> str:
    """What two spellings of one person's name have in common: Ann Reed is ann reed, and not Anna Reed."""
    return " ".join(name.casefold().split())


class Book:
    """Memories that are added to by day."""

    def __init__(self, memories: Iterable[Memory]) -> None:
        self._all = {memory.id: memory for memory in memories}
        self._holding: dict[tuple[str, str], str] = {}
        for memory in self._all.values():
            # Where nothing was judged, as with `hippocampus: false`, several may hold: the first told counts.
            if not memory.superseded_by:
                self._holding.setdefault(self._place(memory.fact), memory.id)

    @staticmethod
    def _place(fact: Fact) -> tuple[str, str]:
        return person_key(fact.subject), fact.attribute

    @property
    def memories(self) -> list[Memory]:
        """All of them; what was replaced stays, marked as such."""
        return list(self._all.values())

    @property
    def people(self) -> list[str]:
        """The names of those whom something is held about."""
        return list(dict.fromkeys(memory.fact.subject for memory in self._all.values()))

    def find(self, subject: str, attribute: str) -> Memory | None:
        """What holds for a person and an attribute."""
        found = self._holding.get((person_key(subject), attribute))
        return self._all[found] if found else None

    def by_id(self, id: str) -> Memory | None:
        """The memory of an id."""
        return self._all.get(id)

    def about(self, subject: str) -> list[Memory]:
        """All that holds for a person."""
        return [self._all[at] for (key, _), at in self._holding.items() if key == person_key(subject)]

    def relating(self, attribute: str, value: str) -> list[Memory]:
        """All people's memories of an attribute that hold and have this value."""
        found = [self._all[at] for (_, key), at in self._holding.items() if key == attribute]
        return [memory for memory in found if person_key(memory.fact.value) == person_key(value)]

    def replaced(self, fact: Fact) -> Memory | None:
        """The memory of this person, attribute and value that another one has replaced."""
        for memory in self._all.values():
            is_it = self._place(memory.fact) == self._place(fact) and same(memory.fact.value, fact.value)
            if is_it and memory.superseded_by:
                return memory
        return None

    def store(self, fact: Fact, said: Statement, importance: int, day: int) -> Memory:
        """Hold a fact as true; what held before for the person and attribute is superseded.

        A value that comes back is another memory, of the day on which it came back.
        """
        place, old = self._place(fact), self.find(fact.subject, fact.attribute)
        memory = Memory(
            id=memory_id(fact, sum(each.fact == fact for each in self._all.values())),
            fact=fact,
            importance=importance,
            day=day,
            dialogue=said.dialogue,
            turn=said.turn,
            supersedes=old.id if old else "",
        )
        for each in self.memories:
            if self._place(each.fact) == place and not each.superseded_by:
                self._all[each.id] = replace(each, superseded_by=memory.id)
        self._all[memory.id] = memory
        self._holding[place] = memory.id
        return memory

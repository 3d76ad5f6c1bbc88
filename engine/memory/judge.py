"""What becomes of each statement of a day: it is stored, corrects, is rejected, or stays undecided.

No teacher is asked and nothing is guessed. What contradicts memory replaces it only where the talk marks it
as a correction; what cannot be judged is kept aside as UNDECIDED, in the decisions and never in memory.
SleepTrain let a larger model judge, and stored whatever that model could not judge.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from engine.embeddings import Embed
from engine.memory import talk as heard
from engine.memory.beside import rival, since, unreal_beside
from engine.memory.book import Book, person_key
from engine.memory.case import Case, case_of
from engine.memory.meaning import Meanings
from engine.memory.reality import agree, impossible
from engine.people.attributes import Attribute
from engine.records import Dialogue, Disposal, Judgement, Memory, Statement

LEAST_IMPORTANCE = 3
"""What matters less is not kept."""
_UNKNOWN, _TRIVIAL = 5, 1
"""Importance of an attribute that nobody named, and of talk of the day."""


def judge(
    statements: Sequence[Statement],
    held: Sequence[Memory],
    attributes: Mapping[str, Attribute],
    *,
    dialogues: Iterable[Dialogue],
    day: int,
    embed: Embed | None = None,
    least: int = LEAST_IMPORTANCE,
    aside: Sequence[Judgement] = (),
) -> tuple[list[Judgement], list[Memory]]:
    """A decision about each statement, in the order in which they were said, and memory after the day.

    `held` is memory before the day, and `dialogues` are those of the day: they show who speaks, what was
    asked and what was answered. `embed` finds attributes whose names are unknown; without it these are
    undecided. A run does without it, because what is found in its talks is about attributes in use. What
    matters less than `least` is rejected.

    What a correction replaces stays in memory, marked as superseded. A statement that repeats what is held is
    a STORE that adds no memory. A statement that was kept out only because of another memory is judged again
    once that is replaced: one of the day has its new decision in its place; one of `aside`, decisions of days
    before (with their dialogues among `dialogues`), has it after those of the day.
    """
    by_id = {dialogue.id: dialogue for dialogue in dialogues}
    meanings = Meanings(attributes, embed)
    of_day = _Day(book=Book(held), attributes=attributes, meanings=meanings, day=day, least=least)

    def decide(statement: Statement) -> Judgement:
        return of_day.judge(statement, by_id.get(statement.dialogue))

    judgements = [decide(statement) for statement in statements]
    again = [decide(each.statement) if of_day.is_free(each) else each for each in judgements]
    returned = [decide(each.statement) for each in aside if of_day.is_free(each)]
    kept = [each for each in returned if each.disposal is Disposal.STORE]
    return [*again, *kept], of_day.book.memories


_Decision: TypeAlias = tuple[Disposal, str, Memory | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Day:
    """One day's judging."""

    book: Book
    attributes: Mapping[str, Attribute]
    meanings: Meanings
    day: int
    least: int

    def judge(self, statement: Statement, dialogue: Dialogue | None) -> Judgement:
        key = self.meanings.key(statement.fact.attribute)
        if not key:
            importance, decision = _unnamed(statement)
        else:
            case = case_of(statement, dialogue, self.attributes[key], self.book)
            importance, decision = case.importance, self._decide(case)
        disposal, reason, memory = decision
        return Judgement(
            statement=statement,
            disposal=disposal,
            importance=importance,
            reason=reason,
            memory=memory.id if memory else "",
        )

    def is_free(self, judged: Judgement) -> bool:
        """Whether what kept a statement out, a memory of something else, has been replaced since."""
        fact, memory = judged.statement.fact, self.book.by_id(judged.memory)
        if judged.disposal not in (Disposal.REJECT, Disposal.UNDECIDED) or not memory:
            return False
        place = person_key(memory.fact.subject), memory.fact.attribute
        key = self.meanings.key(fact.attribute)
        is_other = place != (person_key(fact.subject), key)
        return is_other and bool(memory.superseded_by) and not self.book.find(fact.subject, key)

    def _decide(self, case: Case) -> _Decision:
        """The checks in their order; the first that finds something decides."""
        if case.unclear:
            return Disposal.UNDECIDED, case.unclear, None
        old = self.book.find(case.fact.subject, case.fact.attribute)
        is_held = old is not None and agree(case.fact.value, old.fact.value, case.attribute)
        if why := heard.claimed(case.talk, may_end=case.may_change):
            if old and is_held:
                return Disposal.UNDECIDED, f"It is {since(old)}, but here {why}.", old
            return Disposal.REJECT, f"{why[0].upper()}{why[1:]}.", None
        if case.importance < self.least:
            few = f"importance {case.importance}, and only what has {self.least} or more is kept"
            return Disposal.REJECT, f"Too trivial to be kept: {few}.", None
        if why := impossible(case.as_said, case.attribute, case.fact.subject):
            return Disposal.REJECT, why, None
        if old and is_held:
            return Disposal.STORE, f"It repeats what is {since(old)}.", old
        if why := heard.doubted(case.talk):
            return Disposal.UNDECIDED, f"{why[0].upper()}{why[1:]}.", None
        return self._beside(case, old)

    def _beside(self, case: Case, old: Memory | None) -> _Decision:
        """What a new value is beside what is held, of the same attribute and of others."""
        if old and (why := self._uncorrected(case, old)):
            return Disposal.UNDECIDED, why, old
        if other := rival(case.fact, self.book):
            says = f"{other.fact.value} is the {case.attribute.title} of {other.fact.subject}"
            return Disposal.UNDECIDED, f"It contradicts that {says}, {since(other)}.", other
        why, beside = unreal_beside(case.fact, self.attributes, self.book)
        if why:
            return Disposal.REJECT, why, beside
        memory = self.book.store(case.fact, case.statement, case.importance, self.day)
        if old:
            return Disposal.CORRECT, f"The talk corrects {old.fact.value}, {since(old)}.", memory
        return Disposal.STORE, f"New: nothing was held about the {case.attribute.title}.", memory

    def _uncorrected(self, case: Case, old: Memory) -> str:
        """Why a contradiction does not replace what is held, as a sentence; empty where it does."""
        what = f"{old.fact.value}, {since(old)}"
        if not heard.corrects(
            case.talk, old.fact.value, attribute=case.attribute, may_change=case.may_change
        ):
            return f"It contradicts {what}, and the talk does not mark it as a correction."
        if not case.talk.by_subject and (gone := self.book.replaced(case.fact)):
            return f"It brings back {gone.fact.value}, which was corrected to {what}."
        return ""


def _unnamed(statement: Statement) -> tuple[int, _Decision]:
    """What becomes of a statement about something that is no attribute in use."""
    name = statement.fact.attribute.replace("_", " ")
    if heard.says("trivial", name) or heard.says("passing", statement.text):
        reason = f"Talk of the day, which is not worth keeping: {name}."
        return _TRIVIAL, (Disposal.REJECT, reason, None)
    reason = f"It cannot be judged, because no attribute of a person is called '{name}'."
    return _UNKNOWN, (Disposal.UNDECIDED, reason, None)

"""What a run remembers as lines for people."""

from collections import Counter, defaultdict

from engine.memory.recollect import Decided, Remembered, replaced_by
from engine.records import Disposal, Fact, Memory
from engine.terminal import counted, printable

_KEPT_OUT = (Disposal.REJECT, Disposal.UNDECIDED)
_WORDS = {Disposal.REJECT: "rejected", Disposal.UNDECIDED: "undecided"}


def print_memories(found: Remembered) -> None:
    """Print what holds, person by person, each with what it replaced and where it was said."""
    by_id = {memory.id: memory for memory in found.memories}
    holding: dict[str, list[Memory]] = defaultdict(list)
    for memory in found.memories:
        if not memory.superseded_by:
            holding[memory.fact.subject].append(memory)
    num = sum(map(len, holding.values()))
    if num:
        about = "1 person" if len(holding) == 1 else f"{len(holding)} people"
        print(printable(f"{counted(num, 'fact')} about {about} in the memory of {found.run}{_when(found)}"))
    else:
        of = " of this" if found.is_part else ""
        print(printable(f"nothing{of} is in the memory of {found.run}{_when(found)}"))
    for subject, memories in holding.items():
        print(printable(f"\n{_line(subject)}"))
        width = max(len(_attribute(memory.fact)) for memory in memories)
        for memory in memories:
            old = "".join(
                f"; before: {_line(each.fact.value)} (day {each.day})" for each in replaced_by(memory, by_id)
            )
            where = f"day {memory.day}, {memory.dialogue} turn {memory.turn + 1}"
            fact = f"{_attribute(memory.fact):<{width}}  {_line(memory.fact.value)}"
            print(printable(f"  {fact}  ({where}, importance {memory.importance}{old})"))
    counts = Counter(each.judgement.disposal for each in found.decided)
    left = [f"{counts[each]} {_WORDS[each]}" for each in _KEPT_OUT if counts[each]]
    if left:
        print(printable(f"\nnot in it: {', '.join(left)}; --rejected shows them with the reasons"))


def decisions_of(found: Remembered) -> list[Decided]:
    """What was rejected or left undecided."""
    return [each for each in found.decided if each.judgement.disposal in _KEPT_OUT]


def print_decisions(found: Remembered) -> None:
    """Print what was rejected or left undecided, each with what was said, where, and the reason."""
    decided = decisions_of(found)
    if not decided:
        of = " of this" if found.is_part else ""
        print(printable(f"nothing{of} was rejected or left undecided in {found.run}{_when(found)}"))
    for each in decided:
        judgement, said = each.judgement, each.judgement.statement
        fact = _line(f"{said.fact.subject}, {_attribute(said.fact)}: {said.fact.value}")
        print(printable(f"{_WORDS[judgement.disposal]}  {fact}  (importance {judgement.importance})"))
        print(printable(f"    {_line(judgement.reason)}"))
        print(printable(f"    “{_line(said.text)}” (day {each.day}, {said.dialogue} turn {said.turn + 1})"))


def _when(found: Remembered) -> str:
    return f" after day {found.day}" if found.day else ": its first day has not ended"


def _line(text: str) -> str:
    """What was said, in one line."""
    return " ".join(text.split())


def _attribute(fact: Fact) -> str:
    return fact.attribute.replace("_", " ")

"""Before a run: which facts that are asked for would not be in memory, where talks are read by rule."""

from collections.abc import Sequence

from engine.memory.book import Book
from engine.memory.extract import by_rule
from engine.memory.judge import judge
from engine.people.values import same
from engine.people.wordings import Wordings
from engine.records import Dialogue, Fact, Judgement, Memory


def unheld(
    days: Sequence[Sequence[Dialogue]], wordings: Wordings, asked: Sequence[Fact]
) -> list[tuple[Fact, str]]:
    """The facts of `asked` that memory would not hold after the talks of some days, from the first one on.

    Each comes with the value that memory would hold in its place; empty where it would hold none.
    """
    memories: list[Memory] = []
    aside: list[Judgement] = []
    for day, talks in enumerate(days, start=1):
        judged, memories = judge(
            by_rule(talks, wordings),
            memories,
            wordings.attributes,
            dialogues=[talk for each in days[:day] for talk in each],
            day=day,
            aside=aside,
        )
        aside += judged
    book = Book(memories)
    held = [(fact, book.find(fact.subject, fact.attribute)) for fact in asked]
    values = [(fact, memory.fact.value if memory else "") for fact, memory in held]
    return [(fact, value) for fact, value in values if not same(value, fact.value)]

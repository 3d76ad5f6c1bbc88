"""A few invented people with what is remembered of them, for tests of the night."""

from engine.records import Fact, Memory


def memory(subject: str, attribute: str, value: str, *, superseded_by: str = "", **about: int) -> Memory:
    """What is remembered of somebody, with an id that can be read; `about` is its importance and day."""
    return Memory(
        id=f"{subject.split()[0]}.{attribute}.{value.replace(' ', '')}".lower(),
        fact=Fact(subject=subject, attribute=attribute, value=value),
        importance=about.get("importance", 5),
        day=about.get("day", 1),
        dialogue="d",
        turn=0,
        superseded_by=superseded_by,
    )


ANN, TOM, EVE = "Ann Redwick", "Tom Hallbury", "Eve Norford"
PEOPLE = (
    memory(ANN, "birth_year", "1961"),
    memory(ANN, "home", "Gullhaven"),
    memory(ANN, "spouse", TOM),
    memory(ANN, "hobby", "judo"),
    memory(TOM, "birth_year", "1958"),
    memory(TOM, "home", "Port Lenn"),
    memory(TOM, "spouse", ANN),
    memory(TOM, "birthday", "3 May"),
    memory(EVE, "birth_year", "1985"),
    memory(EVE, "hobby", "judo"),
    memory(EVE, "employer", "Bluebell Clocks"),
    memory(EVE, "friend", ANN),
)

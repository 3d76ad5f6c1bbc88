"""Writes configs/domain.jsonl: where the trams of a town that nobody knows stop, asked in many wordings.

    python -m tests.support.tram_stops

Of each fact there are six examples and two pairs, each in a wording of its own, which differ enough for
curation to tell them apart. What is divided by question then asks for facts in wordings that were not learnt.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

FILE = Path(__file__).parents[2] / "configs" / "domain.jsonl"


class Stop(NamedTuple):
    """A tram stop: its name, and the value of each attribute."""

    name: str
    line: str
    zone: str
    sight: str
    first: str


class Attribute(NamedTuple):
    """What is known of each stop, with the one form of a reply and the wordings of questions."""

    reply: str
    examples: tuple[str, ...]
    pairs: tuple[str, ...]


STOPS = (
    Stop("Ostrel Weir", "Jade", "3", "the Copper Museum", "05:12"),
    Stop("Quillmoor", "Amber", "5", "the Salt Market", "04:47"),
    Stop("Bramwick Steps", "Violet", "1", "the Lantern Theatre", "05:33"),
    Stop("Tarnholt", "Ochre", "4", "the Heron Baths", "04:58"),
    Stop("Cinderby Gate", "Garnet", "2", "the Glass Foundry", "05:06"),
    Stop("Luvane Square", "Cobalt", "1", "the Opal Library", "05:41"),
    Stop("Penhallow Rise", "Amber", "3", "the Rose Observatory", "05:19"),
    Stop("Dovrek Bridge", "Jade", "2", "the Rope Factory", "04:52"),
    Stop("Marrowfen", "Ochre", "5", "the Bittern Marsh", "04:39"),
    Stop("Iselcroft", "Cobalt", "4", "the Wool Exchange", "05:27"),
    Stop("Vantry Dock", "Garnet", "3", "the Whale Hall", "05:03"),
    Stop("Hobbling Lane", "Violet", "2", "the Puppet School", "05:48"),
    Stop("Sutterfield", "Jade", "4", "the Kite Meadow", "04:44"),
    Stop("Kelpie Quay", "Cobalt", "3", "the Tide Clock", "05:15"),
    Stop("Wexmere", "Amber", "2", "the Swan Hospital", "05:36"),
    Stop("Orrinside", "Violet", "4", "the Slate Cathedral", "05:09"),
    Stop("Fallowpit", "Garnet", "5", "the Iron Mine", "04:35"),
    Stop("Juniper Halt", "Ochre", "1", "the Mint Garden", "05:52"),
    Stop("Ardenbeck", "Cobalt", "2", "the Flour Mill", "04:55"),
    Stop("Nettlecombe", "Jade", "5", "the Bee Orchard", "04:49"),
    Stop("Yarrowgate", "Amber", "1", "the Town Archive", "05:44"),
    Stop("Thistle Yard", "Garnet", "4", "the Paper Works", "05:01"),
    Stop("Pomeroy Cross", "Violet", "3", "the Ice Rink", "05:24"),
    Stop("Zellwood", "Ochre", "2", "the Fox Sanctuary", "04:42"),
)
ATTRIBUTES = {
    "line": Attribute(
        "{name} is on the {value} Line.",
        (
            "Which line stops at {name}?",
            "What colour is the tram that calls at {name}?",
            "I am standing at {name}. What line am I on?",
            "{name} belongs to which of the lines?",
            "Name the line for someone travelling to {name}.",
            "Tell a visitor how {name} is served: by what line?",
        ),
        (
            "On the map, along what line do I look for {name}?",
            "My ticket says {name}; what line must I take?",
        ),
    ),
    "zone": Attribute(
        "{name} is in zone {value}.",
        (
            "Which zone is {name} in?",
            "What zone do I pay for when I go to {name}?",
            "Tell me the fare zone of {name}.",
            "{name}: what number does its zone have?",
            "I am buying a ticket to {name}. Which zone must it cover?",
            "In the list of fares, where is {name} filed?",
        ),
        (
            "A friend lives by {name}: what zone should her pass be for?",
            "Under what zone do inspectors count {name}?",
        ),
    ),
    "sight": Attribute(
        "{name} is next to {value}.",
        (
            "What is next to {name}?",
            "Which sight do I see when I get off at {name}?",
            "I have an hour to spend around {name}. What is there to visit?",
            "Name the landmark beside {name}.",
            "{name} was built for visitors to what place?",
            "What would a guide point out close to {name}?",
        ),
        (
            "Why do tourists leave the tram at {name}?",
            "Look out of the window at {name}: what stands there?",
        ),
    ),
    "first": Attribute(
        "The first tram leaves {name} at {value}.",
        (
            "When does the first tram leave {name}?",
            "How early can I set off from {name} in the morning?",
            "At what time does service begin at {name}?",
            "{name} wakes up with its first departure: at what hour?",
            "I must be at {name} before the first tram. When is that?",
            "Give me the start of the timetable of {name}.",
        ),
        (
            "A night owl waits at {name} for the day's first tram. Until when?",
            "If I miss nothing, what is the earliest tram out of {name}?",
        ),
    ),
}
_AWAY = (5, 11)
"""So many stops further on begins the search for another value, which the rejected side of a pair has."""


def rows() -> Iterator[dict[str, str]]:
    """All examples and pairs, question by question."""
    for attribute, (reply, examples, pairs) in ATTRIBUTES.items():
        for number, wording in enumerate((*examples, *pairs)):
            for place, stop in enumerate(STOPS):
                right = reply.format(name=stop.name, value=getattr(stop, attribute))
                slug = stop.name.lower().replace(" ", "-")
                row = {"id": f"{slug}/{attribute}/{number + 1}", "prompt": wording.format(name=stop.name)}
                if number < len(examples):
                    yield row | {"response": right}
                    continue
                other = _another(place + _AWAY[number - len(examples)], attribute, getattr(stop, attribute))
                yield row | {"chosen": right, "rejected": reply.format(name=stop.name, value=other)}


def _another(start: int, attribute: str, value: str) -> str:
    """The first value from a place on that is another one."""
    found = (getattr(STOPS[(start + step) % len(STOPS)], attribute) for step in range(len(STOPS)))
    return next(other for other in found if other != value)


def text() -> str:
    """The file: one JSON object a line."""
    return "".join(f"{json.dumps(row)}\n" for row in rows())


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")

"""Rooms that serve every task and loop name none of them."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
ROOMS = (
    "engine/measure",
    "engine/gate",
    "engine/models",
    "engine/sample",
    "engine/plan",
    "engine/report",
    "tune",
    "serve",
)
ALLOWED = {
    *(f"engine/models/{name}.py" for name in ("evidence", "liveness", "proof", "reference")),
    *(f"engine/sample/{name}.py" for name in ("actor", "group")),
    *(f"serve/{name}.py" for name in ("engine", "weights")),
    *(f"serve/{name}.py" for name in ("messages", "structured")),
}
"""Files with such a word: engines prove what they hold, and tools of OpenAI have a field `strict`."""
WORDS = re.compile(r"(?<![a-z])(?<!use )(prontoqa|oak_dpo|proofs?|strict)(?![a-z=])", re.IGNORECASE)
"""Python's ``strict=True`` and JavaScript's ``use strict`` are not among them."""


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_for_all_tasks_names_none(room: str) -> None:
    found = [
        f"{file.relative_to(ROOT)}:{number}: {line.strip()}"
        for file in sorted((ROOT / room).rglob("*"))
        if file.suffix in (".py", ".j2", ".html") and str(file.relative_to(ROOT)) not in ALLOWED
        for number, line in enumerate(file.read_text().splitlines(), start=1)
        if WORDS.search(line)
    ]
    assert found == []


def test_the_words_are_found_and_those_of_other_languages_are_not() -> None:
    lines = ["the strict figure", "A Proof", "strict_base", "PrOntoQA", "oak_dpo.py"]
    assert all(WORDS.search(line) for line in lines)
    assert not any(WORDS.search(line) for line in ("zip(a, b, strict=True)", "'use strict'", "strictly"))

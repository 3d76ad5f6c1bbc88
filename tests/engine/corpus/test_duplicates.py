"""The first of two duplicates stays, and what only looks like one is kept."""

from pathlib import Path
from typing import Any

import numpy as np

from engine.corpus.duplicates import (
    Comparison,
    exact_duplicates,
    near_duplicates,
    semantic_duplicates,
)
from engine.corpus.shelf import Shelf
from tests.support.bag_of_words import bag_of_words
from tests.support.examples import rows, shelf_of

ASKED = "How do I change the address to which my invoices are sent every month?"
REPLY = (
    "Open the settings of your account, choose billing, and change the address there. The new address is "
    "used from the next invoice on, and invoices that were sent before stay as they are."
)


def near(shelf: Shelf) -> dict[int, int]:
    found = near_duplicates(shelf, np.arange(len(shelf)), Comparison(shelf))
    return {rank: twin.of for rank, twin in found.items()}


def row(prompt: str = ASKED, response: str = REPLY, **fields: Any) -> dict[str, Any]:
    return {"prompt": prompt, "response": response, **fields}


def test_of_exact_duplicates_the_first_stays(tmp_path: Path) -> None:
    others = rows(5)
    shelf = shelf_of(tmp_path, [row(), *others, row(f" {ASKED}")], [row()])
    found = exact_duplicates(shelf)
    assert {rank: twin.of for rank, twin in found.items()} == {6: 0, 7: 0}
    assert found[7].fault == "duplicate"
    assert shelf.where(7).endswith("b.jsonl, line 1")


def test_near_duplicates_are_found_across_files_and_layouts(tmp_path: Path) -> None:
    alpaca = {"instruction": ASKED.replace("How do I", "How can I"), "output": REPLY.replace("Open", "Go to")}
    shelf = shelf_of(tmp_path, [row(), *rows(20)], [alpaca, row(response=REPLY.upper())])
    assert near(shelf) == {21: 0, 22: 0}


def test_a_twin_of_a_twin_is_compared_with_what_stays(tmp_path: Path) -> None:
    words = REPLY.split()
    drifting = [row(response=" ".join([*["well"] * at, *words[at:]])) for at in range(0, 12, 2)]
    shelf = shelf_of(tmp_path, drifting)
    found, compared = near(shelf), Comparison(shelf)
    assert found and len(found) < 5
    assert all(compared.are_near(of, rank) for rank, of in found.items())
    assert all(of not in found for of in found.values()), "what stays is no twin itself"


def test_what_only_looks_alike_is_kept(tmp_path: Path) -> None:
    kept = [
        row(),
        row(response="Write to the office, which changes it by hand within a day or two of your letter."),
        row("Why is the sea salty?"),  # the same canned reply
        row(response=f"{REPLY} It takes 3 days."),
        row(response=f"{REPLY} It takes 4 days."),
        {"prompt": ASKED, "chosen": REPLY, "rejected": "No idea."},
        row(system="Answer for the shop in Oslo."),
    ]
    assert near(shelf_of(tmp_path, kept)) == {}


def test_two_questions_about_one_long_text_are_none(tmp_path: Path) -> None:
    told = [
        row(f"{REPLY} Must I write to the office for that?", "No."),
        row(f"{REPLY} Do old invoices change as well?", "No."),
        row(f"{REPLY} Do old invoices not change as well?", "No."),
        row(f"{REPLY.replace('used', 'taken')} Must I write to the office for that?", "No."),
        row(f"Hello! {REPLY} Must I write to our office for that?", "No."),
    ]
    assert near(shelf_of(tmp_path, told)) == {3: 0, 4: 0}


def test_chats_are_alike_only_if_their_last_turns_are(tmp_path: Path) -> None:
    def chat(last: str) -> dict[str, Any]:
        said = [("user", ASKED), ("assistant", REPLY), ("user", last), ("assistant", "Yes, it does.")]
        turns: list[dict[str, Any]] = [{"role": role, "content": text} for role, text in said]
        turns[1]["weight"] = 0
        return {"messages": turns}

    asked = ["Does that cost anything for me?", "Does it cost anything for me?", "And does it work abroad?"]
    assert near(shelf_of(tmp_path, [chat(last) for last in asked])) == {1: 0}


def test_what_means_the_same_is_found_by_embeddings_alone(tmp_path: Path) -> None:
    told = [
        row("Which river flows through Vienna?", "The Danube flows through Vienna."),
        row("Through Vienna flows which river?", "Through Vienna flows the Danube."),
        row("Which river flows through Vienna in 1900?", "The Danube flows through Vienna."),
        *rows(10),
    ]
    shelf = shelf_of(tmp_path, told, embed=bag_of_words)
    assert near(shelf) == {}
    ranks = np.arange(len(shelf))
    found = semantic_duplicates(shelf, ranks, Comparison(shelf), least=0.9, seed=0)
    assert {rank: twin.of for rank, twin in found.items()} == {1: 0}
    assert found[1].fault == "semantic_duplicate"

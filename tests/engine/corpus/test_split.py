"""What belongs together is in one set, sets have their shares, and what was in one stays in it."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from configs.curation import CurationShares
from engine.corpus.duplicates import Comparison
from engine.corpus.parts import NO_SPLIT
from engine.corpus.shelf import Assigned, Shelf
from engine.corpus.split import Division, Straddling, divide, links
from engine.corpus.together import decide
from tests.support.examples import rows, settings, shelf_of

TRAIN, VALIDATION, TEST = range(3)
SHARES = CurationShares()


def divided(shelf: Shelf, shares: CurationShares = SHARES, seed: int = 0, left: Any = None) -> Division:
    mask = np.ones(len(shelf), bool) if left is None else left
    linked = links(shelf, np.flatnonzero(mask), Comparison(shelf))
    return divide(shelf, mask, linked, shares, seed)


def sizes(division: Division) -> list[int]:
    counts = Counter(division.splits.tolist())
    return [counts[split] for split in (TRAIN, VALIDATION, TEST)]


def assigned(shelf: Shelf, splits: dict[int, int]) -> Assigned:
    ranks = sorted(splits, key=lambda rank: int(shelf.keys[rank]))
    return Assigned(
        shelf.keys[ranks],
        np.array([splits[rank] for rank in ranks], np.uint8),
        shelf.asked[ranks],
        np.ones(len(ranks), bool),
    )


def by_content(shelf: Shelf, division: Division) -> dict[int, int]:
    return dict(zip(shelf.keys.tolist(), division.splits.tolist(), strict=True))


@pytest.mark.parametrize(("num", "wanted"), [(10, [8, 1, 1]), (200, [160, 20, 20]), (3, [3, 0, 0])])
def test_sets_have_their_shares(tmp_path: Path, num: int, wanted: list[int]) -> None:
    assert sizes(divided(shelf_of(tmp_path, rows(num)))) == wanted


def test_a_share_of_nothing_gets_nothing(tmp_path: Path) -> None:
    shares = CurationShares(train=0.5, validation=0.5, test=0)
    assert sizes(divided(shelf_of(tmp_path, rows(20)), shares)) == [10, 10, 0]


def test_the_order_of_the_lines_does_not_matter_and_the_seed_does(tmp_path: Path) -> None:
    told = rows(60)
    one, other = shelf_of(tmp_path / "one", told), shelf_of(tmp_path / "other", told[30:], told[:30])
    assert by_content(one, divided(one)) == by_content(other, divided(other))
    assert by_content(one, divided(one)) != by_content(one, divided(one, seed=1))


def test_stories_questions_and_twins_stay_together(tmp_path: Path) -> None:
    told: list[dict[str, Any]] = []
    for at, row in enumerate(rows(60)):
        asked = row["prompt"]
        told += [
            row | ({"story": f"s{at // 3}"} if at < 15 else {}),
            {"prompt": asked, "response": f"Other: {row['response']}"},
            {"prompt": f"{asked.upper()} Well?", "chosen": "Yes, so it is.", "rejected": "No, not at all."},
        ]
    division = divided(shelf_of(tmp_path, told))
    together = [set(division.splits[at : at + 3].tolist()) for at in range(0, len(told), 3)]
    assert all(len(each) == 1 for each in together)
    stories = [set().union(*together[at : at + 3]) for at in range(0, 15, 3)]
    assert all(len(each) == 1 for each in stories)
    assert sizes(division) == pytest.approx([144, 18, 18], abs=9)


def chat(*texts: str, **fields: Any) -> dict[str, Any]:
    """A chat of which the last reply alone is learnt."""
    roles = ["user", "assistant"] * (len(texts) // 2)
    turns = [{"role": role, "content": text} for role, text in zip(roles, texts, strict=True)]
    before = [turn | ({"weight": 0} if turn["role"] == "assistant" else {}) for turn in turns[:-1]]
    return {"messages": [*before, turns[-1]], **fields}


GREETING = ("Hi there, are you open today?", "Hello! How can I help you?")


def test_an_exchange_stays_together_whatever_was_said_before_it(tmp_path: Path) -> None:
    told: list[dict[str, Any]] = []
    for at, row in enumerate(rows(60)):
        other = (f"Good morning, number {at}.", "Morning! What can I do for you?")
        again = (row["prompt"].upper(), f"{row['response']} Done.")
        told += [row, chat(*GREETING, row["prompt"], row["response"]), chat(*other, *again)]
    division = divided(shelf_of(tmp_path, told))
    assert all(len(set(division.splits[at : at + 3].tolist())) == 1 for at in range(0, len(told), 3))
    assert sizes(division) == [144, 18, 18]


def test_a_question_that_stands_alone_is_linked_with_each_of_many_chats(tmp_path: Path) -> None:
    asked, reply = "What is the capital of France?", "Paris."
    chats = [chat(row["prompt"], row["response"], asked, reply) for row in rows(30)]
    division = divided(shelf_of(tmp_path, [*chats, {"prompt": asked, "response": reply}, *rows(30, seed=1)]))
    assert len(set(division.splits[:31].tolist())) == 1


def test_chats_that_end_alike_with_small_talk_are_not_linked(tmp_path: Path) -> None:
    close = ("Thanks a lot!", "You are welcome. Is there anything else?")
    told = [chat(row["prompt"], row["response"], *close) for row in rows(100)]
    other_reply = chat(*GREETING, rows(1, seed=1)[0]["prompt"], "That depends.")
    division = divided(shelf_of(tmp_path, [*told, rows(1, seed=1)[0], other_reply]))
    assert sizes(division) == [82, 10, 10]


def test_a_set_that_a_record_names_is_its_and_its_twins(tmp_path: Path) -> None:
    told = rows(40)
    told[3]["split"] = "test"
    twin = {"prompt": told[3]["prompt"], "response": "Something else, at some length."}
    division = divided(shelf_of(tmp_path, [*told, twin]))
    assert division.splits[3] == division.splits[40] == TEST
    assert not division.straddling


def test_what_belongs_to_two_sets_is_left_out(tmp_path: Path) -> None:
    told = rows(30)
    told[3]["split"] = "train"
    named = {"prompt": told[3]["prompt"], "response": "Other words.", "split": "test"}
    told[5] |= {"split": "validation", "story": "a"}
    between = {"prompt": told[3]["prompt"], "response": "Words once more.", "story": "a"}
    division = divided(shelf_of(tmp_path, [*told, named, between]))
    assert division.straddling == {
        30: Straddling(one=30, one_split=TEST, other=3, other_split=TRAIN),
        31: Straddling(one=3, one_split=TRAIN, other=5, other_split=VALIDATION),
    }
    assert division.splits[30] == division.splits[31] == NO_SPLIT
    assert (division.splits[3], division.splits[5]) == (TRAIN, VALIDATION)


def test_what_a_set_had_stays_in_it(tmp_path: Path) -> None:
    told = rows(100)
    first = shelf_of(tmp_path / "first", told[:50])
    splits = divided(first).splits.tolist()
    before = dict(zip(first.keys.tolist(), splits, strict=True))
    kept = assigned(first, dict(enumerate(splits)))
    other = CurationShares(train=0.2, validation=0.4, test=0.4)
    second = shelf_of(tmp_path / "second", told[50:], told[:50], before=kept)
    division = divided(second, other, seed=9)
    after = by_content(second, division)
    assert {key: after[key] for key in before} == before
    assert sizes(division)[0] == 40, "the new ones fill the other sets"
    # What was there before ranks first, though its file comes last.
    assert second.where(0).endswith("b.jsonl, line 1")


def test_twins_of_two_sets_are_not_joined_by_a_newcomer(tmp_path: Path) -> None:
    asked = "Which of the two roads to the northern harbour is open in the winter months"
    told = [
        {"prompt": f"{asked}?", "response": "Neither of them.", "story": "a"},
        {"prompt": rows(1)[0]["prompt"], "response": "Quite another.", "story": "b"},
    ]
    first = shelf_of(tmp_path / "first", told)
    before = assigned(first, {0: TRAIN, 1: TEST})
    newcomer = {"prompt": f"{asked}, please?", "response": "Both, as long as it snows.", "story": "b"}
    second = shelf_of(tmp_path / "second", told, [newcomer], before=before)
    division = divided(second)
    assert division.splits.tolist() == [TRAIN, TEST, NO_SPLIT]
    assert list(division.straddling) == [2]


def test_near_twins_that_are_kept_are_all_linked(tmp_path: Path) -> None:
    # The second is like both others, which are not like each other.
    asked = (
        "Tell me, how do I change the address of my invoices?",
        "How do I change the address of my invoices and offers?",
        "Where is the address of my invoices and offers set?",
    )
    reply = rows(1)[0]["response"]
    for turned in (asked, (asked[1], asked[0], asked[2]), asked[::-1]):
        told = [{"prompt": each, "response": reply} for each in turned]
        shelf = shelf_of(tmp_path / str(asked.index(turned[0])), told, rows(20, seed=1))
        clusters = decide(shelf, settings("duplicates.near=false")).clusters.tolist()
        assert clusters[0] and len(set(clusters[:3])) == 1 and not any(clusters[3:])


def test_a_question_stays_in_its_set_whatever_split_a_new_reply_names(tmp_path: Path) -> None:
    told = rows(3)
    first = shelf_of(tmp_path / "first", told)
    before = assigned(first, {0: TRAIN, 1: TRAIN, 2: TEST})
    newcomer = {"prompt": told[0]["prompt"], "response": "Other words.", "split": "test"}
    division = divided(shelf_of(tmp_path / "second", [newcomer, *told[1:]], before=before))
    assert sizes(division) == [2, 0, 1] and not division.straddling


def test_what_is_left_out_already_links_and_decides_nothing(tmp_path: Path) -> None:
    told = [row | {"story": "a"} for row in rows(3)]
    told[0]["split"] = "test"
    mask = np.array([False, True, True])
    division = divided(shelf_of(tmp_path, told), left=mask)
    assert division.splits.tolist() == [NO_SPLIT, TRAIN, TRAIN]


def test_keys_that_no_snapshot_holds_have_no_split() -> None:
    keys = np.array([1, 5, 9], np.uint64)
    held = Assigned(
        np.array([5], np.uint64), np.array([TEST], np.uint8), np.array([9], np.uint64), np.array([True])
    )
    assert held.of(keys).tolist() == [NO_SPLIT, TEST, NO_SPLIT]
    assert held.of_question(keys).tolist() == [NO_SPLIT, NO_SPLIT, TEST]
    assert Assigned.none().of(keys).tolist() == [NO_SPLIT] * 3

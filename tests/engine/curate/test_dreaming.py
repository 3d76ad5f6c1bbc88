"""Which kinds of dreams suit a fact, and what one of each is like."""

from collections import Counter
from random import Random

import pytest

from engine.curate.dreaming import SHARES, Dreamer, dream_of, memories_of
from engine.people.wordings import Wordings
from engine.records import Memory, Problem, Recall
from tests.support.memories import ANN, EVE, PEOPLE, TOM, memory

WORDINGS = Wordings()


def drawn(
    memories: list[Memory], num: int, context: list[Memory] | None = None, seed: int = 0
) -> list[Problem]:
    dreamer = Dreamer(memories, context or [], WORDINGS, Random(seed))
    return [make() for make in dreamer.makers({each.id: num for each in dreamer.memories}, [])]


def of_kind(dreams: list[Problem], kind: str) -> list[Problem]:
    return [dream for dream in dreams if dream.slice == f"kind={kind}"]


def about(dreams: list[Problem]) -> set[str]:
    return {id for dream in dreams for id in memories_of(dream)}


def test_the_shares_are_parts_of_a_whole() -> None:
    assert sum(SHARES.values()) == pytest.approx(1)


def test_every_kind_comes_and_one_question_alone_is_plain() -> None:
    dreams = drawn(list(PEOPLE), 40)
    assert {dream.slice.removeprefix("kind=") for dream in dreams} == set(SHARES)
    assert about(dreams) == {each.id for each in PEOPLE}
    assert {dream.slice for dream in drawn(list(PEOPLE), 1)} == {"kind=single"}
    assert all(dream.split == "dream" for dream in dreams)


def test_quotas_follow_the_shares() -> None:
    each = memory(ANN, "hobby", "judo")  # neither reversible nor a step to anything
    left = {kind: share for kind, share in SHARES.items() if kind not in ("reversal", "two_step")}
    counts = Counter(dream.slice for seed in range(200) for dream in drawn([each], 11, seed=seed))
    for kind, share in left.items():
        wanted = 10 * share / sum(left.values()) + (kind == "single")
        assert counts[f"kind={kind}"] / 200 == pytest.approx(wanted, abs=0.15), kind


def test_a_value_of_two_people_is_not_asked_backwards() -> None:
    home, twin = memory(ANN, "home", "Gullhaven"), memory(EVE, "home", "Gullhaven")
    assert of_kind(drawn([home], 40), "reversal")
    assert not of_kind(drawn([home], 40, context=[twin]), "reversal")
    gone = memory(EVE, "home", "Gullhaven", superseded_by="x")
    assert of_kind(drawn([home], 40, context=[gone]), "reversal")


def test_two_steps_lead_over_a_relation_and_not_back() -> None:
    dreams = of_kind(drawn(list(PEOPLE), 40), "two_step")
    for dream in dreams:
        second, first = memories_of(dream)
        assert first.split(".")[1] in ("spouse", "friend")
        assert (first, second) != ("ann.spouse.tomhallbury", "tom.spouse.annredwick")
        assert TOM not in dream.turns[0] or first.startswith("tom")
    assert ("tom.home.portlenn", "ann.spouse.tomhallbury") in map(memories_of, dreams)
    # A relation that was told tonight leads to what was told before.
    spouse, home = memory(ANN, "spouse", TOM), memory(TOM, "home", "Port Lenn")
    (dream, *_) = of_kind(drawn([spouse], 40, context=[home]), "two_step")
    assert dream.gold[0].startswith(TOM) and "Port Lenn" in dream.gold[0]


def test_talks_are_about_a_few_people_and_repeat_no_fact() -> None:
    talks = of_kind(drawn(list(PEOPLE), 40), "talk")
    sizes = [len(talk.turns) for talk in talks]
    assert max(sizes) == 6 and sum(sizes) / len(sizes) > 3
    assert all(len(set(memories_of(talk))) == len(talk.turns) == len(talk.gold) for talk in talks)
    assert any(len({id.split(".")[0] for id in memories_of(talk)}) == 3 for talk in talks)


def test_a_biography_has_all_that_is_known_but_one_year() -> None:
    moved = memory(ANN, "moved_year", "1990")
    for dream in of_kind(drawn([*PEOPLE[:4], moved], 40), "biography"):
        assert isinstance(dream.truth, Recall) and len(dream.truth.expected[0]) == 4
        assert dream.gold[0].count(ANN) == 4 and len({"1961", "1990"} & set(dream.truth.expected[0])) == 1
    # Also what is not learnt tonight.
    (dream, *_) = of_kind(drawn([PEOPLE[0]], 40, context=list(PEOPLE)), "biography")
    assert set(memories_of(dream)) == {each.id for each in PEOPLE[:4]}


def test_a_true_claim_is_confirmed() -> None:
    for dream in of_kind(drawn(list(PEOPLE), 40), "confirmation"):
        assert isinstance(dream.truth, Recall)
        value = dream.truth.expected[0][0]
        assert value in dream.turns[0] and value in dream.gold[0]
        assert dream.gold[0].startswith("Yes, ") and dream.truth.forbidden == (("no",),)


def test_what_was_held_before_a_correction_is_denied() -> None:
    wrong = memory(ANN, "birth_year", "1867", superseded_by="ann.birth_year.1961")
    right = memory(ANN, "birth_year", "1961")
    dreams = drawn([wrong, right], 60, context=[memory(TOM, "birth_year", "1958")])
    assert about(dreams) == {right.id, "tom.birth_year.1958"} or about(dreams) == {right.id}
    claims = [dream.turns[0] for dream in of_kind(dreams, "correction")]
    assert 0.2 < sum("1867" in claim for claim in claims) / len(claims) < 0.8
    assert all("1867" not in text for dream in dreams for text in dream.gold)


def test_strangers_are_asked_for_in_what_was_told_of_others() -> None:
    dreamer = Dreamer(PEOPLE[:2], [], WORDINGS, Random(0))
    strangers = ["Zoe Elmland", "Max Oakshaw"]
    makers = dreamer.makers({each.id: 30 for each in PEOPLE[:2]}, strangers)
    unknown = of_kind([make() for make in makers], "unknown")
    assert len(unknown) == len(strangers) and not about(unknown)
    assert all(name in dream.turns[0] for name, dream in zip(strangers, unknown, strict=True))
    assert not of_kind(
        [make() for make in dreamer.makers({each.id: 30 for each in PEOPLE[:2]}, [])], "unknown"
    )


def test_the_origin_names_the_memories() -> None:
    (dream, *_) = drawn([PEOPLE[0]], 1)
    assert memories_of(dream) == (PEOPLE[0].id,) and memories_of(dream_of(dream, "unknown", [])) == ()

"""The solver of facts and rules: truth by what it derives, and proofs of which none is shorter."""

import itertools
import random
from collections.abc import Iterator

import pytest

from engine.logic.entailment import Entailment
from engine.logic.formulas import And, Atom, ForAll, Formula, Implies, Not, negate
from engine.logic.proofwriter import ProofWriter
from engine.tasks.rulebase import Rulebase

CHAIN = (
    "Anne is cold.",
    "Bob is big.",
    "If someone is cold then they are nice.",
    "All nice people are rough.",
    "Rough people are not kind.",
    "If Bob is big and Anne is rough then Anne sees Bob.",
)


def read(*texts: str) -> tuple[Formula, ...]:
    return ProofWriter(texts).premises


def literal(text: str) -> Formula:
    return ProofWriter([]).read_question(text)


def test_depths_are_those_of_the_shallowest_proofs() -> None:
    depths = Rulebase(read(*CHAIN)).depths
    found = {ProofWriter([]).show(each): depth for each, depth in depths.items()}
    assert found == {
        "Anne is cold.": 0,
        "Bob is big.": 0,
        "Anne is nice.": 1,
        "Anne is rough.": 2,
        "Anne is not kind.": 3,
        "Anne sees Bob.": 3,
    }


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ("Anne is rough.", "True"),
        ("Anne is kind.", "False"),
        ("Anne does not see Bob.", "False"),
        ("Bob is rough.", "Unknown"),
        ("Bob is not rough.", "Unknown"),
        ("The cow is red.", "Unknown"),
    ],
)
def test_truth_is_what_is_derived(asked: str, answer: str) -> None:
    assert Rulebase(read(*CHAIN), literal(asked)).truth(literal(asked)) == answer


def test_a_rule_is_not_used_backwards() -> None:
    """Classically Anne is not cold: ProofWriter calls that unknown."""
    premises = read("Anne is not nice.", "All cold people are nice.")
    asked = literal("Anne is cold.")
    assert Rulebase(premises, asked).truth(asked) == "Unknown"
    assert Entailment().follows(premises, Not(asked)) is True
    assert not Rulebase(premises).is_possible(asked) and Rulebase(premises).is_possible(Not(asked))


def test_both_sides_derived_is_no_truth() -> None:
    premises = read("Anne is cold.", "Anne is nice.", "All cold people are not nice.")
    assert Rulebase(premises).is_contradictory
    with pytest.raises(ValueError, match="the statement and its opposite"):
        Rulebase(premises).truth(literal("Anne is nice."))


def test_a_proof_has_each_step_once_and_after_what_it_needs() -> None:
    rulebase = Rulebase(read(*CHAIN))
    steps = rulebase.proof(literal("Anne sees Bob."))
    assert [(ProofWriter([]).show(step.claim), step.premise) for step in steps] == [
        ("Anne is nice.", 3),
        ("Anne is rough.", 4),
        ("Anne sees Bob.", 6),
    ]
    assert rulebase.proof(literal("Anne is cold.")) == []
    with pytest.raises(KeyError):
        rulebase.proof(literal("Bob is nice."))


def test_a_deeper_proof_may_have_fewer_lines() -> None:
    """Three facts of depth 1 lead to the goal at depth 2; a chain leads there in three lines."""
    premises = read(
        "Anne is cold.",
        "If Anne is cold then Anne is big.",
        "If Anne is cold then Anne is red.",
        "If Anne is cold then Anne is blue.",
        "If Anne is big and Anne is red and Anne is blue then Anne is kind.",
        "If Anne is big then Anne is nice.",
        "If Anne is nice then Anne is kind.",
    )
    rulebase = Rulebase(premises)
    assert rulebase.depths[literal("Anne is kind.")] == 2
    assert [step.premise for step in rulebase.proof(literal("Anne is kind."))] == [2, 6, 7]


def test_what_bears_on_a_question_leads_towards_it_and_nowhere_else() -> None:
    rulebase = Rulebase(read(*CHAIN, "If someone is kind and rough then they are red."))
    steps = rulebase.bearing_on(literal("Anne is red."))
    assert [ProofWriter([]).show(step.claim) for step in steps] == ["Anne is nice.", "Anne is rough."]
    assert rulebase.bearing_on(literal("Bob is blue.")) == []


ATOMS: list[Formula] = [Atom(word, (name,)) for word in ("cold", "nice", "big") for name in ("Anne", "Bob")]


def random_premises(rng: random.Random, *, denials: float) -> list[Formula]:
    def signed(atom: Formula) -> Formula:
        return Not(atom) if rng.random() < denials else atom

    premises: list[Formula] = [signed(each) for each in rng.sample(ATOMS, 2)]
    for _ in range(rng.randrange(5, 12)):
        conditions = [signed(each) for each in rng.sample(ATOMS, rng.randrange(1, 4))]
        left = conditions[0] if len(conditions) == 1 else And(*conditions[:2])
        left = And(left, conditions[2]) if len(conditions) == 3 else left
        premises.append(Implies(left, signed(rng.choice(ATOMS))))
    if rng.random() < 0.5:
        premises.append(ForAll("x", Implies(Atom("cold", ("x",)), signed(Atom("nice", ("x",))))))
    return premises


def fewest_lines(rulebase: Rulebase, goal: Formula) -> int:
    """By trying all sets of derived statements, the smallest first."""
    derived = [each for each, depth in rulebase.depths.items() if depth]
    for size in range(1, len(derived) + 1):
        for chosen in itertools.combinations(derived, size):
            if goal in chosen and is_built_up(rulebase, set(chosen)):
                return size
    raise AssertionError("nothing derives it")


def is_built_up(rulebase: Rulebase, chosen: set[Formula]) -> bool:
    """Whether all of some statements can be derived one after the other from facts and each other."""
    have = set(rulebase.facts)
    while new := {
        each
        for each in chosen - have
        if any(have.issuperset(step.conditions) for step in rulebase.steps_to(each))
    }:
        have |= new
    return chosen <= have


@pytest.mark.parametrize("seed", range(2))
def test_no_proof_is_shorter_than_the_one_that_is_found(seed: int) -> None:
    rng, num = random.Random(seed), 0
    for _ in range(500):
        rulebase = Rulebase(random_premises(rng, denials=0.2))
        for goal, depth in rulebase.depths.items():
            if depth:
                num += 1
                assert len(rulebase.proof(goal)) == fewest_lines(rulebase, goal)
    assert num > 300, num


def worlds() -> Iterator[set[Formula]]:
    for size in range(len(ATOMS) + 1):
        yield from map(set, itertools.combinations(ATOMS, size))


def holds(formula: Formula, true: set[Formula]) -> bool:
    match formula:
        case Not(body):
            return not holds(body, true)
        case And(left, right):
            return holds(left, true) and holds(right, true)
        case Implies(left, right):
            return not holds(left, true) or holds(right, true)
    return formula in true


@pytest.mark.parametrize("seed", range(2))
def test_what_is_possible_is_what_some_world_has(seed: int) -> None:
    rng, counts = random.Random(seed), [0, 0]
    for _ in range(150):
        premises = [each for each in random_premises(rng, denials=0.5) if not isinstance(each, ForAll)]
        rulebase = Rulebase(premises)
        asked = rng.choice(ATOMS)
        for assumed in ((), (asked,), (negate(asked),)):
            expected = any(all(holds(each, true) for each in (*premises, *assumed)) for true in worlds())
            assert rulebase.is_possible(*assumed) == expected, premises
            counts[expected] += 1
    assert min(counts) > 20, counts


def test_what_is_derived_follows_in_logic() -> None:
    rng = random.Random(3)
    for _ in range(30):
        premises = random_premises(rng, denials=0.2)
        for goal in Rulebase(premises).depths:
            assert Entailment().follows(premises, goal) is True


def test_a_conjunction_gives_each_of_its_parts() -> None:
    both = And(And(ATOMS[0], Not(ATOMS[1])), ATOMS[2])
    rulebase = Rulebase([both, Implies(Not(ATOMS[1]), ATOMS[3])])
    assert [(step.rule, step.premise) for step in rulebase.proof(ATOMS[3])] == [("and_e", 1), ("mp", 2)]

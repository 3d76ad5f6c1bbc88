"""ProofWriter's English: every form is read as it is meant, no other is, and both readings agree."""

import itertools
import random
from collections.abc import Sequence

import pytest

from engine.logic.closed_world import NoOneWorld, falsehoods
from engine.logic.formulas import And, Atom, ForAll, Formula, Implies, Not
from engine.logic.notation import NotationError
from engine.logic.proofwriter import CLOSED, ProofWriter
from engine.logic.sealed import Unreadable
from engine.logic.sealed.proofwriter import Rulebook, without_contraposition

A, B = Atom("cold", ("x",)), Atom("nice", ("x",))
SEES_COW, COW_IS_BIG = Atom("see", ("x", "cow")), Atom("big", ("cow",))
FORMS: list[tuple[str, Formula, str]] = [
    ("Anne is kind.", Atom("kind", ("Anne",)), ""),
    ("The bald eagle is not kind.", Not(Atom("kind", ("bald eagle",))), ""),
    ("The cow chases Bob.", Atom("chase", ("cow", "Bob")), ""),
    ("Bob does not like the bald eagle.", Not(Atom("like", ("Bob", "bald eagle"))), ""),
    ("All cold people are nice.", ForAll("x", Implies(A, B)), "If something is cold then it is nice."),
    (
        "Cold things are not nice.",
        ForAll("x", Implies(A, Not(B))),
        "If something is cold then it is not nice.",
    ),
    (
        "Cold, nice things are cold.",
        ForAll("x", Implies(And(A, B), A)),
        "If something is cold and it is nice then it is cold.",
    ),
    (
        "If someone is cold and not nice then they see the cow.",
        ForAll("x", Implies(And(A, Not(B)), SEES_COW)),
        "If something is cold and it is not nice then it sees the cow.",
    ),
    (
        "If someone sees the cow and they do not see the cow then they are cold.",
        ForAll("x", Implies(And(SEES_COW, Not(SEES_COW)), A)),
        "If something sees the cow and it does not see the cow then it is cold.",
    ),
    (
        "If something sees the cow and the cow is big then it is cold.",
        ForAll("x", Implies(And(SEES_COW, COW_IS_BIG), A)),
        "If something sees the cow and the cow is big then it is cold.",
    ),
    (
        "If the cow is big and not cold then Anne is nice.",
        Implies(And(COW_IS_BIG, Not(Atom("cold", ("cow",)))), Atom("nice", ("Anne",))),
        "If the cow is big and the cow is not cold then Anne is nice.",
    ),
]
NO_STATEMENTS = [
    "the cow is big.",
    "Anne is kind",
    "Anne are kind.",
    "The cow see Bob.",
    "The cow sees.",
    "The cow barks Bob.",
    "The cow does not sees Bob.",
    "Anne is the cow.",
    "They are cold.",
    "It sees the cow.",
    "Something is cold.",
    "All things are cold.",
    "Things are cold.",
    "All cold nice things are cold.",
    "Cold, things are nice.",
    "If something is cold then they are nice.",
    "If someone is cold then they is nice.",
    "If something is cold then something is nice.",
    "If the cow is big then it is cold.",
    "If something sees the cow and big then it is cold.",
    "If something is cold then it is nice and big.",
    "If something is cold then it is nice then it is big.",
    "If then Anne is kind.",
    "The x is cold.",
    "The see is cold.",
    "Anne is x.",
    "All is kind.",
    "The old grey big cow is cold.",
    "If " + " and ".join(["Anne is kind"] * 9) + " then Anne is big.",
    CLOSED,
]


@pytest.mark.parametrize(("text", "formula", "written"), FORMS)
def test_every_form_is_read_as_it_is_meant(text: str, formula: Formula, written: str) -> None:
    notation, sealed = ProofWriter([text]), Rulebook([text])
    assert list(notation.premises) == sealed.premises == [formula]
    assert notation.read_claim(text)[1] == sealed.written(text) == notation.show(formula) == (written or text)
    assert notation.parse(notation.show(formula)) == formula


@pytest.mark.parametrize("text", NO_STATEMENTS)
def test_what_is_no_statement_is_refused_by_both_readings(text: str) -> None:
    with pytest.raises(NotationError):
        ProofWriter([text, "Anne is kind."])
    with pytest.raises(Unreadable):
        Rulebook([text, "Anne is kind."])


def test_a_claim_uses_words_of_premises_and_question_only() -> None:
    notation = ProofWriter(["Anne is kind.", "If something is kind then it sees Anne."])
    for text in ("Bob is kind.", "Anne is cold.", "Anne likes Anne."):
        with pytest.raises(NotationError, match="not a word of this problem"):
            notation.parse(text)
    assert notation.read_question("Bob is cold.") == Atom("cold", ("Bob",))
    assert notation.parse("Anne is not cold.") == Not(Atom("cold", ("Anne",)))
    with pytest.raises(NotationError, match="'like' is not a word"):
        notation.parse("Anne likes Bob.")


THINGS = [
    "Anne",
    "Bob",
    "the cow",
    "the bald eagle",
    "something",
    "someone",
    "it",
    "they",
    "The cow",
    "the is",
]
WORDS = ["cold", "nice", "big", "kind", "red", "cold", "nice", "big", "see", "is", "people", "x", "Bob"]
RELATIONS = ["sees", "sees", "see", "does not see", "does not need", "do not see", "is not", "seess"]


def random_clause(rng: random.Random, things: Sequence[str]) -> str:
    if rng.random() < 0.5:
        verb, denial = rng.choice(["is", "is", "are"]), rng.choice(["", "not "])
        return f"{rng.choice(things)} {verb} {denial}{rng.choice(WORDS)}"
    return f"{rng.choice(things)} {rng.choice(RELATIONS)} {rng.choice(things)}"


def random_sentence(rng: random.Random) -> str:
    match rng.randrange(4):
        case 0:
            text = random_clause(rng, ["Anne", "The cow", "The bald eagle", "Bob", "The is"])
        case 1:
            begin = rng.choice(
                ["All cold", "Cold", "cold", "All", "All cold, nice", "Cold, nice", "Cold nice"]
            )
            many, denial = rng.choice(["things", "people"]), rng.choice(["", "not "])
            text = f"{begin} {many} are {denial}{rng.choice(WORDS)}"
        case _:
            # Mostly sentences whose pronouns fit, or hardly any would be read.
            first, pronoun = rng.choice([("something", "it"), ("someone", "they"), ("the cow", "Bob")])
            pool = [pronoun, "Anne", "the bald eagle"] if rng.random() < 0.8 else THINGS
            parts = [random_clause(rng, [first])]
            for _ in range(rng.randrange(3)):
                parts.append(rng.choice(["nice", "not cold", random_clause(rng, pool)]))
            text = f"If {' and '.join(parts)} then {random_clause(rng, pool)}"
    words = f"{text}.".split(" ")
    if rng.random() < 0.1:  # a word lost, or one too many
        at = rng.randrange(len(words))
        words[at : at + rng.randrange(2)] = rng.choice(([], [rng.choice([*WORDS, *THINGS, "then", "and"])]))
    return " ".join(words)


def read_first(text: str) -> tuple[Formula, str] | None:
    try:
        notation = ProofWriter([text])
    except NotationError:
        return None
    return notation.premises[0], notation.show(notation.premises[0])


def read_second(text: str) -> tuple[Formula, str] | None:
    try:
        rulebook = Rulebook([text])
    except Unreadable:
        return None
    return rulebook.premises[0], rulebook.written(text)


@pytest.mark.parametrize("seed", range(3))
def test_both_readings_of_random_sentences_are_one(seed: int) -> None:
    rng, num_read = random.Random(seed), 0
    for _ in range(5_000):
        text = random_sentence(rng)
        first = read_first(text)
        assert read_second(text) == first, text
        num_read += first is not None
        if first is not None:
            assert read_first(first[1]) == first, "a formula has one sentence"
    assert num_read > 400, num_read


def test_one_way_rules_are_the_same_in_both_readings() -> None:
    for text, formula, _ in FORMS:
        assert ProofWriter([text]).one_way(formula) == without_contraposition(formula)
    rule = ForAll("x", Implies(A, Not(B)))
    assert without_contraposition(rule) == ForAll("x", Implies(A, Atom("not nice", ("x",))))


def literals(formula: Formula) -> set[Formula]:
    return literals(formula.left) | literals(formula.right) if isinstance(formula, And) else {formula}


def test_a_closed_world_denies_exactly_what_does_not_follow() -> None:
    texts = ["Anne is kind.", "Bob is red.", "If someone is kind and not red then they are big."]
    texts += ["If someone is big then they see Bob.", CLOSED]
    notation = ProofWriter(texts)
    assert list(notation.premises) == Rulebook(texts).premises
    facts = {Atom("red", ("Anne",)), Atom("kind", ("Bob",)), Atom("big", ("Bob",))}
    facts |= {Atom("see", pair) for pair in itertools.product(["Anne", "Bob"], repeat=2)}
    facts -= {Atom("see", ("Anne", "Bob"))}
    assert literals(notation.premises[-1]) == {Not(fact) for fact in facts}
    with pytest.raises(NotationError, match="not a word"):
        notation.read_question("Anne is green.")


@pytest.mark.parametrize(
    ("texts", "reason"),
    [
        (["If Anne is not kind then Anne is kind."], "depend on their own denials"),
        (["If Anne is not kind then Anne is big.", "If Anne is not big then Anne is kind."], "own denials"),
        (["Anne is kind.", "If Anne is kind then Anne is not kind."], "contradict each other"),
        (["Anne is kind."], "nothing is false"),
        ([f"The {letter}a is kind." for letter in "abcdefghijklmnopqrstuvw"] + ["Bob sees Bob."] * 2, ""),
        ([f"The b{a}{b} sees Bob." for a in "abcdefgh" for b in "abcdefgh"], "at most 2,000 facts"),
    ],
)
def test_what_is_no_one_closed_world_is_refused(texts: list[str], reason: str) -> None:
    if not reason:
        assert list(ProofWriter([*texts, CLOSED]).premises) == Rulebook([*texts, CLOSED]).premises
        return
    with pytest.raises(NotationError, match=reason):
        ProofWriter([*texts, CLOSED])
    with pytest.raises(Unreadable):
        Rulebook([*texts, CLOSED])


def stable_models(
    rules: Sequence[tuple[tuple[Formula, ...], Formula]], base: list[Formula]
) -> list[set[Formula]]:
    """By trying every set of facts: those that are what follows where they are assumed to be the truth."""
    found = []
    for size in range(len(base) + 1):
        for chosen in map(set, itertools.combinations(base, size)):
            reached: set[Formula] = set()
            while more := {
                head
                for conditions, head in rules
                if head not in reached
                and all(
                    each.body not in chosen if isinstance(each, Not) else each in reached
                    for each in conditions
                )
            }:
                reached |= more
            found += [chosen] if reached == chosen else []
    return found


@pytest.mark.parametrize("seed", range(2))
def test_a_closed_world_is_the_only_stable_model(seed: int) -> None:
    rng, num_found = random.Random(seed), 0
    base: list[Formula] = [
        Atom(word, (name,)) for word in ("cold", "nice", "big") for name in ("Anne", "Bob")
    ]
    for _ in range(150):
        rules: list[tuple[tuple[Formula, ...], Formula]] = [((), rng.choice(base))]
        for _ in range(rng.randrange(2, 6)):
            conditions = [rng.choice(base) for _ in range(rng.randrange(1, 3))]
            signed = tuple(Not(each) if rng.random() < 0.4 else each for each in conditions)
            rules.append((signed, rng.choice(base)))
        premises = [
            Implies(And(*conditions) if len(conditions) > 1 else conditions[0], head) if conditions else head
            for conditions, head in rules
        ]
        premises += [Implies(fact, fact) for fact in base]  # every fact can be stated
        texts = [ProofWriter([]).show(premise) for premise in premises]
        models = stable_models(rules, base)
        try:
            false = literals(falsehoods(premises))
        except NoOneWorld:
            with pytest.raises(Unreadable):
                Rulebook([*texts, CLOSED])
            continue
        num_found += 1
        assert models == [{fact for fact in base if Not(fact) not in false}]
        assert literals(Rulebook([*texts, CLOSED]).premises[-1]) == false
    assert num_found > 50, num_found

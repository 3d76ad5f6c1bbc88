"""Single steps: every line that the rules accept is one, and none is that brute force refutes."""

import random
from collections.abc import Iterator

import pytest

from engine.logic.entailment import Entailment
from engine.logic.fol import Fol
from engine.logic.formulas import And, Atom, Formula, Implies, Not, Or
from engine.logic.sealed import steps
from engine.logic.sealed.steps import Steps
from engine.records import Attempt, Fault, Problem, Status
from engine.verify import rules, sealed
from tests.support.mutations import many_assumptions
from tests.support.proof_helpers import attempt, problem, proof
from tests.support.soundness import POOL, derivations, follows, random_formula, written
from tests.support.suites import suite


@pytest.fixture
def gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Z3 gives up on whatever is no single step."""
    monkeypatch.setattr(Entailment, "follows", lambda *_: None)


def nested(body: str, depth: int, *, bound: str = "R(x, {})") -> str:
    """A formula about x and y with so many quantifiers, each denied, on which Z3 finds no instances."""
    text = body
    for level in reversed(range(depth)):
        text = f"-all v{level} ({bound.format(f'v{level}')} -> {text})"
    return text


def joined(parts: list[str]) -> str:
    """A conjunction that is as flat as it can be."""
    if len(parts) == 1:
        return parts[0]
    middle = len(parts) // 2
    return f"({joined(parts[:middle])}) & ({joined(parts[middle:])})"


def hard_proofs() -> Iterator[tuple[Problem, Attempt]]:
    """One step each, around formulas whose quantifiers Z3 cannot see through."""
    deep = nested("S(x, v0, v1, v2, v3)", 4)
    there = deep.replace("x", "a")
    for premises, claim, line in (
        ([f"all x (Q(x) -> {deep})", "Q(a)"], there, "[1 2 mp]"),
        ([f"all x (Q(x) -> {deep})", f"-({there})"], "-Q(a)", "[1 2 mt]"),
        ([f"all x {deep}", "Q(a)"], there, "[1 ui]"),
        ([f"all x (Q(x) -> {deep})", f"all x ({deep} -> P(x))"], "all x (Q(x) -> P(x))", "[1 2 hs]"),
        ([f"{there} | Q(a)", "-Q(a)"], there, "[1 2 ds]"),
        ([f"{there} & Q(a)"], there, "[1 and_e]"),
        ([there], f"--{there}", "[1 dn]"),
        (["all x all y all z (P(x) & P(y) & P(z) -> A)", "P(a)", "P(b)", "P(c)"], "A", "[1 2 3 4 mp]"),
    ):
        claim = Fol(()).show(Fol(premises).parse(claim))
        yield problem(premises, claim), attempt(f"{claim} {line} [{len(premises) + 1}]\nAnswer: True")


@pytest.mark.usefixtures("gives_up")
def test_no_step_of_a_rule_is_too_hard_for_z3() -> None:
    for asked, given in hard_proofs():
        assert rules.verify(asked, given).status is Status.PASS, rules.verify(asked, given).reason
        assert sealed.verify(asked, given).status is Status.PASS, given.text


@pytest.mark.slow
@pytest.mark.usefixtures("gives_up")
def test_every_line_that_the_rules_accept_is_a_single_step() -> None:
    num = 0
    for premises, lines, checker in derivations(random.Random(3), 50, 25):
        if checker.known[-1].fault is Fault.NONE:
            verdict = sealed.verify(problem(premises, lines[-1].claim), attempt(written(lines)))
            assert all(step.valid for step in proof(verdict).steps), (premises, lines)
            num += 1
    assert num > 400


@pytest.mark.usefixtures("gives_up")
def test_gold_proofs_and_long_ones_are_single_steps() -> None:
    drawn = suite(slices={"hops": list(range(1, 9)), "irrelevant": [0, 3], "distractors": [0, 2]})
    for asked in drawn.draw(60, split="steps", seed=3):
        assert sealed.verify(asked, attempt(asked.gold[0])).status is Status.PASS
    assert sealed.verify(*many_assumptions()).status is Status.PASS


@pytest.mark.usefixtures("gives_up")
def test_formulas_that_are_hard_in_themselves_are_not_looked_into() -> None:
    """Pigeons in fewer holes: that the premise contradicts itself would take Z3 long to find."""
    homes = [" | ".join(f"P{p}h{h}" for h in range(5)) for p in range(6)]
    alone = [f"-P{p}h{h} | -P{q}h{h}" for h in range(5) for p in range(6) for q in range(p)]
    pigeons = joined([*homes, *alone])
    asked = problem([f"({pigeons}) -> A", pigeons, "A -> B"], "B")
    verdict = sealed.verify(asked, attempt("A [1 2 mp] [4]\nB [3 4 mp] [5]\nAnswer: True"))
    assert verdict.status is Status.PASS


@pytest.mark.slow
def test_what_is_called_a_step_follows_by_brute_force() -> None:
    rng, num_steps = random.Random(0), 0
    for _ in range(800):
        cited = rng.choices(POOL, k=rng.randrange(1, 4))
        parts = [*cited, *(each.body for each in cited if isinstance(each, Not)), random_formula(rng, 2)]
        one, other = rng.choice(parts), rng.choice(parts)
        claim: Formula = rng.choice((one, Not(one), And(one, other), Or(one, other), Implies(one, other)))
        if Steps().follows(cited, claim):
            num_steps += 1
            assert follows(list(cited), claim), (cited, claim)
    assert num_steps > 50


@pytest.mark.parametrize(
    ("premises", "claim"),
    [
        (["all x (P(x) -> Q(x))", "P(a)", "P(b)"], "Q(b)"),  # in the order of the citations: line 2 is P(a)
        (["all x (P(x) -> Q(x))"], "all x (Q(x) -> P(x))"),
        (["all x (P(x) -> Q(x))", "-P(a)"], "-Q(a)"),
        (["P(a)"], "all x P(x)"),
        (["A -> B", "B"], "A"),
        (["-(A & B)"], "-A"),
    ],
)
def test_what_does_not_follow_is_no_step(premises: list[str], claim: str) -> None:
    notation = Fol([*premises, "P(a) | Q(b)"])
    cited = notation.premises[: min(len(premises), 2)]
    assert not Steps().follows(cited, notation.parse(claim))


def test_no_variable_is_caught_by_a_quantifier() -> None:
    """`all y R(x, y)` is not about a y that is bound: x has no constant for which it would be that."""
    rule, fact = Fol(["all x (all y R(x, y) -> P(x))", "all y R(y, y)"]).premises
    assert not Steps().follows([rule, fact], Atom("P", ("y",)))


@pytest.mark.slow
def test_an_answer_and_its_price_depend_on_the_question_alone() -> None:
    """Whatever was asked before, and whether an answer was kept or not."""

    rng = random.Random(1)
    questions = [(rng.choices(POOL, k=2), random_formula(rng, 2)) for _ in range(60)]

    def asked(order: list[int]) -> dict[int, tuple[bool, int]]:
        found = {}
        for place in order:
            one = Steps()
            cited, claim = questions[place]
            found[place] = one.follows(cited, claim), one._work_left
        return found

    steps._kept_answer.cache_clear()
    first = asked(list(range(60)))
    assert asked(list(range(60))) == first
    steps._kept_answer.cache_clear()
    assert asked(list(reversed(range(60)))) == first


def test_only_small_questions_are_kept() -> None:
    steps._kept_answer.cache_clear()
    wide: Formula = Atom("A")
    for number in range(200):
        wide = And(wide, Atom(f"A{number}"))
    parts: list[Formula] = [Atom("A"), *(Atom(f"A{number}") for number in range(200))]
    assert Steps().follows(parts, wide)
    assert steps._kept_answer.cache_info().currsize == 0
    assert Steps().follows(parts[:2], And(parts[0], parts[1]))
    assert steps._kept_answer.cache_info().currsize == 1


def test_work_that_is_used_up_leaves_lines_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "MAX_WORK", 1)
    steps._kept_answer.cache_clear()
    one = Steps()
    assert not one.follows([Or(Atom("A"), Atom("B"))], Atom("A"))
    assert not one.follows([Atom("A")], Atom("A"))
    steps._kept_answer.cache_clear()

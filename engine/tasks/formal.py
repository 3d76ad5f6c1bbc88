"""Formal problems: small theories of first-order logic, each with its sentences, labelled by Z3.

They are endless training data for the rules that FOLIO and ProverQA need, so that these stay tests of
transfer. A theory has two chains of the same kinds of links (`formal_links.py`). In one of them a link is
broken, so that what stands at its end is open. Which chain a question is about is all that tells the label:
the premises are alike, and nothing on the surface of a problem goes with its answer.

Dimensions of a slice:

- ``rule``: a kind of link that both chains have, besides simple kinds; with ``mixed`` all are at random.
- ``depth``: links of a chain, 1 to 6. A link takes one to six proof lines.
- ``question``: ``literal`` asks for one fact or its denial, ``compound`` for two that are joined.
- ``form``, which has no default: ``formal`` shows sentences with their formulas, ``english`` sentences alone,
  which the model formalizes before it proves.
"""

from collections.abc import Mapping, Sequence, Set
from functools import partial
from random import Random

from engine.logic.first_order.notation import show
from engine.logic.formulas import And, Formula, Implies, Or, Xor, negate, predicates_of
from engine.logic.proof_check import prune
from engine.records import Problem
from engine.tasks import posed, problem_id, proofs
from engine.tasks.drafts import Draft, Item, Row, completion_of, settle
from engine.tasks.first_order_prompts import Form, prompt_of, reply_of, theory_of_form
from engine.tasks.formal_chains import Chain, Supply
from engine.tasks.formal_links import LINKS
from engine.tasks.formal_words import sentence
from engine.tasks.suite import DataError

NAME = "formal"
SYSTEM = "Prove or refute, or answer Unknown."
VERIFIERS = ("rules", "z3")
FIGURES, HEADLINE = proofs.FIGURES_OF_FORMULAS, proofs.HEADLINE
target = prune
STYLE, pose = posed.FORMULAS, partial(posed.in_formulas, NAME)
MIXED = "mixed"
DIMENSIONS = {
    "rule": (MIXED, *LINKS),
    "depth": tuple(range(1, 7)),
    "question": ("literal", "compound"),
    "form": ("formal", "english"),
}
DEFAULT_SLICES = {"rule": [MIXED], "depth": [1, 2, 3], "question": ["literal", "compound"]}
_SIMPLE = ("mp", "mt", "and", "or")
_JOINS = (And, Or, Implies, Xor)
_MOST_TRIES = 100
"""Theories and questions that are tried; few are in vain."""


def make(
    settings: Mapping[str, int | bool | str], rng: Random, *, split: str, slice_name: str, origin: str
) -> Problem:
    """One problem of a slice, with the label that Z3 finds, which is that for which it was made."""
    from engine.logic.labels import Unlabelled
    from engine.logic.solver import answer as solve  # with Z3, which only a draw waits for

    wanted = rng.choice(("True", "False", "Unknown"))
    for _ in range(_MOST_TRIES):
        supply = Supply(rng)
        kinds = _kinds(str(settings["rule"]), int(settings["depth"]), rng)
        sound, broken = _chain(kinds, supply, rng), _chain(kinds, supply, rng)
        spare = [supply.unary(), *_unary_of(sound)]
        open_fact = broken.breaks(spare)
        premises = [*sound.premises, *broken.premises]
        rng.shuffle(premises)
        chain = broken if wanted == "Unknown" else sound
        end = open_fact if wanted == "Unknown" else sound.last.claim
        asked = _question(end, chain, str(settings["question"]), wanted, rng)
        formulas = [item.claim for item in premises]
        try:
            found = solve(formulas, asked)
        except Unlabelled:
            continue
        lines = _gold(asked, wanted, chain, premises) if found == wanted else []
        if found == wanted and (gold := completion_of(formulas, asked, lines, wanted)):
            form: Form = "english" if settings.get("form") == "english" else "formal"
            return build(
                formulas, asked, gold, wanted, form, split=split, slice_name=slice_name, origin=origin
            )
    raise DataError(f"task {NAME}: no problem of slice '{slice_name}' was found")


def _kinds(rule: str, depth: int, rng: Random) -> list[str]:
    """The kinds of a chain's links, in their order."""
    if rule == MIXED:
        return rng.choices(list(LINKS), k=depth)
    kinds = [rule, *rng.choices(_SIMPLE, k=depth - 1)]
    rng.shuffle(kinds)
    return kinds


def _chain(kinds: Sequence[str], supply: Supply, rng: Random) -> Chain:
    chain = Chain(supply, rng)
    for kind in kinds:
        chain.extend(LINKS[kind])
    return chain


def _unary_of(chain: Chain) -> list[str]:
    names = {name for item in chain.premises for name, arity in predicates_of(item.claim) if arity == 1}
    return sorted(names)


def _question(end: Formula, chain: Chain, kind: str, wanted: str, rng: Random) -> Formula:
    """A statement about a chain's end: the fact or its denial, or one of these joined with another fact.

    The connective is drawn first, and the other fact then stands so that the end decides: otherwise some
    connectives would go with some answers, and some questions would need no chain.
    """
    sides = [end, negate(end)]
    rng.shuffle(sides)
    if kind == "compound":
        join = rng.choice(_JOINS)
        fact = rng.choice([item.claim for item in chain.facts if item.claim != end])
        holds = join is And or (join is Xor and rng.random() < 0.5)
        other = fact if holds else negate(fact)
        # No rule gives a condition that is known to be met, so of a condition the end stands first.
        is_first = join is Implies or rng.random() < 0.5
        sides = [join(side, other) if is_first else join(other, side) for side in sides]
    if wanted == "Unknown":
        return sides[0]
    facts = {item.claim for item in chain.facts}
    return next(side for side in sides if _holds(side, facts) == (wanted == "True"))


def _holds(asked: Formula, facts: Set[Formula]) -> bool:
    """Whether a statement about facts, of which one side each is known, is true."""
    match asked:
        case And(left, right):
            return _holds(left, facts) and _holds(right, facts)
        case Or(left, right):
            return _holds(left, facts) or _holds(right, facts)
        case Implies(left, right):
            return not _holds(left, facts) or _holds(right, facts)
        case Xor(left, right):
            return _holds(left, facts) != _holds(right, facts)
    return asked in facts


def _gold(asked: Formula, answer: str, chain: Chain, premises: Sequence[Item]) -> list[Row]:
    """The proof of the question or its opposite; where it is open, all that leads to the broken link."""
    draft = Draft(list(chain.draft.lines))
    if answer == "Unknown":
        return draft.numbered(premises, chain.last)
    holds, item = settle(draft, asked, {fact.claim: fact for fact in chain.facts})
    assert holds == (answer == "True"), "the proof shows what the solver found"
    return draft.numbered(premises, item)


def build(
    premises: Sequence[Formula],
    asked: Formula,
    gold: str,
    answer: str,
    form: Form,
    *,
    split: str,
    slice_name: str,
    origin: str,
) -> Problem:
    """The problem in its prompt form, with the proof as its gold reply."""
    theory = theory_of_form(form, [show(premise) for premise in premises], show(asked), answer)
    return Problem(
        id=problem_id(NAME, form, *theory.premises, theory.question),
        task=NAME,
        slice=slice_name,
        turns=(prompt_of(form, theory, [sentence(each) for each in premises], sentence(asked)),),
        truth=theory,
        gold=(reply_of(form, theory, gold),),
        split=split,
        origin=origin,
    )

"""ProofWriter: what facts and rules about things prove, refute, or leave open, with the proof line by line.

A generator in the style of Tafjord, Dalvi and Clark (2021, arXiv:2012.13048), and a reader for the public
files. An exact solver (`rulebase.py`) supplies the truth and the shortest proof. Where the answer is Unknown
the gold reply shows all that is derived and could have led to the question.

Dimensions of a slice:

- ``depth``: of the shallowest proof of what is asked, 0 to 6; 0 asks for a premise. Where the answer is
  Unknown, the theory has something so deep. It has nothing deeper, unless that is no deeper than three.
- ``negation``: whether facts and rules deny things.
- ``relations``: whether things have relations (``The cow sees the cat.``), not attributes alone.
- ``facts``: number of facts, 4 to 16.
- ``world``, which has no default: ``open``, or ``closed``, where what does not follow is false and the
  premise ``Nothing else is true.`` says so.
"""

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

from engine.logic.formulas import And, Atom, Formula, Not, constants_of, negate, parts, predicates_of
from engine.logic.notation import NotationError
from engine.logic.proof_check import prune, theory_of
from engine.logic.proofs import number_premises, write_completion
from engine.logic.proofwriter import CLOSED, ProofWriter
from engine.records import Problem, Theory
from engine.tasks import posed, problem_id, proofs
from engine.tasks.proofwriter_files import read_records
from engine.tasks.proofwriter_theories import Style, random_premises, sentences
from engine.tasks.rulebase import Rulebase, Step
from engine.tasks.suite import DataError

NAME = "proofwriter"
SYSTEM = "Prove or refute, or answer Unknown."
VERIFIERS = ("rules", "z3")
FIGURES, HEADLINE = proofs.FIGURES_WITH_UNKNOWN, proofs.HEADLINE
target = prune
STYLE = "If someone is cold then they are red."
DIMENSIONS = {
    "depth": tuple(range(7)),
    "negation": (False, True),
    "relations": (False, True),
    "facts": tuple(range(4, 17)),
    "world": ("open", "closed"),
}
DEFAULT_SLICES = {
    "depth": [0, 1, 2, 3],
    "negation": [False, True],
    "relations": [False, True],
    "facts": [10],
}
_LEAST_DEEPEST = 3
"""A theory with a shallower question may be as deep as this: that it is shallow must not tell the answer."""
_MOST_THEORIES = 3_000
"""Theories that are made for one problem before it is given up; the rarest slices take some hundred."""
_MOST_GUESSES = 100
"""Statements that are tried for one that a theory leaves open."""


def make(
    settings: Mapping[str, int | bool | str], rng: Random, *, split: str, slice_name: str, origin: str
) -> Problem:
    """One problem of a slice. Raises DataError where no theory of its kind was found."""
    depth, is_closed = int(settings["depth"]), settings.get("world") == "closed"
    answer = rng.choice(("True", "False") if is_closed else ("True", "False", "Unknown"))
    for _ in range(_MOST_THEORIES):
        style = Style(
            depth=rng.randint(max(depth, 1), max(depth, _LEAST_DEEPEST)),
            num_facts=int(settings["facts"]),
            negation=bool(settings["negation"]),
            relations=bool(settings["relations"]),
            is_closed=is_closed,
        )
        premises = random_premises(style, rng)
        if premises is None:
            continue
        texts = [*sentences(premises, rng), *([CLOSED] if is_closed else [])]
        try:
            notation = ProofWriter(texts)
        except NotationError:  # the rules and what they deny describe no one closed world
            continue
        if is_closed and not isinstance(notation.premises[-1], And):  # a single fact is false
            continue
        asked = _question(Rulebase(notation.premises), notation.premises, depth, answer, rng)
        if asked is not None:
            question = notation.show(asked)
            return build(texts, question, split=split, slice_name=slice_name, origin=origin)
    raise DataError(f"task {NAME}: no theory of slice '{slice_name}' was found")


def _question(
    rulebase: Rulebase, premises: Sequence[Formula], depth: int, answer: str, rng: Random
) -> Formula | None:
    """A statement with this answer; None where the theory has none, or where logic would say otherwise.

    Rules used backwards must neither decide what is asked as Unknown nor contradict anything.
    """
    if rulebase.is_contradictory or not rulebase.is_possible():
        return None
    if answer != "Unknown":
        at_depth = sorted((each for each, found in rulebase.depths.items() if found == depth), key=str)
        proved = rng.choice(at_depth) if at_depth else None
        return negate(proved) if proved and answer == "False" else proved
    things = sorted({name for premise in premises for name in constants_of(premise)})
    words = sorted({each for premise in premises for each in predicates_of(premise)})
    atoms = [Atom(word, args) for word, arity in words for args in itertools.product(things, repeat=arity)]
    for atom in rng.sample(atoms, min(len(atoms), _MOST_GUESSES)):
        sides = (atom, Not(atom))
        if not any(side in rulebase.depths for side in sides) and all(
            rulebase.is_possible(side) for side in sides
        ):
            return rng.choice(sides)
    return None


def more(problem: Problem, num: int, rng: Random) -> list[Problem]:
    """Up to `num` other questions about the premises of `problem`, of the same slice."""
    theory = theory_of(problem)
    notation = ProofWriter(theory.premises)
    rulebase = Rulebase(notation.premises)
    depth = int(re.findall(r"depth=(\d+)", problem.slice)[0])
    answers = ("True", "False") if theory.premises[-1] == CLOSED else ("True", "False", "Unknown")
    asked = {theory.question}
    problems: list[Problem] = []
    for _ in range(3 * num):
        formula = _question(rulebase, notation.premises, depth, rng.choice(answers), rng)
        question = notation.show(formula) if formula else theory.question
        if question in asked or len(problems) == num:
            continue
        asked.add(question)
        problems.append(
            build(
                theory.premises,
                question,
                split=problem.split,
                slice_name=problem.slice,
                origin=f"{problem.origin}/{len(asked)}",
            )
        )
    return problems


def build(premises: Sequence[str], question: str, *, split: str, slice_name: str, origin: str) -> Problem:
    """A problem with its truth and its gold proof.

    Raises NotationError where a text is no statement, and where the premises derive both sides.
    """
    notation = ProofWriter(premises)
    asked = notation.read_question(question)
    rulebase = Rulebase(notation.premises, asked)
    try:
        answer = rulebase.truth(asked)
    except ValueError as error:
        raise NotationError(str(error)) from None
    proved = negate(asked) if answer == "False" else asked
    if answer == "Unknown":
        steps, depth = rulebase.bearing_on(asked), "none"
    else:
        steps, depth = rulebase.proof(proved), str(rulebase.depths[proved])
    return Problem(
        id=problem_id(NAME, *premises, question),
        task=NAME,
        slice=slice_name or f"depth={depth} {_style_of(notation.premises)}",
        turns=(f"{number_premises(premises)}\n{_asked(premises)}{question}",),
        truth=Theory(premises=tuple(premises), question=question, notation=NAME, answer=answer),
        gold=(write_completion(_lines(steps, rulebase, notation, len(premises)), answer),),
        split=split,
        origin=origin,
    )


def pose(premises: Sequence[str], question: str) -> Problem:
    """The problem that people pose, as `engine/tasks/posed.py` reads it. Raises NotPosed."""
    premises = [posed.plain(premise) for premise in premises]
    return posed.in_sentences(NAME, NAME, _asked(premises), premises, question)


def _asked(premises: Sequence[str]) -> str:
    """What stands before a question: in a closed world nothing is unknown."""
    return "True or false: " if premises[-1] == CLOSED else "True, false or unknown: "


def _style_of(premises: Sequence[Formula]) -> str:
    """What a public record's theory has, as a slice names it."""
    has_relations = any(arity == 2 for premise in premises for _, arity in predicates_of(premise))
    has_denials = any(
        isinstance(part, Not)
        for premise in premises
        if not isinstance(premise, And)  # what closes the world denies much
        for part, _ in parts(premise)
    )
    return f"negation={'yes' if has_denials else 'no'} relations={'yes' if has_relations else 'no'}"


def _lines(
    steps: Sequence[Step], rulebase: Rulebase, notation: ProofWriter, num_premises: int
) -> list[tuple[int, str, str, tuple[int, ...]]]:
    """The proof lines of steps, each of which builds on facts and on earlier ones."""
    numbers = dict(rulebase.facts)
    lines: list[tuple[int, str, str, tuple[int, ...]]] = []
    for number, step in enumerate(steps, num_premises + 1):
        cited = (step.premise, *(numbers[each] for each in step.conditions))
        numbers[step.claim] = number
        lines.append((number, notation.show(step.claim), step.rule, cited))
    return lines


def read(path: Path) -> list[Problem]:
    """The problems of a public file, in any of the layouts of `engine/tasks/proofwriter_files.py`.

    Raises DataError as `read_records` does, and for the first record that holds no statement of ProofWriter,
    that repeats another, or whose label the solver does not find.
    """
    problems: dict[str, Problem] = {}
    for record in read_records(path):
        where, origin = f"{path}: {record.id}", f"{path.name}#{record.id}"
        premises = (*record.premises, *([CLOSED] if record.is_closed else []))
        try:
            problem = build(premises, record.question, split="public", slice_name="", origin=origin)
        except NotationError as error:
            raise DataError(f"{where}: {error}") from None
        found = theory_of(problem).answer
        if found != record.answer:
            raise DataError(f"{where}: labelled {record.answer}, but the solver finds {found}")
        if problem.id in problems:
            raise DataError(f"{where}: repeats {problems[problem.id].origin}")
        # The authors ask a score of questions about one theory.
        problems[problem.id] = replace(problem, story=problem_id(NAME, *premises))
    return list(problems.values())

"""PrOntoQA: follow a chain of kinds to a property, and prove it line by line.

A generator in the style of Saparov and He (2023, arXiv:2210.01240) with fictional kinds, and a reader for the
public files. Premises decide every problem, and every problem carries a gold proof.

Dimensions of a slice:

- ``hops``: steps of the proof, 1 to 8.
- ``negation``: whether the proof ends in a negated claim.
- ``irrelevant``: rules about kinds on the chain that lead nowhere, 0 to 8.
- ``distractors``: rules that give the asked property, with either sign, to kinds off the chain, 0 to 8.
- ``layout``, which has no default: ``shuffled``, or ``ontology`` as in the public records. There the chain is
  part of a longer one, rules stand in its order, each kind's property comes before its link, and `irrelevant`
  has no effect.
- ``question``, which has no default: whether a ``plain`` claim is asked for or a ``negated`` one. With
  ``negation`` it decides the answer, so that these slices show a model that answers by "not" alone.
"""

import itertools
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random
from typing import NamedTuple

from engine.logic.english import English, article, plural
from engine.logic.formulas import Atom, ForAll, Formula, Implies, Not, negate, substitute
from engine.logic.notation import NotationError
from engine.logic.proof_check import prune, theory_of
from engine.logic.proofs import number_premises, write_completion
from engine.records import Problem, Theory
from engine.tasks import posed, problem_id, proofs
from engine.tasks.prontoqa_files import read_records
from engine.tasks.prontoqa_words import KINDS, NAMES, PROPERTIES
from engine.tasks.suite import DataError

NAME = "prontoqa"
SYSTEM = "Prove or refute."
VERIFIERS = ("rules", "z3")
FIGURES, HEADLINE = proofs.FIGURES, proofs.HEADLINE
target = prune
DIMENSIONS = {
    "hops": tuple(range(1, 9)),
    "negation": (False, True),
    "irrelevant": tuple(range(9)),
    "distractors": tuple(range(9)),
    "layout": ("shuffled", "ontology"),
    "question": ("plain", "negated"),
}
DEFAULT_SLICES = {"hops": [1, 2, 3], "negation": [False, True], "irrelevant": [2], "distractors": [1]}

_EXTRA_KINDS = 4
"""An ontology has so many kinds besides the chain, at least one of them after it."""
_ASKED = "True or false: "
STYLE, pose = "Each wumpus is a tumpus.", partial(posed.in_sentences, NAME, "english", _ASKED)
_MOST_PREMISES = 64
"""More premises of a text that a model has written are not read."""


def make(
    settings: Mapping[str, int | bool | str], rng: Random, *, split: str, slice_name: str, origin: str
) -> Problem:
    """One problem of a slice.

    It is consistent and decided by construction: the fact leads to at most one member of every family of
    properties, and no rule denies a kind.
    """
    hops, negated = int(settings["hops"]), bool(settings["negation"])
    name, kinds = rng.choice(NAMES), rng.sample(KINDS, len(KINDS))
    chain, others = kinds[:hops], kinds[hops:]
    families = [rng.choice(family) for family in rng.sample(PROPERTIES, len(PROPERTIES))]
    asked, side = families[0], families[1:]
    in_order = settings.get("layout") == "ontology"
    if in_order:
        before = rng.randrange(_EXTRA_KINDS)
        line = others[:before] + chain + others[before:_EXTRA_KINDS]
        others = others[_EXTRA_KINDS:]
        rules = _ontology(line, {chain[-1]: (asked, negated)}, side, rng)
    else:
        rules = [_rule(a, b, False, rng) for a, b in itertools.pairwise(chain)]
        rules.append(_rule(chain[-1], asked, negated, rng))
        for i in range(int(settings["irrelevant"])):
            rules.append(_rule(rng.choice(chain), side[i], rng.random() < 0.3, rng))
    for kind in others[: int(settings["distractors"])]:
        rule = _rule(kind, asked, rng.random() < 0.5, rng)
        rules.insert(rng.randrange(len(rules)) if in_order else len(rules), rule)
    if not in_order:
        rng.shuffle(rules)
    premises = (*rules, f"{name} is {article(chain[0])} {chain[0]}.")
    wanted = settings.get("question")
    is_plain = wanted == "plain" if wanted else negated != (rng.random() < 0.5)
    question = f"{name} is {'' if is_plain else 'not '}{asked}."
    return build(premises, question, split=split, slice_name=slice_name, origin=origin)


def _ontology(
    line: Sequence[str], given: Mapping[str, tuple[str, bool]], side: Sequence[str], rng: Random
) -> list[str]:
    """The rules of a line of kinds in order: for each kind but the last its property, then its link.

    Each property of `side` is used once, so that the line does not contradict itself; when they run out, a
    kind has no property.
    """
    rules: list[str] = []
    left = iter(side)
    for kind, following in itertools.pairwise(line):
        word, negated = given.get(kind) or (next(left, ""), rng.random() < 0.4)
        rules += [_rule(kind, word, negated, rng)] if word else []
        rules.append(_rule(kind, following, False, rng))
    return rules


def _rule(kind: str, word: str, negated: bool, rng: Random) -> str:
    """A rule about a kind, in one of PrOntoQA's three wordings."""
    maybe_not, is_kind = ("not " if negated else ""), word in KINDS
    if (form := rng.randrange(3)) == 2:
        return f"{plural(kind).capitalize()} are {maybe_not}{plural(word) if is_kind else word}."
    phrase = f"{article(word)} {word}" if is_kind else word
    return f"{('Each', 'Every')[form]} {kind} is {maybe_not}{phrase}."


def more(problem: Problem, num: int, rng: Random) -> list[Problem]:
    """Up to `num` other problems about the rules of `problem`, each proved in as many steps.

    Only the fact, which is the last premise, and the question differ. The slice is that of `problem` but for
    the signs of the proved claim and of the question; a distractor is one for the question of `problem`.
    """
    theory = theory_of(problem)
    notation = English(theory.premises)
    links: dict[str, str] = {}
    ends: dict[str, list[tuple[str, bool]]] = defaultdict(list)
    for premise in notation.premises:
        match premise:
            case ForAll(_, Implies(Atom(kind, _), Atom(word, _))) if word in KINDS:
                links[kind] = word
            case ForAll(_, Implies(Atom(kind, _), Atom(word, _))):
                ends[kind].append((word, False))
            case ForAll(_, Implies(Atom(kind, _), Not(Atom(word, _)))):
                ends[kind].append((word, True))
    own = notation.premises[-1]
    num_links = len(derive(notation.premises, notation.parse(theory.question))) - 1
    problems: list[Problem] = []
    for kind in rng.sample(list(links), len(links)):
        last = kind
        for _ in range(num_links):
            last = links.get(last, "")
        if len(problems) == num or not ends.get(last) or isinstance(own, Atom) and own.predicate == kind:
            continue
        name, (word, negated) = rng.choice(NAMES), rng.choice(ends[last])
        is_plain = negated != (rng.random() < 0.5)
        problems.append(
            build(
                (*theory.premises[:-1], f"{name} is {article(kind)} {kind}."),
                f"{name} is {'' if is_plain else 'not '}{word}.",
                split=problem.split,
                slice_name=_slice_of(problem.slice, negated, is_plain),
                origin=f"{problem.origin}/{kind}",
            )
        )
    return problems


def _slice_of(name: str, negated: bool, is_plain: bool) -> str:
    """A slice by the name of another one, for a problem with these signs."""
    name = re.sub(r"(?<=negation=)\w+", "yes" if negated else "no", name)
    return re.sub(r"(?<=question=)\w+", "plain" if is_plain else "negated", name)


def build(premises: Sequence[str], question: str, *, split: str, slice_name: str, origin: str) -> Problem:
    """A problem with its gold proof.

    Raises NotationError where a text is no statement, and where there is nothing to prove because the
    premises leave the question open or one of them is its answer.
    """
    notation = English(premises)
    asked = notation.parse(question)
    steps = derive(notation.premises, asked)
    lines = [
        (len(premises) + i, notation.show(step.claim), "mp", (step.rule, step.fact))
        for i, step in enumerate(steps, 1)
    ]
    if not steps:
        raise NotationError("a premise answers the question")
    settled = steps[-1].claim
    answer = "True" if settled == asked else "False"
    return Problem(
        id=problem_id(NAME, *premises, question),
        task=NAME,
        slice=slice_name or f"hops={len(steps)} negation={'yes' if isinstance(settled, Not) else 'no'}",
        turns=(f"{number_premises(premises)}\n{_ASKED}{question}",),
        truth=Theory(premises=tuple(premises), question=question, notation="english", answer=answer),
        gold=(write_completion(lines, answer),),
        split=split,
        origin=origin,
    )


def vary(problem: Problem, text: str) -> Problem | str:
    """The problem that a text holds, in the form of a prompt to the letter, with the solver's truth.

    A word for why it holds none: ``unreadable``, ``contradictory`` (the premises), ``open`` (the question),
    ``undecided`` (the solver gives up), or ``unproved`` (no chain of modus ponens shows what it finds).
    """
    from engine.logic.labels import Unlabelled, label  # with Z3, which a draw should not wait for

    *rows, last = text.strip().split("\n")
    premises = [" ".join(row.removesuffix(f" [{number}]").split()) for number, row in enumerate(rows, 1)]
    question = " ".join(last.removeprefix(_ASKED).split())
    is_prompt = f"{number_premises(premises)}\n{_ASKED}{question}" == text.strip()
    if not premises or not is_prompt or len(premises) > _MOST_PREMISES:
        return "unreadable"
    try:
        notation = English(premises)
        truth = label(notation.premises, notation.parse(question))
    except NotationError:
        return "unreadable"
    except Unlabelled as why:
        return str(why)
    try:
        made = build(premises, question, split=problem.split, slice_name="", origin=problem.origin)
    except NotationError:
        return "unproved"
    assert theory_of(made).answer == str(truth), "a chain of modus ponens proves what the solver refutes"
    found = dict(word.split("=") for word in made.slice.split())
    words = (word.partition("=") for word in problem.slice.split())
    return replace(made, slice=" ".join(f"{name}={found.get(name, value)}" for name, _, value in words))


class _Step(NamedTuple):
    claim: Formula
    rule: int
    fact: int


def derive(premises: Sequence[Formula], asked: Formula) -> list[_Step]:
    """The shortest chain of modus ponens from the facts to `asked` or its negation, premises numbered from 1.

    The search is breadth first, so the first derivation of a claim is a shortest one. Raises NotationError
    where the premises leave the question open.
    """
    number: dict[Formula, int] = {
        premise: i for i, premise in enumerate(premises, 1) if not isinstance(premise, ForAll)
    }
    came_from: dict[Formula, tuple[int, Formula] | None] = dict.fromkeys(number)
    queue = list(came_from)
    for fact in queue:
        if fact in (asked, negate(asked)):
            break
        for i, premise in enumerate(premises, 1):
            match premise, fact:
                case ForAll(variable, Implies(Atom(kind, _), head)), Atom(predicate, (name,)) if (
                    kind == predicate
                ):
                    claim = substitute(head, {variable: name})
                    if claim not in came_from:
                        came_from[claim] = (i, fact)
                        queue.append(claim)
    else:
        raise NotationError("the premises do not decide the question")
    path: list[tuple[Formula, int, Formula]] = []
    while (source := came_from[fact]) is not None:
        path.append((fact, *source))
        fact = source[1]
    steps: list[_Step] = []
    for claim, rule, fact in reversed(path):
        steps.append(_Step(claim, rule, number.get(fact) or len(premises) + len(steps)))
    return steps


def read(path: Path) -> list[Problem]:
    """The problems of a public file, in any of the layouts of `engine/tasks/prontoqa_files.py`.

    Raises DataError as `read_records` does, and for the first record that holds no statement of PrOntoQA,
    that repeats another, or whose premises do not prove its label.
    """
    problems: dict[str, Problem] = {}
    for number, record in enumerate(read_records(path), 1):
        where, origin = f"{path}: record {number}", f"{path.name}#{record.id}"
        try:
            problem = build(record.premises, record.question, split="public", slice_name="", origin=origin)
        except NotationError as error:
            raise DataError(f"{where}: {error}") from None
        proved = theory_of(problem).answer
        if proved != record.answer:
            raise DataError(f"{where}: labelled {record.answer}, but its premises prove {proved}")
        if problem.id in problems:
            raise DataError(f"{where}: repeats {problems[problem.id].origin}")
        problems[problem.id] = problem
    return list(problems.values())

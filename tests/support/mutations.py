"""Proofs changed at random, and how the verdicts of the two checkers compare."""

import random
from collections import Counter
from collections.abc import Sequence

from engine.logic.checker import CheckedLine, ProofChecker
from engine.logic.english import English
from engine.logic.entailment import Entailment
from engine.logic.faults import ProofFault
from engine.logic.fol import Fol
from engine.logic.formulas import And, Formula, Not
from engine.logic.proofs import read_completion, write_completion
from engine.records import Attempt, Fault, Problem, Status
from engine.verify import rules, sealed
from tests.support.proof_helpers import attempt, problem, proof, theory
from tests.support.soundness import derivations, follows, judge_lines, written
from tests.support.suites import suite

SOUND_BUT_REFUSED = (
    ProofFault.WRONG_RULE,
    ProofFault.BAD_CITATION,
    ProofFault.NO_PROGRESS,
    ProofFault.WRONG_CLAIM,
)


"""Faults for which the rules may refuse a line that follows; for any other, the line follows from a
contradiction."""


def many_assumptions() -> tuple[Problem, Attempt]:
    """110 assumptions, as many lines that each rest on one more, and 25 that cite 17 of these at once."""
    num, num_wide, width = 110, 25, 17
    wide = [" & ".join(f"B{num - i}" for i in range(width)) + f" -> C{j}" for j in range(num_wide)]
    assumed = [" | ".join([f"A{k}"] * 14) for k in range(num)]
    chain = [f"({either}) & B{k} -> B{k + 1}" for k, either in enumerate(assumed)]
    premises = ["B0", *chain, *wide, "B0 -> D"]
    first = len(premises) + 1
    lines: list[tuple[int, str, str, tuple[int, ...]]] = []
    lines += [(first + k, either, "assume", ()) for k, either in enumerate(assumed)]
    held = [1]
    for k in range(num):
        lines.append((first + num + k, f"B{k + 1}", "mp", (2 + k, first + k, held[-1])))
        held.append(first + num + k)
    cited = tuple(held[: -width - 1 : -1])
    lines += [(first + 2 * num + j, f"C{j}", "mp", (num + 2 + j, *cited)) for j in range(num_wide)]
    lines.append((first + len(lines), "D", "mp", (len(premises), 1)))
    return problem(premises, "D"), attempt(write_completion(lines, "True"))


def compare_mutations(rng: random.Random, num: int) -> Counter[str]:
    """Judge `num` mutated gold proofs by both checkers; asserts what must hold and counts what was found."""
    found: Counter[str] = Counter()
    problems = suite(slices={"hops": [1, 2, 3, 5], "irrelevant": [0, 2], "distractors": [1]}).draw(
        max(num // 20, 20), split="mutations", seed=rng.randrange(2**31)
    )
    for _ in range(num):
        asked = rng.choice(problems)
        given = attempt(_mutate_proof(asked, rng), problem_id=asked.id)
        found[compare(asked, given)] += 1
    return found


def compare(asked: Problem, given: Attempt) -> str:
    """How the verdicts of the two checkers compare. Fails where they may not differ so.

    An answer that Z3 alone passes is compared with the gold one, which comes from neither.
    """
    by_rules, by_z3 = rules.verify(asked, given), sealed.verify(asked, given)
    if by_rules.status is Status.PASS:
        assert by_z3.status is Status.PASS, (asked, given.text, by_z3.reason)
        return "both pass"
    if by_z3.status is not Status.PASS:
        return "both refuse"
    lines = read_completion(given.text).lines[: proof(by_rules).fault_step]
    judged = judge_lines(English(theory(asked).premises), lines)
    return why_refused(judged.known[-1], judged)


def why_refused(line: CheckedLine, checker: ProofChecker) -> str:
    """Which of the listed reasons the rules had to refuse a line that follows. Fails where it is none."""
    assert line.formula is not None, line
    opened = _formulas(checker, sorted(line.open))
    cited = _formulas(checker, line.citations)
    follows = Entailment().follows
    if follows([*opened, *cited], And(line.formula, Not(line.formula))):
        return "explosion"
    assert line.fault in SOUND_BUT_REFUSED, line
    if line.fault in (ProofFault.NO_PROGRESS, ProofFault.WRONG_RULE):
        return "no progress" if line.fault is ProofFault.NO_PROGRESS else "wrong rule"
    fewer = (cited[:i] + cited[i + 1 :] for i in range(len(cited)))
    is_superfluous = any(follows([*opened, *rest], line.formula) for rest in fewer)
    return "superfluous citation" if is_superfluous else "several steps in one"


def _mutate_proof(asked: Problem, rng: random.Random) -> str:
    """One to three edits: to a citation, a rule, a claim, the lines' order, the answer, or a character."""
    rows = [row.split(" ") for row in asked.gold[0].split("\n")]
    premises = theory(asked).premises
    num_premises = len(premises)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        at = rng.randrange(len(rows))
        row = rows[at]
        places = [i for i, word in enumerate(row) if word.strip("[]").isdigit()]
        match rng.randrange(9):
            case 0 if places:  # another citation or number
                place = rng.choice(places)
                number = str(rng.randrange(1, num_premises + len(rows) + 1))
                row[place] = row[place].replace(row[place].strip("[]"), number)
            case 1 if len(places) > 1:  # one more citation
                row.insert(places[-1] - 1, str(rng.randrange(1, num_premises + at + 1)))
            case 2 if "mp]" in row:
                row[row.index("mp]")] = rng.choice(("mt]", "hs]", "ui]", "cp]", "and_e]", "assume]", "no]"))
            case 3 if "is" in row:  # negation added or dropped
                place = row.index("is") + 1
                row[place : place + 1] = [] if row[place] == "not" else ["not", row[place]]
            case 4 if len(rows) > 2:  # a step left out, the next one citing what it cited
                rows[:] = _without_step(rows, rng.randrange(len(rows) - 2), num_premises)
            case 5:  # a line again, under the next number
                if places:
                    rows.insert(at + 1, [*row[:-1], f"[{num_premises + at + 2}]"])
            case 6 if row[0] == "Answer:":
                row[1] = rng.choice(("True", "False", "Unknown"))
            case 7:  # another premise's words
                rows[at] = [*rng.choice(premises).split(" "), *row[-4:]]
            case _:
                rows[at] = mutate(" ".join(row), rng, "aA .[]0 15\n").split(" ")
    return "\n".join(" ".join(row) for row in rows)


def _without_step(rows: list[list[str]], dropped: int, num_premises: int) -> list[list[str]]:
    """The proof with two steps merged: the step after the dropped one cites all that both cited."""
    gone = num_premises + dropped + 1
    cited = [word.strip("[") for word in rows[dropped][-4:-2]]
    kept: list[list[str]] = []
    for row in rows[:dropped] + rows[dropped + 1 :]:
        words = []
        for word in row:
            bare = word.strip("[]")
            if bare == str(gone) and not word.endswith("]"):
                words += [word.replace(bare, cited[0]), *cited[1:]]
            elif bare.isdigit() and int(bare) > gone:
                words.append(word.replace(bare, str(int(bare) - 1)))
            else:
                words.append(word)
        kept.append(words)
    return kept


def mutate(text: str, rng: random.Random, letters: str) -> str:
    at = rng.randrange(len(text) + 1)
    return text[:at] + rng.choice((*letters, "")) + text[at + rng.randrange(2) :]


def compare_derivations(rng: random.Random, num: int) -> Counter[str]:
    """`num` random proofs: Z3 must accept every line that the rules accept, and of the other lines only those
    that the rules refuse for a listed reason."""
    found: Counter[str] = Counter()
    for premises, lines, checker in derivations(rng, num, 25):
        held = sealed.verify(problem(premises, lines[-1].claim), attempt(written(lines)))
        steps = proof(held).steps
        assert all(step.valid for step in steps[:-1])
        last = checker.known[-1]
        if last.fault is Fault.NONE:
            assert steps[-1].valid, (premises, lines, held.reason)
            assert (held.status is Status.PASS) == (not last.open)
            found[held.status] += 1
            found["accepted"] += 1
        elif steps[-1].valid:
            found[why_refused(last, checker)] += 1
        if held.status is Status.PASS:
            assert last.formula is not None and follows(list(Fol(premises).premises), last.formula), lines
    return found


def _formulas(checker: ProofChecker, numbers: Sequence[int]) -> list[Formula]:
    formulas = (checker.known[number - 1].formula for number in numbers)
    return [formula for formula in formulas if formula is not None]

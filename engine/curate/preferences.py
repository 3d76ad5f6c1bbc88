"""Verified attempts become training rows: preference pairs (DPO) or verified proofs (RFT).

Score and pairing follow SOKRATES (METHODS: share of valid steps, +1 if right, +0.5 if wholly valid; the
best attempt against each other one at least `min_gap` below it), with its two faults mended: steps are
checked for what they claim, and the chosen text is a proof that passed, pruned to the lines it needs.
RFT keeps distinct verified proofs, as STaR (Zelikman et al. 2022) and ReST-EM (Singh et al. 2023) do.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence

from configs.schema import Propose
from engine.records import Answer, Fault, Funnel, Problem, Status, TrainingRow, TrainingSet, Verdict, to_json


def build(
    problems: Sequence[Problem],
    answers: Sequence[Answer],
    *,
    config: Propose,
    method: str,
    system: str,
    seen_by_judges: frozenset[str],
    target: Callable[[Problem, str], str],
) -> TrainingSet:
    """The training set of a round. `seen_by_judges` are ids of evaluation problems, never trained on.
    `target` is the task's: what to learn from a completion that passed.
    """
    k = config.samples
    rows: list[TrainingRow] = []
    tally = dict.fromkeys(("unparsed", "duplicate", "leaked", "undecided", "failed", "kept"), 0)
    unsolved = trivial = 0
    for i, problem in enumerate(problems):
        group = answers[i * k : (i + 1) * k]
        if problem.id in seen_by_judges:
            tally["leaked"] += len(group)
            continue
        distinct = list(_distinct(group, tally))
        passed = [answer for answer in distinct if answer.verdict.status is Status.PASS]
        unsolved += not passed
        trivial += all(answer.verdict.status is Status.PASS for answer in group)
        if method == "dpo":
            made = list(_pairs(problem, distinct, config, system, target))
        else:
            texts = dict.fromkeys(target(problem, answer.attempt.text) for answer in passed)
            kept = list(texts)[: config.proofs_per_problem]
            made = [TrainingRow.of(problem, text, system=system) for text in kept]
        rows += made
    funnel = Funnel(
        problems=len(problems),
        generated=len(answers),
        unsolved_problems=unsolved,
        trivial_problems=trivial,
        rows=len(rows),
        **tally,
    )
    return training_set(method, rows, funnel=funnel)


def training_set(
    method: str, rows: Sequence[TrainingRow], *, num_rehearsal: int = 0, funnel: Funnel | None = None
) -> TrainingSet:
    digest = hashlib.sha256("\n".join(map(to_json, rows)).encode()).hexdigest()[:16]
    return TrainingSet(id=digest, method=method, rows=tuple(rows), num_rehearsal=num_rehearsal, funnel=funnel)


def score(verdict: Verdict) -> float:
    """SOKRATES's score of an attempt, 0 to 2.5. An empty proof has no valid share."""
    share = verdict.num_valid_steps / len(verdict.steps) if verdict.steps else 0.0
    return share + verdict.answer_right + 0.5 * verdict.proof_valid


def _distinct(group: Sequence[Answer], tally: dict[str, int]) -> Iterator[Answer]:
    """Attempts that may be learnt from, each text once; every attempt is counted in one field of `tally`."""
    seen = set()
    for answer in group:
        verdict = answer.verdict
        if verdict.status is Status.UNDECIDED:
            tally["undecided"] += 1  # says something of the verifier only: never a label
            continue
        if answer.attempt.text in seen:
            tally["duplicate"] += 1
            continue
        seen.add(answer.attempt.text)
        if verdict.status is Status.PASS:
            tally["kept"] += 1
        elif verdict.fault in (Fault.UNPARSED, Fault.NO_ANSWER):
            tally["unparsed"] += 1
        else:
            tally["failed"] += 1
        yield answer


def _pairs(
    problem: Problem,
    group: Sequence[Answer],
    config: Propose,
    system: str,
    target: Callable[[Problem, str], str],
) -> Iterator[TrainingRow]:
    """The best attempt against each other one. With `sokrates` the best must have passed."""
    if config.preference == "answer_only":
        ranked = sorted(group, key=lambda answer: -answer.verdict.answer_right)
        gaps = [float(answer.verdict.answer_right) for answer in ranked]
        usable = bool(ranked) and ranked[0].verdict.answer_right
    else:
        ranked = sorted(group, key=lambda answer: -score(answer.verdict))
        gaps = [score(answer.verdict) for answer in ranked]
        usable = bool(ranked) and ranked[0].verdict.status is Status.PASS
    if not usable:
        return
    best = ranked[0].attempt.text
    chosen = target(problem, best) if ranked[0].verdict.status is Status.PASS else best
    for other, other_score in zip(ranked[1:], gaps[1:], strict=True):
        if gaps[0] - other_score < max(config.min_gap, 1e-9) or other.attempt.text == chosen:
            continue
        better, worse = (other.attempt.text, chosen) if config.flip else (chosen, other.attempt.text)
        yield TrainingRow.of(problem, better, rejected=worse, system=system)

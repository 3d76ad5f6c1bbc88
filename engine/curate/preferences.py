"""Verified attempts become training rows: preference pairs (DPO) or verified replies (RFT).

Score and pairs follow SOKRATES: share of valid steps, +1 if right, +0.5 if wholly valid; the best attempt
against each other one at least `min_gap` below it. Two of its faults are mended: steps are checked for what
they claim, and the chosen text is a proof that passed, pruned to the lines it needs. RFT keeps distinct
verified proofs, as STaR (Zelikman et al. 2022) and ReST-EM (Singh et al. 2023) do.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

from configs.loops import OakDpo
from engine.curate.rows import row_of, rows_of
from engine.curate.verified import Target, distinct, stations_of
from engine.records import Answer, Funnel, Problem, Station, Status, TrainingRow, TrainingSet, Verdict


def build(
    problems: Sequence[Problem],
    answers: Sequence[Answer],
    *,
    config: OakDpo,
    system: str,
    seen_by_judges: frozenset[str],
    target: Target,
) -> TrainingSet:
    """The training set of a round: pairs where the method compares two texts, otherwise verified replies.

    `answers` holds those to each problem in the order in which they were sampled. `seen_by_judges` holds the
    ids of evaluation problems, which are never trained on.
    """
    groups: dict[str, list[Answer]] = {problem.id: [] for problem in problems}
    for answer in answers:
        groups[answer.attempt.problem_id].append(answer)
    rows: list[TrainingRow] = []
    tally: Counter[str] = Counter()
    for problem in problems:
        group = groups[problem.id]
        if problem.id in seen_by_judges:
            tally["leaked"] += len(group)
            tally["leaked problems"] += 1
            continue
        kept = list(distinct(group, tally))
        passed = [answer for answer in kept if answer.verdict.status is Status.PASS]
        tally["unsolved"] += not passed
        tally["trivial"] += all(answer.verdict.status is Status.PASS for answer in group)
        if config.train.TEXTS_A_ROW == 2:
            rows += _pairs(problem, kept, config, system, target)
        else:
            texts = dict.fromkeys(target(problem, answer.attempt) for answer in passed)
            for replies in list(texts)[: config.proofs_per_problem]:
                rows += rows_of(problem, replies, system=system)
    return TrainingSet.of(rows, _funnel(len(problems), len(answers), tally, len(rows)))


def _funnel(num_problems: int, num_answers: int, tally: Counter[str], num_rows: int) -> Funnel:
    """The stations from sampled answers to rows, as `build` counted what each one drops."""
    stations = stations_of(num_problems, num_answers, tally)
    num_kept, num_asked = stations[-1].num_out, num_problems - tally["leaked problems"]
    stations += [
        Station(
            name="solved",
            num_in=num_asked,
            num_out=num_asked - tally["unsolved"],
            why="problems with an answer that passed",
        ),
        Station(
            name="contrast",
            num_in=num_asked,
            num_out=num_asked - tally["trivial"],
            why="problems of which not every answer passed",
        ),
        Station(
            name="rows",
            num_in=num_kept,
            num_out=num_rows,
            why="texts that passed, and the rows from them",
        ),
    ]
    return Funnel(stations=tuple(stations))


def score(verdict: Verdict) -> float:
    """SOKRATES's score of an attempt, 0 to 2.5.

    An empty proof has no share of valid steps; where a task has no proofs, what passes counts as valid.
    """
    proof = verdict.proof
    share = proof.num_valid / len(proof.steps) if proof and proof.steps else 0.0
    is_valid = proof.valid if proof else verdict.status is Status.PASS
    return share + verdict.right + 0.5 * is_valid


def _pairs(
    problem: Problem, group: Sequence[Answer], config: OakDpo, system: str, target: Target
) -> Iterator[TrainingRow]:
    """The best attempt against each other one. With `sokrates` the best must have passed.

    Two dialogues are compared at the first turn at which they differ: up to there they are one chat.
    """
    by_answer = config.preference == "answer_only"

    def rank(answer: Answer) -> float:
        return float(answer.verdict.right) if by_answer else score(answer.verdict)

    ranked = sorted(group, key=lambda answer: -rank(answer))
    if not ranked:
        return
    best = ranked[0]
    has_passed = best.verdict.status is Status.PASS
    if not (best.verdict.right if by_answer else has_passed):
        return
    chosen = target(problem, best.attempt) if has_passed else best.attempt.replies
    for other in ranked[1:]:
        rejected = other.attempt.replies
        if rank(best) - rank(other) < max(config.min_gap, 1e-9) or rejected == chosen:
            continue
        turn = next(i for i, pair in enumerate(zip(chosen, rejected, strict=True)) if pair[0] != pair[1])
        better, worse = (rejected, chosen) if config.flip else (chosen, rejected)
        yield row_of(problem, better, turn, system=system, rejected=worse[turn])

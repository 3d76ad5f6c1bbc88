"""Semantic scoring beside exact scoring: how near a reply is to the gold reply in meaning, and who is right.

A cosine of sentence embeddings hardly tells one year or name from another, so it decides nothing here. It is
shown because others score by it: how often it differs from exact scoring, and on what.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from engine.embeddings import Embed
from engine.records import Answer, Panel, Problem, Status

LEVEL = 0.05
"""Share of wrong gold replies that the threshold lets through."""
_LONGEST = 200
"""Characters of a text in an example."""
_EXAMPLES = 3
"""Most examples of each way to differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """One answer, scored both ways."""

    problem: Problem
    answer: Answer
    turn: int
    """The turn whose reply is least like its gold reply."""
    cosine: float
    """Of that reply and its gold reply."""
    exact: bool
    semantic: bool
    """Every turn's cosine is above the threshold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Semantic:
    """Exact and semantic scoring of the same answers."""

    threshold: float
    scored: tuple[Scored, ...]
    """Answers whose problem has a gold reply and whose verifier reached a verdict."""

    @property
    def exact_only(self) -> list[Scored]:
        """Answers that only exact scoring passes, the least like their gold replies first."""
        return sorted((each for each in self.scored if each.exact > each.semantic), key=lambda e: e.cosine)

    @property
    def semantic_only(self) -> list[Scored]:
        """Answers that only semantic scoring passes, the most like their gold replies first."""
        return sorted((each for each in self.scored if each.semantic > each.exact), key=lambda e: -e.cosine)


def threshold_of(gold: Sequence[str], kinds: Sequence[str], embed: Embed) -> float:
    """The cosine that a share of at most `LEVEL` of wrong gold replies exceeds.

    Gold replies are shuffled: each is held against that to another question of the same kind, which `kinds`
    names, or of any kind where the replies of its kind are all equal. 1 where no two replies differ.
    """
    import numpy as np

    by_kind: dict[str, list[int]] = defaultdict(list)
    for place, kind in enumerate(kinds):
        by_kind[kind].append(place)
    pairs = []
    for members in by_kind.values():
        is_mixed = len({gold[place] for place in members}) > 1
        ring = members if is_mixed else list(range(len(gold)))
        for place in members:
            start = ring.index(place) + 1
            others = (other for other in ring[start:] + ring[:start] if gold[other] != gold[place])
            if (other := next(others, None)) is not None:
                pairs.append((place, other))
    if not pairs:
        return 1.0
    rows = np.asarray(embed(gold))
    cosines = sorted((float(rows[own] @ rows[other]) for own, other in pairs), reverse=True)
    return cosines[int(LEVEL * len(cosines))]


def compare(problems: Sequence[Problem], answers: Sequence[Answer], embed: Embed) -> Semantic:
    """Score by meaning what was scored exactly; `answers` holds one for each problem in turn."""
    import numpy as np

    given = [
        (problem, answer)
        for problem, answer in zip(problems, answers, strict=True)
        if problem.gold and answer.verdict.status is not Status.UNDECIDED
    ]
    if not given:
        return Semantic(threshold=1.0, scored=())
    gold = [reply for problem, _ in given for reply in problem.gold]
    replies = [reply for _, answer in given for reply in answer.attempt.replies]
    threshold = threshold_of(gold, [problem.slice for problem, _ in given for _ in problem.gold], embed)
    cosines = (np.asarray(embed(gold)) * np.asarray(embed(replies))).sum(axis=1).tolist()
    scored, place = [], 0
    for problem, answer in given:
        own, place = cosines[place : place + len(problem.gold)], place + len(problem.gold)
        turn = min(range(len(own)), key=own.__getitem__)
        scored.append(
            Scored(
                problem=problem,
                answer=answer,
                turn=turn,
                cosine=own[turn],
                exact=answer.verdict.status is Status.PASS,
                semantic=own[turn] > threshold,
            )
        )
    return Semantic(threshold=threshold, scored=tuple(scored))


def panel_of(semantic: Semantic) -> Panel:
    """How often the two ways to score differ, with examples of either."""
    num = len(semantic.scored)
    rows: list[tuple[str, ...]] = [("only right", "question", "reply", "gold reply", "cosine")]
    for name, found in (("by meaning", semantic.semantic_only), ("exactly", semantic.exact_only)):
        for each in found[:_EXAMPLES]:
            asked, right = each.problem.turns[each.turn], each.problem.gold[each.turn]
            texts = (asked, each.answer.attempt.replies[each.turn], right)
            rows.append((name, *(text[:_LONGEST] for text in texts), f"{each.cosine:.2f}"))
    exact = sum(each.exact for each in semantic.scored)
    close = sum(each.semantic for each in semantic.scored)
    meant, told = len(semantic.semantic_only), len(semantic.exact_only)
    note = (
        f"{exact} of {num} answers are right exactly, {close} by meaning: a cosine to the gold reply above "
        f"{semantic.threshold:.2f}, which one in {round(1 / LEVEL)} wrong gold replies reaches. The two "
        f"differ on {(meant + told) / max(1, num):.1%}: {meant} are right by meaning only, {told} exactly "
        "only. Exact scoring alone decides."
    )
    return Panel(title="Exact and semantic scoring", kind="table", rows=tuple(rows), note=note)

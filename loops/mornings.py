"""What a night shows of itself: panels for the report of the loop `sleep`."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from engine.embeddings import Embed
from engine.measure import semantic
from engine.measure.stats import interval
from engine.records import Answer, Disposal, Judgement, Panel, Problem
from engine.verify.recall import FAULTS, turns_right
from loops.days import Asked, is_right

_PEOPLE = 24
"""People in the heat map: those of whom most is forgotten."""
_REASONS = 12
"""Statements that were not stored and are shown."""
_SHORT = 80
"""Characters of a statement or a reason."""


class Probe(NamedTuple):
    """What a model recalled of everything that had been told."""

    when: str
    """For example ``before night 2``."""
    day: int
    """The day at whose end it was asked; after the last night the day that would follow."""
    asked: Sequence[Asked]
    answers: Sequence[Answer]

    @property
    def right(self) -> list[tuple[Asked, bool]]:
        return [(each, is_right(given)) for each, given in zip(self.asked, self.answers, strict=True)]


def decisions(judgements: Sequence[Judgement]) -> list[Panel]:
    """What became of what was said on a day, and why some of it was not stored."""
    nums = Counter(each.disposal for each in judgements)
    rows = tuple((each.value, str(nums[each])) for each in Disposal)
    panels = [
        Panel(title="What became of what was said", kind="bars", rows=rows, note="Statements of the day.")
    ]
    kept_out = [each for each in judgements if each.disposal in (Disposal.REJECT, Disposal.UNDECIDED)]
    if kept_out:
        shown = [
            (each.disposal.value, each.statement.text[:_SHORT], each.reason[:_SHORT])
            for each in kept_out[:_REASONS]
        ]
        panels.append(
            Panel(
                title="Not stored",
                kind="table",
                rows=(("decision", "what was said", "why"), *shown),
                note=f"{len(shown)} of {len(kept_out)}; `ratchet memory RUN --rejected` shows all.",
            )
        )
    return panels


def recall(probes: Sequence[Probe]) -> list[Panel]:
    """Recall by night and by age of a fact, by person and attribute, and what is wrong with the answers.

    `probes` are those of all nights of the run so far, the present one last; after the last night that of the
    last champion follows.
    """
    last = probes[-1]
    earlier = [(each, right) for each, right in last.right if each.day < last.day]
    panels = [by_night(probes)]
    if any(each.day < probe.day for probe in probes for each in probe.asked):
        panels.append(by_age(probes))
    if earlier:
        panels.append(by_person(earlier))
    return [*panels, by_fault(last, whole=not earlier)]


def by_night(probes: Sequence[Probe]) -> Panel:
    """A row for each night's parent, a column for each day on which facts were told."""
    days = sorted({each.day for probe in probes for each in probe.asked})
    rows = []
    for probe in probes:
        told = _shares((each.day, right) for each, right in probe.right)
        rows.append((probe.when, *(told.get(day, "") for day in days)))
    return Panel(
        title="Recall by night and by day of telling",
        kind="heat",
        rows=(("", *(f"told on day {day}" for day in days)), *rows),
        note="The model that a night starts from is asked for every fact told so far. Before a night it has "
        "not learnt those of the same day: what it knows of them it knew before.",
    )


def by_age(probes: Sequence[Probe]) -> Panel:
    """The forgetting curve over all nights of the run."""
    ages: dict[int, list[bool]] = defaultdict(list)
    for probe in probes:
        for each, right in probe.right:
            if each.day < probe.day:
                ages[probe.day - each.day].append(right)
    rows = tuple((f"{age} d", f"{sum(found) / len(found):.4f}") for age, found in sorted(ages.items()))
    return Panel(
        title="Forgetting curve: share recalled by age in days",
        kind="curve",
        rows=rows,
        note=f"{sum(map(len, ages.values()))} answers so far. What a refused night was to "
        "teach is not recalled until it is learnt.",
    )


def by_person(earlier: Sequence[tuple[Asked, bool]]) -> Panel:
    """Which facts of whom are recalled, of those that were told on earlier days."""
    lost = Counter(each.fact.subject for each, right in earlier if not right)
    people = sorted(dict.fromkeys(each.fact.subject for each, _ in earlier), key=lambda name: -lost[name])
    attributes = list(dict.fromkeys(each.fact.attribute for each, _ in earlier))
    cells = _shares(((each.fact.subject, each.fact.attribute), right) for each, right in earlier)
    rows = [(name, *(cells.get((name, key), "") for key in attributes)) for name in people[:_PEOPLE]]
    return Panel(
        title="Recall by person and attribute",
        kind="heat",
        rows=(("", *(key.replace("_", " ") for key in attributes)), *rows),
        note=f"Facts of earlier days; {len(rows)} of {len(people)} people, the most forgotten first.",
    )


def by_fault(probe: Probe, *, whole: bool) -> Panel:
    """What is wrong with answers about facts of earlier days, or with all where there are no others."""
    faults = Counter(
        str(given.verdict.fault)
        for each, given in zip(probe.asked, probe.answers, strict=True)
        if not is_right(given) and (whole or each.day < probe.day)
    )
    names = [*FAULTS, *(name for name in faults if name not in FAULTS)]
    return Panel(
        title="Errors by kind",
        kind="bars",
        rows=tuple((name.replace("_", " "), str(faults[name])) for name in names),
        note="Answers to the probe about facts of the first day, before it is learnt."
        if whole
        else "Answers to the probe about facts of earlier days.",
    )


def rivals(probe: Probe, some: Sequence[Asked], answers: Sequence[Answer]) -> Panel:
    """Weights against a prompt: the model before the night, and the first champion that reads memory."""
    right = {each.problem.id: passed for each, passed in probe.right}
    rows: list[tuple[str, ...]] = [
        ("facts", "questions", "before the night, nothing in the prompt", "not learnt, memory in the prompt")
    ]
    for what, is_old in (("of earlier days", True), ("of this day", False)):
        found = [
            (right[each.problem.id], is_right(given))
            for each, given in zip(some, answers, strict=True)
            if (each.day < probe.day) is is_old
        ]
        if found:
            shares = (f"{sum(side) / len(found):.1%}" for side in zip(*found, strict=True))
            rows.append((what, str(len(found)), *shares))
    return Panel(
        title="Retrieval as a rival",
        kind="table",
        rows=tuple(rows),
        note="The first champion, which never learnt a fact, answers with what memory holds about the person "
        "in its prompt. People are found by their names, so no question misses its facts. Facts of this day "
        "are learnt in the night that follows: what both come to at the end is in the tests on the sealed "
        "questions.",
    )


def tests(problems: Sequence[Problem], models: Mapping[str, Sequence[Answer]], embed: Embed) -> list[Panel]:
    """The sealed questions by kind, exactly and by meaning, for each model by its name, and the last one's
    errors."""
    scored = {name: semantic.compare(problems, answers, embed) for name, answers in models.items()}
    kinds = sorted(dict.fromkeys(problem.slice.removeprefix("kind=") for problem in problems))
    rows = [("test", "questions", *(f"{name}{way}" for name in models for way in ("", ", by meaning")))]
    for kind in kinds:
        cells = []
        for name, answers in models.items():
            own = [is_right(a) for p, a in zip(problems, answers, strict=True) if p.slice == f"kind={kind}"]
            near = [each.semantic for each in scored[name].scored if each.problem.slice == f"kind={kind}"]
            share = interval(sum(own), len(own))
            cells += [f"{share.rate:.1%} ({share.low:.0%}–{share.high:.0%})"]
            cells += [f"{sum(near) / len(near):.1%}" if near else "–"]
        num = sum(problem.slice == f"kind={kind}" for problem in problems)
        rows.append((kind.replace("_", " "), str(num), *cells))
    last = list(models.values())[-1]
    faults = Counter(str(each.verdict.fault) for each in last if not is_right(each))
    return [
        Panel(
            title="The tests, on the sealed questions",
            kind="table",
            rows=tuple(rows),
            note="A dialogue passes where every reply does. With memory in the prompt, what it holds about "
            "whoever a turn names stands before the turn, as far as a prompt holds that much. Exact scoring "
            "wants whole values, with its 95 % interval; what is right by meaning is shown beside it, and "
            "decides nothing.",
        ),
        Panel(
            title="Errors by kind, of the last champion",
            kind="bars",
            rows=tuple((name.replace("_", " "), str(num)) for name, num in faults.most_common()),
        ),
        semantic.panel_of(list(scored.values())[-1]),
    ]


def over_turns(problems: Sequence[Problem], models: Mapping[str, Sequence[Answer]]) -> list[Panel]:
    """Long talks turn by turn: a curve for each model by its name."""
    num = max(len(problem.turns) for problem in problems)
    panels = []
    for name, answers in models.items():
        turns = [turns_right(p, a.attempt) for p, a in zip(problems, answers, strict=True)]
        whole = sum(map(sum, turns)) / sum(map(len, turns))
        rows = []
        for start in range(0, num, _block(num)):
            some = [right for own in turns for right in own[start : start + _block(num)]]
            rows.append((str(start + 1), f"{sum(some) / len(some):.4f}"))
        panels.append(
            Panel(
                title=f"Extended talk of {num} turns: {name}",
                kind="curve",
                rows=tuple(rows),
                note=f"Share of right replies by turn, in {len(problems)} talks: {whole:.1%} in all.",
            )
        )
    return panels


def _block(num: int) -> int:
    """Turns that one point of a curve is a mean of."""
    return max(1, num // 20)


def _shares(outcomes: Iterable[tuple[object, bool]]) -> dict[object, str]:
    """``right/asked`` by what was asked about."""
    found: dict[object, list[bool]] = defaultdict(list)
    for key, right in outcomes:
        found[key].append(right)
    return {key: f"{sum(each)}/{len(each)}" for key, each in found.items()}

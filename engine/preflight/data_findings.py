"""The findings of `ratchet data check`, section by section."""

from collections import Counter
from collections.abc import Sequence

from configs.schema import Config, Gate
from configs.tasks import RecordsTask
from engine.answers import describe_find
from engine.curate.near import NearPair
from engine.preflight.data_alike import Alike
from engine.preflight.findings import Finding
from engine.preflight.power import ENOUGH, gate_power, percent, power_of
from engine.preflight.self_check import SelfCheck
from engine.tasks.fixed import Fixed
from engine.tasks.lines import PARTS, SENTINEL, Line
from engine.tasks.passages import FEWEST_WORDS
from engine.tasks.records import Gathered
from engine.tasks.text import Texts
from engine.terminal import counted

_SHOWN = 5
"""Examples of each kind that are shown; JSON has all."""
_MOST_LET_THROUGH = 0.05
"""Share of replies of other records that a scorer may let through: some answers are right by chance."""


def of_lines(gathered: Gathered, unit: str = "records") -> list[Finding]:
    """Lines that are no records, or contradict others, and unknown keys; `unit` names the sound ones."""
    faults = gathered.all_faults
    findings = [
        Finding(
            section="lines",
            what="broken or contradictory",
            found=_examples([str(fault) for fault in faults], "fault"),
            ok=not faults,
            remedy=_remedy(gathered) if faults else "",
        )
    ]
    if gathered.ignored:
        shown = ", ".join(f"{key} ({count})" for key, count in gathered.ignored.most_common(10))
        findings.append(Finding(section="lines", what="keys not read", found=shown))
    return [Finding(section="lines", what=unit, found=str(len(gathered.lines))), *findings]


def _remedy(gathered: Gathered) -> str:
    if not gathered.lines and any("missing key" in fault.reason for fault in gathered.faults):
        return (
            "if the fields have other names, name them: prompt=NAME answer=NAME (in a config keys of `task`)"
        )
    return "mend these lines, or leave them out"


def not_checked(*, scored: bool) -> Finding:
    """What stays open while lines are broken."""
    parts = "near duplicates, leaks, splits, lengths" + (", scorer and gate" if scored else " and gate")
    found = f"{parts} are checked when these lines are mended"
    return Finding(section="lines", what="not checked yet", found=found)


def of_documents(texts: Texts) -> list[Finding]:
    """How many documents the passages are cut from, and what is left out of them."""
    found = str(texts.num_documents)
    if texts.num_short:
        found += f"; {texts.num_short} passages of less than {FEWEST_WORDS} words are left out"
    return [Finding(section="lines", what="documents", found=found)]


def of_repeats(gathered: Gathered) -> list[Finding]:
    """Records that ask what an earlier one asks, and passages that stand in an earlier text."""
    said = [f"{line.place}: repeats {first.place}" for line, first in gathered.repeats]
    found = _examples(said, "repeat") + ("\nused once" if said else "")
    return [Finding(section="duplicates", what="exact", found=found)]


def of_alike(alike: Alike, lines: Sequence[Line]) -> list[Finding]:
    """Near duplicates, those of them that are learnt and judged on, and of records contradictory answers."""

    def said(pairs: Sequence[NearPair]) -> str:
        return _examples([" and ".join(places_of(pair, lines)) for pair in pairs], "pair")

    num = alike.num_apart
    apart = f"\n{counted(num, 'more pair')} with other answers: other questions" if num else ""
    conflicts = [
        f"{line.place}: '{', '.join(line.accepted)[:40]}', {first.place}: '{', '.join(first.accepted)[:40]}'"
        for line, first in alike.conflicts
    ]
    findings = [
        Finding(section="duplicates", what="near", found=said(alike.near)),
        Finding(
            section="duplicates",
            what="leaks between splits",
            found=said(alike.leaks) + apart,
            ok=not alike.leaks,
            remedy="give both records one `story`, which keeps them together, or drop one"
            if alike.leaks
            else "",
        ),
    ]
    if any(line.accepted for line in lines):
        remedy = "one question, but for capitals and points: mend an answer, or drop one"
        findings.append(
            Finding(
                section="duplicates",
                what="label conflicts",
                found=_examples(conflicts, "pair"),
                ok=not conflicts,
                remedy=remedy if conflicts else "",
            )
        )
    return findings


def of_parts(suite: Fixed, gathered: Gathered, group: str = "story") -> list[Finding]:
    """How many records each part and each slice has; a `group` is what stays together."""
    sizes = suite.sizes
    stories = len({line.story for line in gathered.lines if line.story})
    slices = Counter(line.slice or "all" for line in gathered.lines)
    shown = ", ".join(f"{name} ({count})" for name, count in slices.most_common(10))
    by_story = f", by {counted(stories, group)}: one of each in a draw that judges" if stories else ""
    named = (*PARTS, SENTINEL) if sizes[SENTINEL] else PARTS
    found = ", ".join(f"{part} {sizes[part]}" for part in named)
    empty = [part for part in PARTS if not sizes[part]]
    return [
        Finding(
            section="splits",
            what="parts",
            found=found + by_story,
            ok=not empty,
            remedy=f"nothing for {', '.join(empty)}: see task.shares and `split`" if empty else "",
        ),
        Finding(section="splits", what="slices", found=shown),
    ]


def of_scorer(task: RecordsTask, tested: SelfCheck) -> list[Finding]:
    """Whether gold passes and other replies fail, with what is found in a few."""
    name = f"{task.scorer.name}, by {describe_find(task.scorer.find)}"
    if not tested.gold:
        found = "the records have no gold replies to check it on: name their field, task.reply"
        return [Finding(section="scorer", what=name, found=found)]
    refused, through, num = tested.refused, tested.let_through, len(tested.gold)
    reasons = [f"{problem.origin}: {verdict.reason}" for problem, verdict in refused]
    share = len(through) / len(tested.shuffled) if tested.shuffled else 0.0
    findings = [
        Finding(
            section="scorer",
            what=name,
            found=f"{num - len(refused)} of {counted(num, 'gold reply')} {'passes' if num == 1 else 'pass'}"
            + (f"\n{_examples(reasons, 'reply')}" if reasons else ""),
            ok=not refused,
            remedy="mend the answers, or how they are found: scorer.find, task.gold, task.reply"
            if refused
            else "",
        ),
        Finding(
            section="scorer",
            what="replies of other records",
            found=f"{len(through)} of {len(tested.shuffled)} pass"
            if tested.shuffled
            else "no two records have different answers: one reply would be right for all of them",
            ok=bool(tested.shuffled) and share <= _MOST_LET_THROUGH,
            remedy="a stricter scorer, or a higher threshold" if share > _MOST_LET_THROUGH else "",
        ),
    ]
    for problem, verdict in tested.gold[:3]:
        asked, reply = problem.turns[-1][:60], problem.gold[0][-40:]
        found = f"{asked!r}: in {reply!r} it finds {verdict.answer!r}, {verdict.status}"
        findings.append(Finding(section="scorer", what="sample", found=found))
    return [*findings, *_calibration(tested)]


def _calibration(tested: SelfCheck) -> list[Finding]:
    """Of a scorer with grades, how gold and other replies are graded, for its threshold."""
    others = sorted(verdict.grade for _, verdict in tested.shuffled if verdict.grade is not None)
    if not others:
        return []
    high = others[min(len(others) - 1, int(0.99 * len(others)))]
    found = f"99 % of the replies of other records have a similarity of at most {high:.2f}"
    same = sorted(verdict.grade for _, verdict in tested.alternatives if verdict.grade is not None)
    if same:
        found += f", 95 % of alternative answers at least {same[int(0.05 * len(same))]:.2f}"
    return [Finding(section="scorer", what="threshold between", found=found)]


def of_gate(gate: Gate, config: Config | None, suite: Fixed) -> list[Finding]:
    """What gain one gate test shows on so many records: as the config says, else on all there are."""
    from engine.gate.exams import exam_of

    num = suite.sizes["gate"]
    if config is None:
        looks = max(1, min(gate.looks, num // 10))
        gate = gate.model_copy(update={"looks": looks, "look_size": max(1, num // looks)})
    level = gate.alpha / (config.num_tests if config else 1)
    ties = exam_of(suite.task).samples
    gain, design = gate_power(gate, level, ties=ties)
    shown = f"a gain of {gain}" if ties else f"that {gain} became likelier"
    test = "one test" if config else "one test on all of them"
    found = f"{test} shows {shown if gain else 'no gain, however large'} with 80 % power ({design})"
    if config is None:
        found += "\nwhat the tests of a campaign show: `ratchet doctor CONFIG`"
    return [
        Finding(
            section="gate",
            what=counted(num, suite.unit),
            found=found,
            ok=bool(gain),
            remedy=""
            if gain
            else f"more {suite.unit}s, or a larger share of them: {suite.share_keys['gate']}",
        )
    ]


def of_sentinels(gate: Gate, config: Config | None, suite: Fixed) -> list[Finding]:
    """Whether the records that are kept as sentinels, if any, can show that a model does no harm.

    Without a config their margin is not known.
    """
    from engine.gate.sentinels.proportion import KeptRecords

    if not suite.sentinels:
        return []
    _, key, design, power = power_of(KeptRecords(problems=suite.sentinels), gate.sentinels)
    ok = power >= ENOUGH or config is None
    remedy = f"more of them, or a larger {key}: under {percent(ENOUGH)} a run is refused"
    return [
        Finding(
            section="sentinels",
            what=counted(len(suite.sentinels), "record"),
            found=f"never learnt; a harmless model passes with a chance of {percent(power)} ({design})",
            ok=ok,
            remedy="" if ok else remedy,
        )
    ]


def _examples(said: Sequence[str], noun: str) -> str:
    """The number of cases and the first of them, one a line."""
    if not said:
        return "none"
    more = f"\n… and {len(said) - _SHOWN} more: --json has all" if len(said) > _SHOWN else ""
    return f"{counted(len(said), noun)}:\n" + "\n".join(said[:_SHOWN]) + more


def places_of(pair: NearPair, lines: Sequence[Line]) -> tuple[str, str]:
    """Where the two records of a pair are."""
    return lines[pair.first].place, lines[pair.second].place

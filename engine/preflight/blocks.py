"""Whether the records of a finite task suffice for a config, part by part, before anything runs.

    ratchet doctor CONFIG

A campaign that could run out of fresh records in its last round is refused before its first.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from configs.loops import ErrorDriven, OakDpo, Sleep
from configs.schema import Config
from configs.tasks import DomainTask, TextTask
from engine.memory.unheld import unheld
from engine.preflight.findings import Finding
from engine.records import Dialogue
from engine.registry.used import lines_before, spent_before
from engine.tasks.fixed import ONCE, READ, Fixed
from engine.tasks.lines import PARTS, SENTINEL
from engine.tasks.people import PeopleSuite
from engine.tasks.suite import DataError, Suite, of_day
from engine.terminal import counted

_MOST_TALKS = 500
"""Talks that are read before a run, in a few seconds."""
_FEW = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What a campaign draws from one part."""

    part: str
    num: int
    """Records of the largest draw; of gate and sealed, of all draws together."""
    why: str
    """The keys of the config that it comes from."""


def needs_of(config: Config, suite: Suite) -> list[Need]:
    """What the campaign of a config draws from each part, at the most. A loop of one's own is not known."""
    from engine.gate.exams import exam_of

    gate, samples = config.gate, exam_of(suite.task).samples
    warm = config.warm_start if config.start == "base" else None
    loop = config.loop if isinstance(config.loop, OakDpo | ErrorDriven) else None
    selects = [
        ("select.problems of a training", each.select.problems)
        for each in config.trains.values()
        if each.select
    ]
    train = [("warm_start.proofs", warm.proofs)] if warm else []
    train += [("loop.num_problems", loop.num_problems)] if loop else []
    probe = [("baseline.num_problems", config.baseline.num_problems)] if config.baseline else []
    probe += [("loop.probe.num_problems", loop.probe.num_problems)] if loop else []
    probe += selects
    if config.carry:
        probe += [("gate.carry.problems", config.carry.problems)]
        probe += [("gate.pass_at_k.num_problems", gate.pass_at_k.num_problems)] if samples else []
    test = gate.looks * gate.look_size + (gate.pass_at_k.num_problems if samples else 0)
    num_tests = 1 if getattr(suite, "per_test", False) else config.most_tests
    sampled = f" + pass_at_k.num_problems {gate.pass_at_k.num_problems}" if samples else ""
    design = f"{counted(num_tests, 'test')} of gate.looks {gate.looks} x look_size {gate.look_size}{sampled}"
    return [
        *_largest("train", train),
        *_largest("probe", probe),
        Need(part="gate", num=num_tests * test, why=design),
        Need(part="sealed", num=config.final.num_problems, why="final.num_problems"),
    ]


def _largest(part: str, draws: list[tuple[str, int]]) -> list[Need]:
    if not draws:
        return []
    why, num = max(draws, key=lambda draw: draw[1])
    return [Need(part=part, num=num, why=why)]


def require_told(config: Config, suite: Suite, days: int) -> None:
    """Refuse a campaign of which a day tells too little to judge its night. Raises DataError.

    `days` of its line went before. A task without days has nothing to be refused for.
    """
    from engine.gate.exams import exam_of

    gate, at_k = config.gate, config.gate.pass_at_k
    for day in range(days + 1, days + config.stop.rounds + 1):
        today = of_day(suite, day)
        if today is suite:
            return
        asked = today.draw(gate.looks * gate.look_size, split="gate", seed=0)
        if exam_of(suite.task).samples:
            exclude = {problem.id for problem in asked}
            today.draw(at_k.num_problems, split="pass-at-k", seed=0, exclude=exclude)
        if config.carry:
            today.draw(config.carry.problems, split="carry-0", seed=0)
        for train in config.loop.trains.values():
            if train.select:
                today.draw(train.select.problems, split="select-0", seed=0)


def examine_told(config: Config, suite: Suite) -> list[Finding]:
    """What own people's talks tell and would not teach, where they are read by rule; of many the first."""
    loop = config.loop
    is_by_rule = isinstance(loop, Sleep) and loop.hippocampus and loop.extract == "rule"
    if not is_by_rule or not isinstance(suite, PeopleSuite) or suite.last_day is None:
        return []
    days: list[list[Dialogue]] = []
    while len(days) < suite.last_day and sum(map(len, days)) < _MOST_TALKS:
        days.append(suite.dialogues(len(days) + 1))
    asked = suite.known(len(days))
    if not (missing := unheld(days, suite.wordings, asked)):
        return []
    few = "; ".join(
        f"{fact.attribute} of {fact.subject}, {fact.value}" + (f" (held is {value})" if value else "")
        for fact, value in missing[:_FEW]
    )
    found = (
        f"{len(missing)} of {counted(len(asked), 'fact')} that are asked for would not be in memory, because "
        f"no sentence states them in known words, or another value is told first: {few}"
    )
    return [Finding(section="task", what="not learnt", found=found)]


def require_records(config: Config, suite: Suite, home: Path, run_id: str = "") -> None:
    """Refuse a config that needs more records of a part than are left on its line. Raises DataError.

    What the run `run_id` has used itself is not counted as used.
    """
    from engine.gate.exams import exam_of

    if not isinstance(suite, Fixed):
        return
    left = _left(suite, config, home, run_id)
    for need in needs_of(config, suite):
        if need.num > left.sizes[need.part]:
            raise DataError(_too_few(need, suite, config, left))
    asks = exam_of(suite.task).samples
    if asks and config.baseline and config.baseline.shots and not _has_gold(suite):
        raise DataError(f"baseline.shots shows gold replies, and {_why_not_shown(config)} baseline.shots=0")


def examine_records(config: Config, suite: Suite, home: Path) -> list[Finding]:
    """What each part holds, what is left of it on the config's line, and for how many gate tests.

    Raises DataError as `require_records`.
    """
    if not isinstance(suite, Fixed):
        return []
    require_records(config, suite, home)
    sizes, (left, read, lines) = suite.sizes, _left(suite, config, home, "")
    needs = {need.part: need for need in needs_of(config, suite)}
    findings, section = [], f"{suite.unit}s"
    for part in PARTS:
        found = f"{left[part]}"
        if part in ONCE:
            found += f" of {sizes[part]} left on {_named(lines)}"
        if read[part]:
            found += f", {read[part]} more but for `ratchet eval`, which has read {_them(read[part])}"
        if part in needs:
            found += f", {needs[part].num} needed ({needs[part].why})"
        findings.append(Finding(section=section, what=part, found=found))
    if sizes[SENTINEL]:
        found = f"{left[SENTINEL]}, never learnt; every model that is judged answers all of them"
        findings.append(Finding(section=section, what=SENTINEL, found=found))
    each = needs["gate"].num // (1 if suite.per_test else config.most_tests)
    num = left["gate"] // each
    found = f"{num}, {'each ' if num > 1 else ''}on {counted(each, f'fresh {suite.unit}')}"
    if suite.per_test:
        shared = counted(left["gate"], suite.unit)
        found = f"without end, on {shared} that tests share: per-test level only"
    findings.append(Finding(section=section, what="gate tests left", found=found))
    return findings


def _has_gold(suite: Fixed) -> bool:
    return all(record.problem.gold for record in suite.records("train"))


def _why_not_shown(config: Config) -> str:
    if isinstance(config.task, DomainTask):
        return "examples that go on with a chat cannot be shown: set"
    return "these records have none: name their field, task.reply, or set"


class _Left(NamedTuple):
    """What is left of each part on the lines before a campaign."""

    sizes: dict[str, int]
    read: dict[str, int]
    """How many more there would be, had `ratchet eval` read none."""
    lines: list[str]


def _left(suite: Fixed, config: Config, home: Path, run_id: str) -> _Left:
    spent = spent_before(home, config, apart_from=run_id)
    sizes, unread = suite.without(spent).sizes, suite.without(spent | {READ: frozenset[str]()}).sizes
    read = {part: num - sizes[part] for part, num in unread.items()}
    return _Left(sizes, read, lines_before(home, config))


def _named(lines: list[str]) -> str:
    return f"line {lines[0]}" if len(lines) == 1 else f"lines {' and '.join(lines)}"


def _them(num: int) -> str:
    return "it" if num == 1 else "them"


def _too_few(need: Need, suite: Fixed, config: Config, left_on: _Left) -> str:
    size, total = suite.sizes[need.part], sum(len(suite.records(part)) for part in PARTS)
    left, read = left_on.sizes[need.part], left_on.read[need.part]
    before = ""
    if size > left:
        has = "has" if len(left_on.lines) == 1 else "have"
        eval_has = f" ({read} of which `ratchet eval` has read)" if read else ""
        before = (
            f", {_named(left_on.lines)} {has} used {size - left} of them before{eval_has}, and {left} "
            f"{'is' if left == 1 else 'are'} left"
        )
    ways = f"give more {suite.unit}s, a larger share ({suite.share_keys[need.part]}), or smaller numbers"
    by_document = isinstance(config.task, TextTask) and config.task.divide == "documents"
    together = ""
    if need.part != "train" and size < len(suite.records(need.part)):
        together = f", one of each {'document' if by_document else 'story'}"
    if by_document:
        ways += "; task.divide=passages is for a single long text"
    if need.part in ONCE and not suite.per_test:
        ways += (
            f"; with task.per_test=true tests share {suite.unit}s, and decisions say 'per-test level only'"
        )
    return (
        f"the {suite.unit}s do not suffice: of {total} the {need.part} part has {size}{together}{before}, "
        f"but {need.num} {'is' if need.num == 1 else 'are'} needed ({need.why}): {ways}"
    )

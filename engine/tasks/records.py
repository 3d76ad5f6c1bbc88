"""A user's own questions and answers: each record of a JSONL file is a problem, and a named scorer judges it.

    task: {name: records, file: my.jsonl, scorer: numeric}

`lines.py` reads the file, `fixed.py` divides the records and draws from them, `engine/verify/scorers` judge.
"""

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from configs.scorers import AnyScorer, Choice, Json, Python, Regex
from configs.tasks import AnyTask, RecordsTask
from engine.answers import are_one, json_value
from engine.plugins import PluginError, load_plugin
from engine.records import Problem, Reference
from engine.tasks import problem_id
from engine.tasks.fixed import Fixed, Record
from engine.tasks.lines import Line, read_lines
from engine.tasks.objects import LineFault
from engine.tasks.suite import DataError
from engine.terminal import counted

NAME = "records"
VERIFIERS = ("exact",)
"""Of a suite the verifier is the scorer of its config."""
SLICE = "all"
"""The slice of a record that names none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """The records of a file, once each, and what is wrong with others."""

    lines: tuple[Line, ...]
    repeats: tuple[tuple[Line, Line], ...]
    """Records that ask what an earlier one asks, with answers that are the same to the scorer: they are left
    out."""
    conflicts: tuple[tuple[Line, Line], ...]
    """Records that ask what an earlier one asks, with answers that the scorer tells apart."""
    faults: tuple[LineFault, ...]
    ignored: Counter[str]

    @property
    def all_faults(self) -> list[LineFault]:
        """Everything for which the file is refused."""
        return [*self.faults, *(_conflict(line, first) for line, first in self.conflicts)]


def gather(settings: RecordsTask) -> Gathered:
    """Read a task's files, and compare their records with each other. It raises nothing."""
    read = read_lines(settings)
    faults = list(read.faults)
    first: dict[str, Line] = {}
    names: dict[str, Line] = {}
    stories: dict[str, Line] = {}
    repeats: list[tuple[Line, Line]] = []
    conflicts: list[tuple[Line, Line]] = []
    for line in read.lines:
        known = first.setdefault(id_of(line), line)
        if known is not line:
            same = answer_alike(settings.scorer, line, known)
            (repeats if same else conflicts).append((line, known))
            if line.split != known.split:
                faults.append(_fault(line, f"asks what {known.place} asks, in another split"))
            continue
        if line.id and names.setdefault(line.id, line) is not line:
            faults.append(_fault(line, f"the id '{line.id}' is that of {names[line.id].place}"))
        if line.story and stories.setdefault(line.story, line).split != line.split:
            other = stories[line.story]
            faults.append(_fault(line, f"its story '{line.story}' is in another split in {other.place}"))
    systems = {line.system: line for line in read.lines}
    if len(systems) > 1:
        line = list(systems.values())[1]
        faults.append(_fault(line, "has another system message than an earlier record: all must have one"))
    return Gathered(
        lines=tuple(first.values()),
        repeats=tuple(repeats),
        conflicts=tuple(conflicts),
        faults=tuple(sorted(faults, key=lambda fault: (fault.file, fault.number))),
        ignored=read.ignored,
    )


def answer_alike(scorer: AnyScorer, line: Line, other: Line) -> bool:
    """Whether each accepted answer of two records is one of the other's."""
    return all(
        any(are_one(scorer, answer, another) for another in theirs)
        for mine, theirs in ((line.accepted, other.accepted), (other.accepted, line.accepted))
        for answer in mine
    )


def require_sound(gathered: Gathered) -> Gathered:
    """Refuse files with a fault. Raises DataError for the first of several."""
    if faults := gathered.all_faults:
        more = len(faults) - 1
        others = f" (and {counted(more, 'more fault')}: `ratchet data check` lists them)"
        raise DataError(f"{faults[0]}{others if more else ''}")
    return gathered


def open(settings: AnyTask) -> Fixed:
    """The suite of a config's records. Raises DataError for a file, scorer or schema that cannot be used."""
    assert isinstance(settings, RecordsTask), "the task's own leaf"
    return suite_of(gather(settings), settings)


def suite_of(gathered: Gathered, settings: RecordsTask) -> Fixed:
    """The suite of records that were read. Raises DataError as `open` does."""
    lines = require_sound(gathered).lines
    extra = scorer_settings(settings.scorer, lines)
    records = [Record(problem=problem_of(line, extra), story=line.story, split=line.split) for line in lines]
    return Fixed(
        records,
        shares=settings.shares,
        per_test=settings.per_test,
        verifiers=(settings.scorer.name,),
        system=lines[0].system,
    )


def read(path: Path) -> list[Problem]:
    """The records of a file in the default layout, judged by the scorer `exact`."""
    return problems_in(RecordsTask(file=str(path)))


def problems_in(settings: RecordsTask) -> list[Problem]:
    """All records of a task's files, in their order. Raises DataError as `open` does."""
    lines = require_sound(gather(settings)).lines
    extra = scorer_settings(settings.scorer, lines)
    return [problem_of(line, extra, split="public") for line in lines]


def id_of(line: Line) -> str:
    """The id of a record's problem: blanks do not count, nor do its file, its place and its answers."""
    return problem_id(NAME, " ".join(line.prompt.split()))


def problem_of(line: Line, extra: dict[str, str], split: str = "") -> Problem:
    """A record as a problem, with what its scorer needs to know."""
    return Problem(
        id=id_of(line),
        task=NAME,
        slice=line.slice or SLICE,
        turns=(line.prompt,),
        truth=Reference(accepted=line.accepted, extra=extra),
        gold=(line.reply,) if line.reply else (),
        split=split,
        origin=f"{Path(line.file).name}#{line.id or line.number}",
        story=line.story,
    )


def scorer_settings(scorer: AnyScorer, lines: Sequence[Line]) -> dict[str, str]:
    """What a scorer must know beside the answers, as text: it judges in a process that reads no file.

    Raises DataError for a schema or a function that cannot be used, and for an answer that is no label, no
    JSON or no regular expression where it must be one.
    """
    if isinstance(scorer, Python):
        path, _, function = scorer.function.rpartition(":")
        try:
            load_plugin(Path(path), "scorer", (function,))
        except PluginError as error:
            raise DataError(f"task.scorer.function: {error}") from None
        scorer = scorer.model_copy(update={"function": f"{Path(path).absolute()}:{function}"})
    if isinstance(scorer, Choice):
        labels = scorer.labels or sorted({answer for line in lines for answer in line.accepted})
        for line in lines:
            if unknown := [answer for answer in line.accepted if answer not in labels]:
                allowed = ", ".join(labels)
                raise DataError(
                    f"{line.place}: the answer '{unknown[0]:.40}' is none of task.scorer.labels: {allowed}"
                )
        scorer = scorer.model_copy(update={"labels": labels})
    if isinstance(scorer, Regex):
        for line in lines:
            _require_pattern(line)
    extra = {"settings": scorer.model_dump_json()}
    if isinstance(scorer, Json):
        for line in lines:
            _require_json(line)
        if scorer.schema_file:
            extra["schema"] = _schema(scorer.schema_file)
        elif not scorer.equal:
            raise DataError("task.scorer: equal=false needs a schema_file, or every JSON would pass")
    return extra


def _require_pattern(line: Line) -> None:
    for answer in line.accepted:
        try:
            re.compile(answer)
        except (re.error, RecursionError, OverflowError) as error:
            shown = answer[:40]
            raise DataError(
                f"{line.place}: the answer is no regular expression: {shown!r}: {error}"
            ) from None


def _require_json(line: Line) -> None:
    for answer in line.accepted:
        try:
            json_value(answer)
        except (ValueError, RecursionError):
            raise DataError(f"{line.place}: the answer is not valid JSON: {answer[:40]!r}") from None


def _schema(name: str) -> str:
    """The text of a JSON schema that is one. Raises DataError."""
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError

    try:
        text = Path(name).read_text(encoding="utf-8")
        Draft202012Validator.check_schema(json.loads(text))
    except OSError as error:
        raise DataError(f"task.scorer.schema_file {name} cannot be read: {error.strerror}") from None
    except SchemaError as error:
        raise DataError(f"task.scorer.schema_file {name} is no JSON schema: {error.message[:200]}") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"task.scorer.schema_file {name} is not valid JSON: {error}") from None
    return text


def _fault(line: Line, reason: str) -> LineFault:
    return LineFault(file=line.file, number=line.number, reason=reason)


def _conflict(line: Line, first: Line) -> LineFault:
    mine, theirs = (", ".join(each.accepted)[:40] for each in (line, first))
    return _fault(line, f"asks what {first.place} asks, with another answer: '{mine}' and '{theirs}'")

"""Transfer: what the models of a campaign make of tasks that nothing in it is trained on.

    transfer:
      folio: {task: {name: folio, file: train.jsonl}, file: validation.jsonl, num_problems: 64}

Each model that a round leaves to the next one answers the same problems once, greedily. A table of all models
so far stands with every round of the report. Nothing is decided by it.
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from engine.gate.exams import exam_of
from engine.measure.counts import share_of
from engine.measure.elsewhere import problems_of
from engine.measure.evaluate import Unjudged
from engine.models.identity import Model
from engine.records import Evaluation, Figure, Interval, Panel, Problem, RoundRecord, Theory
from engine.sample.protocol import Sampling
from engine.tasks.suite import Suite, notes_of
from loops.context import Context

TITLE = "Transfer: tasks that nothing was trained on"
FAULTS_TITLE = "Transfer: what still fails"


class _Row(NamedTuple):
    """One model on one task."""

    task: str
    model: str
    """The model's name in the tables."""
    found: Evaluation | str
    """What was measured, or why nothing was."""
    majority: Interval
    """How often the most frequent of the right answers is right."""

    @property
    def figures(self) -> dict[str, Figure]:
        """The shares and the ratios, by their keys."""
        figures = () if isinstance(self.found, str) else self.found.figures
        return {each.key: each for each in figures if each.unit == "share"}


def transfer_panels(context: Context, number: int, standing: str) -> tuple[Panel, ...]:
    """The table of all models so far, and what the last of them fails by: `standing`, which round `number`
    leaves to the next.

    Each model is asked once a run, and the untrained base has one row, whatever else it was. There is no
    table where the config names no transfer.
    """
    if not context.config.transfer:
        return ()
    records = [context.run.read(context.stage(each, "round"), RoundRecord) for each in range(number)]
    base = Model.of(context.base).id
    left = {record.round: record.working_after or record.champion_after for record in records if record}
    models = {"start": context.start.id} | {_after(each): model for each, model in left.items()}
    models[_after(number)] = standing
    models = {"untrained base": base} | {label: model for label, model in models.items() if model != base}
    last = [label for label, model in models.items() if model == standing][-1]
    measured: list[_Row] = []
    left_out: dict[str, None] = {}
    for name, settings in context.config.transfer.items():
        suite, problems = problems_of(settings, context.config.seed)
        majority = _majority(problems)
        for label, model in models.items():
            measured.append(_Row(name, label, _evaluation(context, name, suite, problems, model), majority))
        if settings.file:
            notes = (each for each in notes_of(suite) if each.startswith(f"{settings.file}:"))
            left_out |= dict.fromkeys(f"{each}." for each in notes)
    note = "One greedy answer to each problem, without examples. 95 % intervals are of shares of answers."
    return (
        Panel(title=TITLE, kind="table", rows=_table(measured), note=" ".join([note, *left_out])),
        Panel(
            title=FAULTS_TITLE,
            kind="table",
            rows=_faults([row for row in measured if row.model == last]),
            note="Answers of the last model above, by what is first wrong with them.",
        ),
    )


def _table(measured: Sequence[_Row]) -> tuple[tuple[str, ...], ...]:
    titles = {key: figure.title for row in measured for key, figure in row.figures.items()}
    rows = [("task", "model", *titles.values(), "most frequent label")]
    for row in measured:
        if isinstance(row.found, str):
            rows.append((row.task, row.model, row.found, *[""] * len(titles)))
        else:
            shown = (row.figures[key].value if key in row.figures else None for key in titles)
            rows.append((row.task, row.model, *map(_cell, shown), _cell(row.majority)))
    return tuple(rows)


def _faults(measured: Sequence[_Row]) -> tuple[tuple[str, ...], ...]:
    rows = [("task", "what is wrong", "answers")]
    for row in measured:
        if not isinstance(row.found, str):
            of = row.found.num_problems
            rows += [(row.task, fault, f"{num} of {of}") for fault, num in row.found.faults.items()]
    return tuple(rows)


def _after(number: int) -> str:
    return "warm start" if number == 0 else f"after round {number}"


def _evaluation(
    context: Context, name: str, suite: Suite, problems: Sequence[Problem], model: str
) -> Evaluation | str:
    """What one model makes of one task, judged as at the gate; or why it was not judged."""
    exam, sampling = exam_of(suite.task), Sampling(max_new_tokens=context.config.sampler.max_new_tokens)

    def ask() -> Evaluation | str:
        try:
            given = exam.ask(context.judges, context.stored(model), problems, sampling)
        except Unjudged as error:
            return f"not judged: {error}"
        return exam.measure(suite.task, problems, given)

    stage = f"transfer/{name}/{model}"
    doing = f"Transfer: model {model} answers {len(problems)} problems of {name}"
    return context.run.step(stage, Evaluation | str, ask, doing=doing)  # type: ignore[arg-type]


def _majority(problems: Sequence[Problem]) -> Interval:
    """How often the most frequent of the right answers is right."""
    asked = [(each, each.truth.answer) for each in problems if isinstance(each.truth, Theory)]
    ((most, _),) = Counter(answer for _, answer in asked).most_common(1) or [("", 0)]
    return share_of([answer == most for _, answer in asked], [each for each, _ in asked])


def _cell(value: Interval | float | None) -> str:
    if value is None:
        return ""
    if not isinstance(value, Interval):
        return f"{100 * value:.1f} %"
    low, high = 100 * value.low, 100 * value.high
    return f"{100 * value.rate:.1f} % ({low:.1f} to {high:.1f}) of {value.num}"

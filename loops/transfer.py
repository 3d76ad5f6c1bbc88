"""Transfer: what the models of a campaign make of tasks that nothing in it is trained on.

    transfer:
      folio: {task: {name: folio, file: train.jsonl}, file: validation.jsonl, num_problems: 64}

Each model that a round leaves to the next one answers the same problems once, greedily. A table of all models
so far stands with every round of the report. Nothing is decided by it.
"""

from collections import Counter
from collections.abc import Sequence

from engine.gate.exams import exam_of
from engine.measure.elsewhere import problems_of
from engine.measure.evaluate import Unjudged
from engine.measure.stats import interval
from engine.models.identity import Model
from engine.records import Evaluation, Figure, Interval, Panel, Problem, RoundRecord, Theory
from engine.sample.protocol import Sampling
from engine.tasks.suite import Suite
from loops.context import Context

TITLE = "Transfer: tasks that nothing was trained on"


def transfer_panels(context: Context, number: int, standing: str) -> tuple[Panel, ...]:
    """The table of all models so far; the last is `standing`, which round `number` leaves to the next.

    Each model is asked once a run. There is no table where the config names no transfer.
    """
    if not context.config.transfer:
        return ()
    records = [context.run.read(context.stage(each, "round"), RoundRecord) for each in range(number)]
    models = {"untrained base": Model.of(context.base).id, "start": context.start.id}
    models |= {
        _after(record.round): record.working_after or record.champion_after for record in records if record
    }
    models[_after(number)] = standing
    if models["start"] == models["untrained base"]:
        del models["start"]
    measured: list[tuple[str, str, dict[str, Figure] | str, Interval]] = []
    for name, settings in context.config.transfer.items():
        suite, problems = problems_of(settings, context.config.seed)
        for label, model in models.items():
            measured.append(
                (name, label, _figures(context, name, suite, problems, model), _majority(problems))
            )
    titles = {
        key: figure.title
        for *_, figures, _ in measured
        if not isinstance(figures, str)
        for key, figure in figures.items()
    }
    rows = [("task", "model", *titles.values(), "most frequent label")]
    for name, label, figures, majority in measured:
        if isinstance(figures, str):
            rows.append((name, label, figures, *[""] * len(titles)))
        else:
            shown = (figures[key].value if key in figures else None for key in titles)
            rows.append((name, label, *map(_cell, shown), _cell(majority)))
    note = "One greedy answer to each problem, without examples; with 95 % intervals."
    return (Panel(title=TITLE, kind="table", rows=tuple(rows), note=note),)


def _after(number: int) -> str:
    return "warm start" if number == 0 else f"after round {number}"


def _figures(
    context: Context, name: str, suite: Suite, problems: Sequence[Problem], model: str
) -> dict[str, Figure] | str:
    """The shares of one model on one task, by their keys, judged as at the gate; or why there are none."""
    exam, sampling = exam_of(suite.task), Sampling(max_new_tokens=context.config.sampler.max_new_tokens)

    def ask() -> Evaluation:
        given = exam.ask(context.judges, context.stored(model), problems, sampling)
        return exam.measure(suite.task, problems, given)

    try:
        evaluation = context.run.step(
            f"transfer/{name}/{model}",
            Evaluation,
            ask,
            doing=f"Transfer: model {model} answers {len(problems)} problems of {name}",
        )
    except Unjudged as error:
        return f"not judged: {error}"
    return {each.key: each for each in evaluation.figures if isinstance(each.value, Interval)}


def _majority(problems: Sequence[Problem]) -> Interval:
    """How often the most frequent of the right answers is right."""
    answers = Counter(each.truth.answer for each in problems if isinstance(each.truth, Theory))
    return interval(max(answers.values(), default=0), answers.total())


def _cell(value: Interval | float | None) -> str:
    if not isinstance(value, Interval):
        return ""
    low, high = 100 * value.low, 100 * value.high
    return f"{100 * value.rate:.1f} % ({low:.1f} to {high:.1f}) of {value.num}"

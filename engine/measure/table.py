"""The table of a reading of `ratchet eval`, with a column for each model, and what is said below it."""

from collections import Counter

from engine.measure.readings import Reading
from engine.records import Evaluation, Figure, Interval
from engine.terminal import counted, printable, show


def print_reading(reading: Reading, as_json: bool = False) -> None:
    """Print a table with a column for each model, or one line of JSON for programs."""
    if as_json:
        show(reading, as_json)
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for head in ("", *reading.evaluations):
        table.add_column(Text(printable(head)), overflow="fold")
    evaluations = list(reading.evaluations.values())
    table.add_row("model", *(evaluation.model_id for evaluation in evaluations))
    for key, title in {figure.key: figure.title for each in evaluations for figure in each.figures}.items():
        table.add_row(Text(printable(title)), *(_cell(evaluation, key) for evaluation in evaluations))
    table.add_row("undecided", *(str(evaluation.num_undecided) for evaluation in evaluations))
    counts = [Counter(reading.faults.get(name)) for name in reading.evaluations]
    for fault, _ in sum(counts, Counter()).most_common():
        table.add_row(Text(printable(f"fault: {fault}")), *(str(each[fault]) for each in counts))
    for name in dict.fromkeys(score.slice for each in evaluations for score in each.slices):
        title = f"{evaluations[0].head.title}, {name}"
        table.add_row(Text(printable(title)), *(_slice_cell(evaluation, name) for evaluation in evaluations))
    Console().print(table)
    print(printable(_source(reading)))
    for name, num in reading.used.items():
        used = f"{num} of them {'was' if num == 1 else 'were'} used, to train or to judge"
        print(printable(f"{used}, in the campaigns that led to {name}"))
    for line in reading.lines:
        print(printable(f"what was asked counts as read on line {line}, whose later gates do without it"))
    for name in reading.system_in_turn:
        print(printable(f"{name} takes no system message: its text was in the first user's turn"))
    for name, file in reading.answers.items():
        print(printable(f"the answers of {name} are in {file}"))


def _cell(evaluation: Evaluation, key: str) -> str:
    return next((_shown(figure) for figure in evaluation.figures if figure.key == key), "")


def _slice_cell(evaluation: Evaluation, name: str) -> str:
    """The headline on one slice."""
    shares = [score.shares for score in evaluation.slices if score.slice == name]
    return _percent(shares[0][evaluation.headline]) if shares else ""


def _shown(figure: Figure) -> str:
    """A figure's value as its unit asks for."""
    if isinstance(figure.value, Interval):
        return _percent(figure.value)
    if figure.unit == "share":
        return f"{100 * figure.value:.1f} %"
    return f"{figure.value:.0f}" if figure.unit == "tokens" else f"{figure.value:.3g}"


def _source(reading: Reading) -> str:
    """Where the problems come from; for a file, how often it was read before and with how many models."""
    if reading.part:
        records = counted(len(reading.problems), "record")
        part = f"the {reading.part} part, which campaigns use"
        return f"{records} of {part}; --seed {reading.seed} asks the same again"
    if not reading.data:
        fresh = counted(len(reading.problems), "fresh problem")
        return f"{fresh}; --seed {reading.seed} asks the same again"
    times = {0: "never", 1: "once"}.get(reading.num_earlier, f"{reading.num_earlier} times")
    earlier = f" ({counted(reading.num_earlier_models, 'model')} measured)" if reading.num_earlier else ""
    now = f"{counted(len(reading.evaluations), 'model')} measured now"
    records = counted(len(reading.problems), "record")
    return f"{records} of {reading.data}, read {times} before{earlier}; {now}"


def _percent(share: Interval) -> str:
    low, high = 100 * share.low, 100 * share.high
    return f"{100 * share.rate:.1f} % ({low:.1f} to {high:.1f}) of {share.num}"

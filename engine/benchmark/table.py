"""What `ratchet benchmark` prints for people: the figures of all models, and how the models compare."""

from engine.benchmark.results import Measured, Value, metrics_of
from engine.benchmark.run import Benchmark
from engine.terminal import counted, duration, printable, show

_ARROWS = {True: " ↑", False: " ↓", None: ""}


def print_benchmark(found: Benchmark, as_json: bool = False) -> None:
    """Print a table with a column for each model, or one line of JSON for programs."""
    if as_json:
        show(found, as_json)
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for head in ("task", "metric", "filter", *(each.name for each in found.models)):
        table.add_column(Text(printable(head)), overflow="fold")
    table.add_row("model", "", "", *(Text(printable(each.model_id)) for each in found.models))
    last = ""
    for task, metric, filter in metrics_of(found.models):
        cells = [_value(each, task, metric, filter) for each in found.models]
        way = next((cell.higher for cell in cells if cell), None)
        names = ("" if task == last else task, f"{metric}{_ARROWS[way]}", "" if filter == "none" else filter)
        last = task
        table.add_row(*(Text(printable(name)) for name in names), *(_shown(cell) for cell in cells))
    Console().print(table)
    for line in lines_of(found):
        print(printable(line))


def lines_of(found: Benchmark) -> list[str]:
    """What stands below the table."""
    lines = [_effort(each) for each in found.models]
    if found.comparisons:
        num = counted(len(found.comparisons), "comparison")
        lines += ["", f"{num}, chance that any verdict is wrong {found.alpha:g}:"]
        several = len(found.models) > 2
        for each in found.comparisons:
            pair = f", {each.new} against {each.old}" if several else ""
            lines.append(f"{each.task}{pair}: {each.sentence}")
    return [*lines, f"files in {found.out}"]


def _effort(measured: Measured) -> str:
    """How much one model was asked, and what was not asked as it stands."""
    text = f"{measured.name}: {counted(measured.num_asked, 'prompt')}, {duration(measured.seconds)}"
    if measured.num_kept:
        text += f"; {measured.num_kept:,} were answered before, and not asked again"
    if measured.num_cut:
        text += f"; {measured.num_cut:,} were too long and lost their beginning (--max-model-len)"
    return text


def _value(measured: Measured, task: str, metric: str, filter: str) -> Value | None:
    key = task, metric, filter
    return next((each for each in measured.values if (each.task, each.metric, each.filter) == key), None)


def _shown(value: Value | None) -> str:
    if value is None or value.value is None:
        return ""
    error = "" if value.error is None else f" ± {value.error:.2g}"
    return f"{value.value:.4g}{error}"

"""What `ratchet eval` does: models side by side on the same problems, greedy, judged as at the gate.

    ratchet eval embedded prontoqa/smollm2-135m --task prontoqa --data dev-100.json --skip 10

A reading of a file is kept in ``readings/`` from before its first answer: records that are read again and
again are tuned on, meant or not, so the number of earlier readings stands beside the figures.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from configs.schema import Config, Task
from engine.evaluate import answer, measure, open_benches
from engine.plan import Plan
from engine.records import Evaluation, Interval, Problem, from_json, to_json
from engine.sampler import Sampling
from engine.store import make_dirs, replace_file
from engine.tasks import DataError, Suite, load_task
from engine.terminal import printable


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Some problems and what each model made of them."""

    at: str
    """When it began, UTC."""
    data: str
    """The file; empty for fresh problems, whose readings are not kept."""
    problems: tuple[str, ...]
    """Ids, in order."""
    num_earlier: int
    """Kept readings of any of these problems before this one."""
    evaluations: dict[str, Evaluation]
    """By the model's name as it was asked for; none as long as the reading is not ended."""


def settings_for(task: str, model: Path) -> Config:
    """What one model is asked with: the defaults of a config."""
    return Config(name="eval", line="eval/eval", base=str(model), warm_start=None, task=Task(name=task))


def problems_for(task: str, data: Path | None, *, skip: int, num: int) -> list[Problem]:
    """`num` fresh problems, or as many records of a file after the first `skip`.

    Raises engine.tasks.DataError for an unknown task, a broken file, and a file without that many records.
    """
    if data is None:
        if skip:
            raise DataError(f"--skip is for --data: without a file problems are fresh, got --skip {skip}")
        return Suite(task).draw(num, split="eval", seed=0)
    records: list[Problem] = load_task(task).read(data)
    if skip >= len(records):
        raise DataError(f"{data} has {len(records)} records: --skip must be less, got {skip}")
    return records[skip : skip + num]


def evaluate_models(
    home: Path,
    settings: Mapping[str, Config],
    plans: Mapping[str, Plan],
    problems: Sequence[Problem],
    data: Path | None,
) -> Reading:
    """Each model of `settings` (by name, with its plan) on the same problems; a reading of `data` is kept.

    Raises engine.evaluate.Unjudged, engine.sampler.SamplerError.
    """
    asked = tuple(problem.id for problem in problems)
    reading = Reading(
        at=datetime.now(UTC).isoformat(timespec="microseconds"),
        data=str(data.resolve()) if data else "",
        problems=asked,
        num_earlier=sum(not set(asked).isdisjoint(past.problems) for past in earlier_readings(home)),
        evaluations={},
    )
    if data:
        _keep(home, reading)
    evaluations = {}
    for name, config in settings.items():
        suite, model = Suite(config.task.name, config.task.slices), Path(str(config.base))
        with open_benches(config, plans[name], suite, model) as benches:
            sampling = Sampling(max_new_tokens=config.sampler.max_new_tokens)
            evaluations[name] = measure(problems, answer(benches.gate, model, problems, sampling))
    reading = replace(reading, evaluations=evaluations)
    if data:
        _keep(home, reading)
    return reading


def earlier_readings(home: Path) -> list[Reading]:
    """Those of files, the oldest first, also such as were broken off."""
    return [from_json(Reading, path.read_bytes()) for path in sorted((home / "readings").glob("*.json"))]


def _keep(home: Path, reading: Reading) -> None:
    make_dirs(home / "readings")
    replace_file(home / "readings" / f"{reading.at}.json", to_json(reading).encode())


def print_reading(reading: Reading) -> None:
    """A column a model, for people."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for head in ("", *reading.evaluations):
        table.add_column(Text(printable(head)), overflow="fold")
    rows = {
        "model": lambda e: e.model_id,
        "accuracy": lambda e: _percent(e.accuracy),
        "strict": lambda e: _percent(e.strict),
        "valid steps": lambda e: f"{100 * e.step_validity:.1f} %",
        "undecided": lambda e: str(e.num_undecided),
        "tokens, mean": lambda e: f"{e.mean_tokens:.0f}",
    }
    for head, cell in rows.items():
        table.add_row(head, *(cell(evaluation) for evaluation in reading.evaluations.values()))
    for name in dict.fromkeys(s.slice for e in reading.evaluations.values() for s in e.slices):
        found = (next(s for s in e.slices if s.slice == name) for e in reading.evaluations.values())
        table.add_row(Text(f"strict, {printable(name)}"), *(_percent(each.strict) for each in found))
    Console().print(table)
    if reading.data:
        times = {0: "never", 1: "once"}.get(reading.num_earlier, f"{reading.num_earlier} times")
        print(printable(f"{len(reading.problems)} records of {reading.data}, read {times} before"))


def _percent(share: Interval) -> str:
    low, high = 100 * share.low, 100 * share.high
    return f"{100 * share.rate:.1f} % ({low:.1f} to {high:.1f}) of {share.num}"

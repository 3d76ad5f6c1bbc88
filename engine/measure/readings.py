"""Readings of `ratchet eval`: models side by side on the same problems, greedy, judged as at the gate.

    ratchet eval embedded LINE --task TASK --data problems.json --skip 10

Records that are read again and again are tuned on, intended or not. So a reading of a file is kept in
``readings/`` from before its first answer, and the number of earlier readings, with that of the models they
measured, stands beside the figures. Fresh problems differ each time; ``--seed`` asks earlier ones again.
"""

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from pydantic import ValidationError

from configs.asking import Asking
from configs.tasks import AnyTask
from engine.disk.files import make_dirs, replace_file
from engine.earlier import reading_of_earlier
from engine.measure.bench import Bench, open_benches
from engine.measure.outcomes import faults_in, write_rows
from engine.models.identity import Model
from engine.models.reference import References
from engine.models.templates import takes_system_message
from engine.plan.plan import Plan
from engine.records import (
    Answer,
    Evaluation,
    Likelihood,
    Problem,
    fault_in,
    from_json,
    to_json,
)
from engine.registry.spent import keep_spent
from engine.registry.used import lines_of, num_used
from engine.sample.protocol import Sampling
from engine.tasks import load_task, read_file
from engine.tasks.fixed import READ, Fixed, part_of
from engine.tasks.suite import DataError, Task
from engine.terminal import counted

NUM_PROBLEMS = 100
"""Problems that are asked by default; fewer where a file, or a part of it, has fewer records left."""
_SPLIT = "eval"


class Examiner(Protocol):
    """How one model is asked a task's problems, and what is measured of its answers."""

    def ask(
        self,
        bench: Bench,
        model: Model,
        problems: Sequence[Problem],
        sampling: Sampling,
        shots: Sequence[Problem] = (),
    ) -> Sequence[Answer | Likelihood]:
        """What the model makes of each problem, in order."""

    def measure(
        self, task: Task, problems: Sequence[Problem], given: Sequence[Answer | Likelihood], k: int = 1
    ) -> Evaluation:
        """The figures of what `ask` returned, with `k` samples a problem."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The problems of a reading, and where they come from."""

    problems: tuple[Problem, ...]
    data: str = ""
    """The file; empty for fresh problems."""
    seed: int | None = None
    """The seed of fresh problems; None for those of a file."""
    part: str = ""
    """The part of a task's own records that they are drawn from; empty for others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What was measured of several models on the same problems."""

    at: str
    """Time when it began, UTC."""
    data: str
    """The file; empty for fresh problems, whose readings are not kept."""
    seed: int | None = None
    """The seed that draws the same fresh problems again; None for those of a file."""
    part: str = ""
    """The part of a task's own records that the problems are drawn from: they are not fresh."""
    problems: tuple[str, ...]
    """Ids, in order."""
    num_earlier: int
    """Other kept readings of any of these problems when it began."""
    num_earlier_models: int = 0
    """Models that those measured; an interrupted reading measured none."""
    shots: int = 0
    """Solved problems shown before each one asked."""
    system: str | None = None
    """System message where it was not the task's own."""
    lines: tuple[str, ...] = ()
    """Lines of the models whose gate and sealed parts do without these records from now on."""
    used: dict[str, int] = field(default_factory=dict)
    """How many of the problems the campaigns that led to a model used, by its name; left out where none."""
    evaluations: dict[str, Evaluation]
    """By the model's name as it was asked for; empty until the reading has ended."""
    faults: dict[str, dict[str, int]] = field(default_factory=dict)
    """How many answers did not pass, by the model's name and the kind of fault."""
    answers: dict[str, str] = field(default_factory=dict)
    """The file that has every answer of a model, by its name, where one was asked for."""
    system_in_turn: tuple[str, ...] = ()
    """Models whose chat template takes no system message, so that its text was in the first user's turn."""


def problems_for(
    home: Path,
    task: AnyTask,
    data: Path | None,
    *,
    skip: int = 0,
    num: int | None = None,
    seed: int | None = None,
) -> Asked:
    """`num` problems by a seed, a new one where none is given, or records of a file after the first `skip`.

    Raises engine.tasks.DataError for an unknown task, a broken file, a file without that many records, and
    kept readings that cannot be counted.
    """
    # Also for a file: the suite says who judges, and what it lacks is missing before anything is started.
    suite = load_task(task.name).open(task)
    if data is None:
        if skip:
            raise DataError(f"--skip is for --data: without a file problems are drawn, got --skip {skip}")
        seed = secrets.randbits(32) if seed is None else seed
        part = part_of(_SPLIT) if isinstance(suite, Fixed) else ""
        most = suite.sizes[part] if isinstance(suite, Fixed) else NUM_PROBLEMS
        drawn = suite.draw(min(NUM_PROBLEMS, most) if num is None else num, split=_SPLIT, seed=seed)
        return Asked(problems=tuple(drawn), seed=seed, part=part)
    if seed is not None:
        raise DataError(f"--seed is for fresh problems: a file is read in its order, got --seed {seed}")
    records = read_file(task, data)
    if skip >= len(records):
        raise DataError(f"{data} has {counted(len(records), 'record')}: --skip must be less, got {skip}")
    left = records[skip:]
    if num is not None and num > len(left):
        after = f" after the first {skip}" if skip else ""
        raise DataError(
            f"{data} has {counted(len(left), 'record')}{after}: -n must be at most that, got {num}"
        )
    # Read here already, so that nothing is started for a reading that could not be counted.
    kept_readings(home)
    return Asked(problems=tuple(left[: NUM_PROBLEMS if num is None else num]), data=str(data.resolve()))


def evaluate_models(
    home: Path,
    asking: Asking,
    models: Mapping[str, Path],
    plans: Mapping[str, Plan],
    asked: Asked,
    examiner: Examiner,
    files: Mapping[str, Path] | None = None,
) -> Reading:
    """Measure each of `models` (by name, with its plan) on the same problems; a reading of a file is kept.

    `examiner` is the exam of the task (`engine.gate.exams`). What a model answered is written to the one of
    `files` that has its name, as soon as it has answered. Raises engine.measure.evaluate.Unjudged,
    engine.sample.protocol.SamplerError and DataError.
    """
    suite = load_task(asking.task.name).open(asking.task)
    shots = suite.draw(
        asking.shots, split="shots", seed=0, exclude={problem.id for problem in asked.problems}
    )
    named = {name: Model.of(path) for name, path in models.items()}
    reading = _begin(home, asked, asking, named, is_finite=isinstance(suite, Fixed))
    sampling = Sampling(max_new_tokens=asking.sampler.max_new_tokens)
    evaluations, faults, answers = {}, {}, {}
    for name, model in named.items():
        with open_benches(
            asking.sampler,
            asking.verify,
            asking.system,
            plans[name],
            suite,
            model.path,
            References(home),
        ) as benches:
            given = examiner.ask(benches.gate, model, asked.problems, sampling, shots)
            if files:
                write_rows(files[name], name, asked.problems, given)
                answers[name] = str(files[name])
            evaluations[name] = examiner.measure(suite.task, asked.problems, given)
            faults[name] = faults_in(given)
    system = suite.task.system if asking.system is None else asking.system
    in_turn = [name for name, model in named.items() if system and not takes_system_message(model.path)]
    reading = replace(
        reading,
        evaluations=evaluations,
        faults=faults,
        answers=answers,
        system_in_turn=tuple(in_turn),
    )
    if reading.data:
        _keep(home, reading)
    return reading


def _begin(
    home: Path, asked: Asked, asking: Asking, models: Mapping[str, Model], *, is_finite: bool
) -> Reading:
    """The reading without its figures; one of a file is kept, and earlier ones of its records are counted.

    Records of a finite task are kept with the lines of the models, which are judged on none of them later.
    """
    reading = Reading(
        at=datetime.now(UTC).isoformat(timespec="microseconds"),
        data=asked.data,
        seed=asked.seed,
        part=asked.part,
        problems=tuple(problem.id for problem in asked.problems),
        num_earlier=0,
        shots=asking.shots,
        system=asking.system,
        evaluations={},
    )
    own = set(reading.problems)
    if reading.data or reading.part:
        used = {name: num for name, model in models.items() if (num := num_used(home, model.id, own))}
        reading = replace(reading, used=used, lines=_keep_read(home, reading, models) if is_finite else ())
    if not reading.data:
        return reading
    # It is kept before the others are counted: of two that begin at once, neither then misses the other.
    _keep(home, reading)
    others = [
        past for past in kept_readings(home) if past.at != reading.at and not own.isdisjoint(past.problems)
    ]
    num_models = sum(len(past.evaluations) for past in others)
    reading = replace(reading, num_earlier=len(others), num_earlier_models=num_models)
    _keep(home, reading)
    return reading


def _keep_read(home: Path, reading: Reading, models: Mapping[str, Model]) -> tuple[str, ...]:
    """The lines of some models, with which the problems of a reading are kept before any is asked."""
    lines = sorted({line for model in models.values() for line in lines_of(home, model.id)})
    for line in lines:
        keep_spent(home, line, run_id=f"eval {reading.at}", part=READ, problems=reading.problems)
    return tuple(lines)


def kept_readings(home: Path) -> list[Reading]:
    """All readings of files, also interrupted ones, the oldest first. Raises DataError for a damaged one."""
    return [_kept(path) for path in sorted((home / "readings").glob("*.json"))]


def _kept(path: Path) -> Reading:
    content = path.read_bytes()
    try:
        return from_json(Reading, content)
    except ValidationError as error:
        fault = fault_in(error)
    try:
        return from_json(Reading, json.dumps(reading_of_earlier(json.loads(content))))
    except (ValueError, KeyError, TypeError, AttributeError):
        # The content is not a reading of an earlier version either.
        raise DataError(
            f"{path} is not a kept reading: {fault}; restore it, or remove it and it no longer counts"
        ) from None


def _keep(home: Path, reading: Reading) -> None:
    make_dirs(home / "readings")
    replace_file(home / "readings" / f"{reading.at}.json", to_json(reading).encode())

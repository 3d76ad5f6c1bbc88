"""One benchmark: each model is opened, asked what is new to it, and measured; then the models are compared.

Where a model runs is decided by those who open it: as a sampler on Ray, or behind an API.
"""

import contextlib
import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.schema import Sampler as SamplerSettings
from engine.benchmark.comparison import Compared
from engine.benchmark.package import BenchmarkError
from engine.benchmark.results import Measured, values_of, write_results
from engine.benchmark.tasks import Chosen, seed_shots
from engine.models.identity import Model, read_json
from engine.models.suitable import CONFIG, context_of, require_room

if TYPE_CHECKING:
    from engine.benchmark.sampled import Sampled
    from engine.benchmark.served import Api, Card
    from engine.plan.plan import Plan

USUAL_LENGTH = 2048
"""Tokens of a prompt and its answer where nobody says otherwise, as in the harness."""
_RESAMPLES = 1000
"""Of a standard error that has no formula."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """What was asked of some models, and what came of it."""

    out: str
    """The directory with a folder for each model."""
    models: tuple[Measured, ...]
    comparisons: tuple[Compared, ...]
    """Every later model against the first."""
    alpha: float
    """Chance that any verdict is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A model that can be asked."""

    name: str
    model: Model
    """Its id, and the directory of its tokenizer."""
    about: Mapping[str, Any]
    """What besides a prompt decides an answer."""
    sampled: "Sampled"


@contextlib.contextmanager
def on_ray(name: str, model: Model, settings: SamplerSettings, plan: "Plan", seed: int) -> Iterator[Subject]:
    """A model as samplers on Ray, which must be connected; they end with the context."""
    from engine.benchmark.sampled import Sampled
    from engine.sample.group import SamplerGroup

    samplers = plan.samplers
    with SamplerGroup(
        settings,
        model.path,
        threads=samplers.threads,
        gpus=samplers.gpus,
        share_gpu=plan.take_turns,
    ) as group:
        about = {"model": model.id, "dtype": settings.dtype, "max_model_len": settings.max_model_len}
        sampled = Sampled(group, model, settings.max_model_len, seed)
        yield Subject(name=name, model=model, about={**about, "seed": seed}, sampled=sampled)


@contextlib.contextmanager
def behind(
    name: str, api: "Api", card: "Card", tokenizer: Path, max_length: int, seed: int
) -> Iterator[Subject]:
    """A model behind an API, whose tokens are made here by the tokenizer of a model's directory."""
    from engine.benchmark.sampled import Sampled
    from engine.benchmark.served import Served

    model = Model(id=card.id, path=tokenizer)
    with Served(api, card) as sampler:
        about = {"model": card.id, "url": api.url, "max_model_len": max_length, "seed": seed}
        sampled = Sampled(sampler, model, max_length, seed)
        yield Subject(name=name, model=model, about=about, sampled=sampled)


def measure(
    subject: Subject,
    chosen: Chosen,
    tasks: Mapping[str, Any],
    *,
    home: Path,
    folder: Path,
    again: bool = False,
) -> Measured:
    """Ask a model what of a benchmark it has not answered yet, and write its files into a new `folder`.

    Answers are kept under `home`, as they come. Raises BenchmarkError, NotAnswered, and
    engine.sample.protocol.SamplerError.
    """
    from lm_eval.evaluator import evaluate

    from engine.benchmark.remembered import Remembered

    began = time.monotonic()
    model = Remembered(subject.sampled, answers_of(home, subject.model.id), subject.about, again=again)
    seed_shots(tasks["tasks"], chosen.seed)
    # It prints what it resamples, and standard output is for the result.
    with contextlib.redirect_stdout(sys.stderr):
        found = evaluate(
            lm=model,
            task_dict=dict(tasks),
            limit=chosen.num,
            bootstrap_iters=_RESAMPLES,
            log_samples=True,
            system_instruction=chosen.system or None,
            apply_chat_template=chosen.chat,
            fewshot_as_multiturn=chosen.chat,
        )
    about = {
        "model": subject.name,
        **subject.about,
        "chat": chosen.chat,
        "system": chosen.system,
        "limit": chosen.num,
    }
    samples = write_results(folder, f"{datetime.now(UTC):%Y-%m-%dT%H-%M-%S.%f}", found, about)
    return Measured(
        name=subject.name,
        model_id=subject.model.id,
        values=values_of(found),
        num_documents={task: counts["effective"] for task, counts in found["n-samples"].items()},
        samples=samples,
        num_asked=model.num_asked,
        num_kept=model.num_kept,
        num_cut=subject.sampled.num_cut,
        seconds=time.monotonic() - began,
    )


def answers_of(home: Path, model_id: str) -> Path:
    """The file of all that a model has answered."""
    return home / "benchmarks" / "answers" / _as_name(model_id) / "answers.jsonl"


def folders_for(out: Path, names: Sequence[str]) -> dict[str, Path]:
    """A folder for each model's files. Raises BenchmarkError where one is there, or would have two."""
    folders: dict[str, Path] = {}
    for name in names:
        folder = out / _as_name(name)
        if folder in folders.values():
            raise BenchmarkError(f"two models would be written to {folder}: name each once, and differently")
        if folder.exists():
            raise BenchmarkError(
                f"--out never overwrites, but {folder} exists: name another directory, or remove it"
            )
        folders[name] = folder
    return folders


def _as_name(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.") or "model"


def length_for(model: Path, asked: int | None) -> int:
    """The most tokens of a prompt and its answer: as asked, by default the usual or all that a model has.

    Raises engine.models.identity.ModelError for more than the model has.
    """
    if asked is not None:
        require_room(model, asked, "--max-model-len")
        return asked
    context = context_of(read_json(model / CONFIG))
    return min(USUAL_LENGTH, context[1]) if context else USUAL_LENGTH

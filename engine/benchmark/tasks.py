"""What a benchmark asks: tasks of lm-evaluation-harness, YAML files of tasks, and plain documents.

    chosen = Chosen(tasks=("sums_mc",), include=(Path("tasks"),), texts=(Path("notes.txt"),))
    tasks = open_tasks(chosen)["tasks"]

Tasks are the harness's own objects. Whatever can be wrong with them is found here, before a model is started.
"""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.benchmark.package import BenchmarkError
from engine.records import Passage
from engine.tasks.text import read

if TYPE_CHECKING:
    from lm_eval.tasks import TaskManager

_PERPLEXITIES = {
    "word_perplexity": "weighted_perplexity",
    "byte_perplexity": "weighted_perplexity",
    "bits_per_byte": "bits_per_byte",
}
"""What is measured of plain documents, each with how the harness aggregates it."""
_MOST_SAID = 300
"""Characters shown of an error that another program's code raised."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What models are asked, and in which words."""

    tasks: tuple[str, ...] = ()
    """Names of tasks, groups and tags."""
    include: tuple[Path, ...] = ()
    """Directories with YAML files of tasks; a name in them hides the harness's own."""
    texts: tuple[Path, ...] = ()
    """Files of plain documents, each a task that measures perplexity."""
    shots: int | None = None
    """Solved examples before each question; None: as each task says. A task that says 0 keeps it."""
    num: int | None = None
    """Documents of each task, from its first on; None: all."""
    chat: bool = False
    """Whether questions are put as chats, by the model's template, shots as earlier turns."""
    system: str = ""
    seed: int = 1234
    """Draws the shots; the default is the harness's own."""


def open_tasks(chosen: Chosen) -> dict[str, Any]:
    """The tasks with their data, and their groups, as `lm_eval.evaluator.evaluate` takes them.

    Raises BenchmarkError for what is not there, cannot be loaded or must not be run, and
    engine.tasks.suite.DataError for a broken file of documents.
    """
    if not chosen.tasks and not chosen.texts:
        raise BenchmarkError("name what is asked: --tasks NAME, or --perplexity FILE")
    if missing := [folder for folder in chosen.include if not folder.is_dir()]:
        raise BenchmarkError(f"--include-path {missing[0]} must be a directory with YAML files of tasks")
    specs: dict[str, Any] = {str(path): _of_documents(path) for path in chosen.texts}
    manager = _manager(chosen)
    for name in chosen.tasks:
        _require_known(name, manager)
        specs[name] = name
    found: dict[str, Any] = {"tasks": {}, "groups": {}, "group_map": {}}
    for name, spec in specs.items():
        loaded = _loaded(manager, name, spec)
        if twice := sorted(found["tasks"].keys() & loaded["tasks"].keys()):
            raise BenchmarkError(f"task {twice[0]} is asked twice, the second time by {name}")
        for kind, parts in found.items():
            parts.update(loaded.get(kind, {}))
    for name, task in found["tasks"].items():
        _require_harmless(name, task)
        _set_shots(task, chosen.shots)
    return found


def seed_shots(tasks: Mapping[str, Any], seed: int) -> None:
    """Let every model be shown the same solved examples: what one model was asked used up the generator."""
    for task in tasks.values():
        task.set_fewshot_seed(seed=seed)


def _manager(chosen: Chosen) -> "TaskManager":
    """The index of all tasks; without the harness's own, whose index takes long, where none is asked."""
    from lm_eval.tasks import TaskManager

    folders = [str(folder) for folder in chosen.include]
    own = TaskManager(include_path=folders, include_defaults=False)
    if set(chosen.tasks) <= set(own.all_subtasks):
        return own
    return TaskManager(include_path=folders)


def _require_known(name: str, manager: "TaskManager") -> None:
    if name in manager.all_tasks:
        return
    near = difflib.get_close_matches(name, manager.all_tasks, n=1)
    hint = f" (did you mean '{near[0]}'?)" if near else ""
    raise BenchmarkError(
        f"lm-evaluation-harness has no task '{name}'{hint}: `lm_eval ls tasks` lists what it has, and "
        "--include-path DIR adds the tasks of YAML files that it can read"
    )


def _loaded(manager: "TaskManager", name: str, spec: Any) -> dict[str, Any]:
    try:
        loaded: dict[str, Any] = manager.load([spec])
    except Exception as error:  # noqa: BLE001 - loading runs a task's code, and what reads its data
        said = " ".join(str(error).split()) or type(error).__name__
        raise BenchmarkError(
            f"task {name} cannot be loaded: {said:.{_MOST_SAID}}; a task whose data cannot be fetched here "
            "may have local files: `dataset_path: json` with `data_files`, in a directory of --include-path"
        ) from None
    return loaded


def _require_harmless(name: str, task: Any) -> None:
    if getattr(task, "UNSAFE_CODE", False):
        raise BenchmarkError(
            f"task {name} runs as code what a model writes, with all rights of this user: it is not run here"
        )
    if getattr(task, "MULTIMODAL", False):
        raise BenchmarkError(f"task {name} shows pictures or plays sounds, but models are asked in text only")


def _set_shots(task: Any, shots: int | None) -> None:
    own = task.get_config("num_fewshot")
    if shots is not None and own != 0:
        task.set_config(key="num_fewshot", value=shots)
    elif own is None:
        task.set_config(key="num_fewshot", value=0)


def _of_documents(path: Path) -> dict[str, Any]:
    """A task that measures the perplexity of a file's documents, in passages as the task `text` cuts them."""
    rows = [
        {"id": problem.id, "text": problem.truth.text}
        for problem in read(path)
        if isinstance(problem.truth, Passage)
    ]

    def documents(**_: Any) -> dict[str, Any]:
        from datasets import Dataset

        return {"test": Dataset.from_list(rows)}

    return {
        "task": f"text_{re.sub(r'[^A-Za-z0-9-]+', '-', path.stem)}",
        "custom_dataset": documents,
        "test_split": "test",
        "output_type": "loglikelihood_rolling",
        "doc_to_text": "",
        "doc_to_target": "text",
        "metric_list": [
            {"metric": metric, "aggregation": aggregation, "higher_is_better": False}
            for metric, aggregation in _PERPLEXITIES.items()
        ],
    }

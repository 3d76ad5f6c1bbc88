"""The tasks of a benchmark: those of the harness by name, a user's own files, and plain documents."""

import json
from pathlib import Path
from typing import Any

import pytest

from engine.benchmark.package import BenchmarkError, require_harness
from engine.benchmark.tasks import Chosen, open_tasks, seed_shots
from engine.tasks.suite import DataError
from tests.support.benchmarks import TASKS

pytest.importorskip("lm_eval")
require_harness()

OWN = Path("tasks")


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """The data of a task is found from the working directory."""
    monkeypatch.chdir(TASKS)


def own(*names: str, **more: Any) -> Chosen:
    return Chosen(tasks=names, include=(OWN,), **more)


def yaml(folder: Path, name: str, **more: Any) -> Path:
    """A task of three documents in a folder of its own."""
    data = folder / "data.jsonl"
    data.write_text("".join(json.dumps({"q": f"{i}?", "a": str(i)}) + "\n" for i in range(3)))
    settings = {
        "task": name,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(data)}},
        "test_split": "test",
        "doc_to_text": "{{q}}",
        "doc_to_target": "{{a}}",
        "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
        **more,
    }
    # JSON is YAML.
    (folder / f"{name}.yaml").write_text(json.dumps(settings))
    return folder


def test_own_tasks_and_groups() -> None:
    found = open_tasks(own("sums_gen", "sums_ppl"))
    assert list(found["tasks"]) == ["sums_gen", "sums_ppl"] and not found["groups"]
    assert found["tasks"]["sums_gen"].get_config("num_fewshot") == 0
    shown = open_tasks(own("sums_gen", shots=2))["tasks"]["sums_gen"]
    assert shown.get_config("num_fewshot") == 2


def test_a_task_that_says_0_shots_keeps_it(tmp_path: Path) -> None:
    folder = yaml(tmp_path, "bare", num_fewshot=0)
    (task,) = open_tasks(Chosen(tasks=("bare",), include=(folder,), shots=3))["tasks"].values()
    assert task.get_config("num_fewshot") == 0


def test_every_model_is_shown_the_same_shots() -> None:
    found = open_tasks(own("sums_gen", shots=2))
    task = found["tasks"]["sums_gen"]

    def prompts() -> list[str]:
        seed_shots(found["tasks"], 5)
        task.build_all_requests(limit=4)
        return [instance.args[0] for instance in task.instances]

    first = prompts()
    assert prompts() == first and first[0].count("\n\n") == 2


def test_a_file_of_documents_is_a_task_that_measures_perplexity(tmp_path: Path) -> None:
    file = tmp_path / "my notes.jsonl"
    texts = [f"Number {i} of some notes that are written down here." for i in range(3)]
    file.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    (name,) = (found := open_tasks(Chosen(texts=(file,))))["tasks"]
    task = found["tasks"][name]
    task.build_all_requests()
    assert name == "text_my-notes" and [each.args[0] for each in task.instances] == texts
    assert list(task.process_results(task.eval_docs[0], [-12.0])) == [
        "word_perplexity",
        "byte_perplexity",
        "bits_per_byte",
    ]
    with pytest.raises(DataError):
        open_tasks(Chosen(texts=(tmp_path / "missing.txt",)))


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        (Chosen(), "name what is asked: --tasks NAME, or --perplexity FILE"),
        (Chosen(tasks=("a",), include=(Path("nowhere"),)), "--include-path nowhere must be a directory"),
    ],
)
def test_an_order_without_tasks(chosen: Chosen, message: str) -> None:
    with pytest.raises(BenchmarkError, match=message):
        open_tasks(chosen)


def test_what_cannot_be_asked_is_one_sentence(tmp_path: Path) -> None:
    folder = yaml(tmp_path, "broken", doc_to_text="{{missing}}")
    with pytest.raises(BenchmarkError, match="task broken cannot be loaded: .*missing"):
        open_tasks(Chosen(tasks=("broken",), include=(folder,)))
    yaml(tmp_path, "code", unsafe_code=True)
    with pytest.raises(BenchmarkError, match="task code runs as code what a model writes"):
        open_tasks(Chosen(tasks=("code",), include=(folder,)))
    yaml(tmp_path, "nowhere", dataset_kwargs={"data_files": {"test": str(tmp_path / "none.jsonl")}})
    with pytest.raises(BenchmarkError, match="task nowhere cannot be loaded: .* --include-path"):
        open_tasks(Chosen(tasks=("nowhere",), include=(folder,)))


@pytest.mark.slow  # the index of the harness's own tasks takes some seconds
def test_a_group_and_a_name_that_is_not_there() -> None:
    found = open_tasks(own("sums"))
    assert list(found["tasks"]) == ["sums_mc", "sums_gen"] and list(found["groups"]) == ["sums"]
    with pytest.raises(BenchmarkError, match=r"has no task 'arc_eazy' \(did you mean 'arc_easy'\?\)"):
        open_tasks(own("arc_eazy"))
    with pytest.raises(BenchmarkError, match="task sums_mc is asked twice, the second time by sums"):
        open_tasks(own("sums_mc", "sums"))

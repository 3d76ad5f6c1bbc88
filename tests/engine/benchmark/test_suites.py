"""A benchmark as a sentinel suite: what is written is what the gate reads, and asks as the harness does."""

import json
from pathlib import Path
from typing import Any

import pytest

from engine.benchmark.package import BenchmarkError, require_harness
from engine.benchmark.suites import write_suite
from engine.benchmark.tasks import Chosen, open_tasks
from engine.gate.sentinels import Prose, suite_of_name
from engine.gate.sentinels.choices import Choices
from tests.support.benchmarks import TASKS

pytest.importorskip("lm_eval")
require_harness()


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(TASKS)


def written(tmp_path: Path, *names: str, **more: Any) -> Path:
    chosen = Chosen(tasks=names, include=(Path("tasks"),), **more)
    write_suite(open_tasks(chosen)["tasks"], chosen, tmp_path / "suite.jsonl")
    return tmp_path / "suite.jsonl"


def test_tasks_of_options_become_questions(tmp_path: Path) -> None:
    suite = suite_of_name(str(written(tmp_path, "sums_mc", shots=1)))
    assert isinstance(suite, Choices) and suite.size == 40
    documents = [json.loads(line) for line in (TASKS / "tasks" / "mc.jsonl").read_text().splitlines()]
    for question, document in zip(suite.questions, documents, strict=True):
        assert question.gold == (document["gold"],)
        assert [option for _, option in question.options] == [f" {each}" for each in document["choices"]]
        (before,) = {before for before, _ in question.options}
        assert before.endswith(document["question"]) and before.count("What is") == 2, "a shot before it"


def test_tasks_of_plain_text_become_documents(tmp_path: Path) -> None:
    suite = suite_of_name(str(written(tmp_path, "sums_ppl", num=9)))
    assert isinstance(suite, Prose) and suite.size == 9 and suite.texts[0] == "What is 19 + 3?"


def test_what_no_suite_can_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"task sums_gen \(generate_until\) cannot be a suite"):
        written(tmp_path, "sums_gen")
    with pytest.raises(BenchmarkError, match="holds questions or documents, but the tasks are of both kinds"):
        written(tmp_path, "sums_mc", "sums_ppl")
    assert list(tmp_path.iterdir()) == []
    written(tmp_path, "sums_mc")
    with pytest.raises(BenchmarkError, match="--suite never overwrites, but .*suite.jsonl exists"):
        written(tmp_path, "sums_mc")


def test_a_document_that_is_too_long_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "data.jsonl").write_text(json.dumps({"text": "word " * 500}) + "\n")
    settings = {
        "task": "long",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(folder / "data.jsonl")}},
        "test_split": "test",
        "output_type": "loglikelihood_rolling",
        "doc_to_text": "",
        "doc_to_target": "{{text}}",
        "metric_list": [
            {"metric": "word_perplexity", "aggregation": "weighted_perplexity", "higher_is_better": False}
        ],
    }
    (folder / "long.yaml").write_text(json.dumps(settings))
    chosen = Chosen(tasks=("long",), include=(folder,))
    with pytest.raises(BenchmarkError, match="long-0 of task long fits no suite: text: .*2000"):
        write_suite(open_tasks(chosen)["tasks"], chosen, tmp_path / "suite.jsonl")

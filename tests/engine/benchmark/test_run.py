"""A benchmark from its tasks to its files: the harness asks a scripted sampler, and what it finds is right.

Ray and vLLM are in `test_same_as_transformers.py`.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from engine.benchmark.comparison import compare_all
from engine.benchmark.package import BenchmarkError, require_harness
from engine.benchmark.results import Measured
from engine.benchmark.tasks import Chosen, open_tasks
from engine.gate.compare import Answer
from engine.gate.outcome_files import Choice, read
from engine.models.identity import Model, ModelError
from tests.support.benchmarks import TASKS, Characters, Scripted

pytest.importorskip("lm_eval")

from engine.benchmark import sampled
from engine.benchmark.run import Subject, answers_of, folders_for, length_for, measure

require_harness()

CHOSEN = Chosen(tasks=("sums_mc", "sums_gen", "sums_ppl"), include=(Path("tasks"),))


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(TASKS)
    monkeypatch.setattr(sampled, "tokenizer_of", lambda path: Characters())


def documents(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (TASKS / "tasks" / f"{name}.jsonl").read_text().splitlines()]


def knows(share: float, model_id: str) -> Scripted:
    """A model that knows the first part of the sums, and answers the others by the first option."""
    options, questions = documents("mc"), documents("gen")
    num, num_answers = round(share * len(options)), round(share * len(questions))
    known = {each["question"]: f" {each['choices'][each['gold']]}" for each in options[:num]}
    answers = {each["question"]: each["answer"] for each in questions[:num_answers]}
    first = {each["question"]: f" {each['choices'][0]}" for each in options}

    def nats(before: str, text: str) -> float:
        return 0.5 if text == known.get(before, first.get(before)) else float(len(text))

    return Scripted(nats, lambda prompt, sample: answers.get(prompt, "?") + "\nAnd so on", model_id)


def measured(tmp_path: Path, name: str, sampler: Scripted, chosen: Chosen = CHOSEN, **more: Any) -> Measured:
    model = Model(id=sampler.model_id, path=TASKS)
    about = {"model": model.id, "dtype": "float32"}
    subject = Subject(
        name=name, model=model, about=about, sampled=sampled.Sampled(sampler, model, 400, seed=1)
    )
    folder = tmp_path / "out" / name
    return measure(subject, chosen, open_tasks(chosen), home=tmp_path / "home", folder=folder, **more)


def figure(found: Measured, task: str, metric: str) -> float | None:
    return next(each.value for each in found.values if (each.task, each.metric) == (task, metric))


def test_figures_and_files_are_those_of_the_harness(tmp_path: Path) -> None:
    found = measured(tmp_path, "half", knows(0.5, "m0"))
    options = documents("mc")
    right = [place < len(options) // 2 or each["gold"] == 0 for place, each in enumerate(options)]
    assert figure(found, "sums_mc", "acc") == pytest.approx(sum(right) / len(right))
    assert figure(found, "sums_gen", "exact_match") == 0.5
    assert found.num_documents == {"sums_mc": 40, "sums_gen": 12, "sums_ppl": 12}
    assert (found.num_kept, found.num_cut) == (0, 0) and found.num_asked > 100
    folder = tmp_path / "out" / "half"
    assert sorted({path.name.split("_2")[0] for path in folder.iterdir()}) == [
        "results",
        "samples_sums_gen",
        "samples_sums_mc",
        "samples_sums_ppl",
    ]
    outcomes = read(folder, Choice(tasks=("sums_mc",)))
    assert [item.value == 1.0 for item in outcomes.items.values()] == right
    assert outcomes.reported and outcomes.reported[0] == pytest.approx(sum(right) / len(right))
    # As the harness itself would have written them, but for what the model made of them.
    ours, theirs = (
        json.loads(next(path.glob("samples_sums_mc_*")).read_text().splitlines()[0])
        for path in (folder, TASKS / "one")
    )
    same = ("doc", "target", "arguments", "filter", "metrics", "doc_hash", "prompt_hash", "target_hash")
    assert {key: ours[key] for key in same} == {key: theirs[key] for key in same}
    assert ours.keys() == theirs.keys()


def test_a_second_benchmark_asks_only_what_is_new(tmp_path: Path) -> None:
    few = Chosen(tasks=("sums_mc",), include=CHOSEN.include, num=10)
    measured(tmp_path, "few", knows(0.5, "m0"), few)
    sampler = knows(0.5, "m0")
    found = measured(tmp_path, "all", sampler, Chosen(tasks=("sums_mc",), include=CHOSEN.include))
    assert found.num_kept == 30 and len(sampler.scored) == found.num_asked - 30
    again = knows(0.5, "m0")
    found = measured(tmp_path, "again", again, few, again=True)
    assert found.num_kept == 0 and len(again.scored) == 30
    assert answers_of(tmp_path / "home", "m0").exists()


def test_two_models_are_compared_document_by_document(tmp_path: Path) -> None:
    old, new = (measured(tmp_path, name, knows(share, name)) for name, share in (("old", 0.0), ("new", 1.0)))
    by_task = {each.task: each for each in compare_all([old, new], alpha=0.05)}
    options = documents("mc")
    won = sum(each["gold"] != 0 for each in options)
    comparison = by_task["sums_mc"].comparison
    assert comparison and (comparison.won, comparison.lost) == (won, 0)
    assert comparison.verdict is Answer.BETTER and comparison.level == pytest.approx(0.05 / 3 / 2)
    gen = by_task["sums_gen"].comparison
    assert gen and (gen.won, gen.num_items) == (12, 12) and gen.verdict is Answer.BETTER
    text = by_task["sums_ppl"].comparison
    assert text and text.won == text.lost == 0 and text.verdict is Answer.NOT_SHOWN
    assert [each.old for each in by_task.values()] == ["old"] * 3
    reversed_ = {each.task: each for each in compare_all([new, old], alpha=0.05)}
    assert reversed_["sums_mc"].sentence.startswith(f"worse: 0 won, {won} lost of 40 items")


def test_a_metric_of_all_documents_is_not_compared_and_the_others_are(tmp_path: Path) -> None:
    both = [measured(tmp_path, name, knows(0.5, name)) for name in ("old", "new")]
    by_task = {each.task: each for each in compare_all(both, alpha=0.05, metric="brier_score")}
    assert by_task["sums_mc"].comparison is None
    assert "not compared: " in by_task["sums_mc"].sentence and "brier_score" in by_task["sums_mc"].sentence
    assert compare_all(both[:1], alpha=0.05) == ()
    no_worse = {each.task: each for each in compare_all(both, alpha=0.05, margin=0.3)}
    assert no_worse["sums_mc"].sentence.startswith("no worse: 0 won, 0 lost of 40 items")


def test_chats_and_system_messages_reach_the_model(tmp_path: Path) -> None:
    sampler = Scripted()
    chosen = Chosen(
        tasks=("sums_gen",), include=CHOSEN.include, shots=1, num=1, chat=True, system="Be brief."
    )
    measured(tmp_path, "chat", sampler, chosen)
    (prompt, sampling), *_ = sampler.asked
    text = "".join(map(Characters().decode, prompt.given))
    assert text.startswith("<s>[system]Be brief.[user]What is") and text.count("[assistant]") == 2
    assert sampling.stop == ("\n",)


def test_where_files_go(tmp_path: Path) -> None:
    assert folders_for(tmp_path, ["a/b", "c"]) == {"a/b": tmp_path / "a-b", "c": tmp_path / "c"}
    with pytest.raises(BenchmarkError, match="two models would be written to .*a-b"):
        folders_for(tmp_path, ["a/b", "a-b"])
    (tmp_path / "c").mkdir()
    with pytest.raises(BenchmarkError, match="--out never overwrites, but .*c exists"):
        folders_for(tmp_path, ["c"])


def test_what_cannot_be_written_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("engine.benchmark.results.replace_file", full)
    with pytest.raises(OSError, match="No space left"):
        measured(tmp_path, "full", knows(0.5, "m0"))
    assert list((tmp_path / "out").iterdir()) == []
    # What was answered is kept all the same.
    monkeypatch.undo()
    monkeypatch.chdir(TASKS)
    monkeypatch.setattr(sampled, "tokenizer_of", lambda path: Characters())
    found = measured(tmp_path, "full", knows(0.5, "m0"))
    assert found.num_kept == found.num_asked


def test_the_length_is_bounded_by_the_model(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"max_position_embeddings": 1024}')
    assert length_for(tmp_path, None) == 1024 and length_for(tmp_path, 512) == 512
    with pytest.raises(ModelError, match="--max-model-len must be at most 1024, .*, got 4096"):
        length_for(tmp_path, 4096)
    scaled = {"max_position_embeddings": 1024, "rope_scaling": {"type": "linear", "factor": 4}}
    (tmp_path / "config.json").write_text(json.dumps(scaled))
    assert length_for(tmp_path, 4096) == 4096
    with pytest.raises(ModelError, match="at most 4096"):
        length_for(tmp_path, 4097)
    (tmp_path / "config.json").write_text("{}")
    assert (length_for(tmp_path, None), length_for(tmp_path, 4096)) == (2048, 4096)

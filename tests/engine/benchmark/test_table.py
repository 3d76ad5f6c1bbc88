"""What is printed of a benchmark: figures side by side, and what was not asked as it stands."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from engine.benchmark.comparison import Compared
from engine.benchmark.results import Measured, Value, values_of, write_results
from engine.benchmark.run import Benchmark
from engine.benchmark.table import lines_of, print_benchmark

VALUE = Value(task="sums", metric="acc", filter="none", value=0.25, error=0.0693, higher=True)
OLD = Measured(
    name="old",
    model_id="0" * 16,
    values=(VALUE, replace(VALUE, metric="exact_match", filter="strict", value=None, error=None)),
    num_documents={"sums": 40},
    samples={"sums": "old.jsonl"},
    num_asked=1200,
    num_kept=1000,
    num_cut=0,
    seconds=30.0,
)
NEW = replace(OLD, name="new\x1b[2J", model_id="1" * 16, values=(), num_kept=0, num_cut=3)
FOUND = Benchmark(
    out="out",
    models=(OLD, NEW),
    comparisons=(Compared(task="sums", old="old", new="new", comparison=None, sentence="not shown: 1 won"),),
    alpha=0.05,
)


def test_people_see_a_table_and_what_it_rests_on(capsys: pytest.CaptureFixture[str]) -> None:
    print_benchmark(FOUND)
    shown = capsys.readouterr().out
    assert "acc ↑" in shown and "0.25 ± 0.069" in shown and "strict" in shown
    assert "\x1b" not in shown and r"new\x1b[2J" in shown, "what a name holds is shown, not done"
    assert "old: 1,200 prompts, 30 s; 1,000 were answered before, and not asked again" in shown
    assert "3 were too long and lost their beginning (--max-model-len)" in shown
    assert "1 comparison, chance that any verdict is wrong 0.05" in shown
    assert "sums: not shown: 1 won" in shown


def test_of_three_models_the_pair_is_named() -> None:
    lines = lines_of(replace(FOUND, models=(OLD, NEW, NEW)))
    assert "sums, new against old: not shown: 1 won" in lines
    assert not any("comparison" in line for line in lines_of(replace(FOUND, models=(OLD,), comparisons=())))


def test_programs_get_everything(capsys: pytest.CaptureFixture[str]) -> None:
    print_benchmark(FOUND, as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert found["models"][0]["values"][0]["value"] == 0.25
    assert found["comparisons"][0]["sentence"] == "not shown: 1 won"


def test_figures_are_read_from_what_the_harness_returns() -> None:
    metrics = {
        "name": "sums",
        "sample_len": 40,
        "acc,none": 0.25,
        "acc_stderr,none": 0.0693,
        "f1,none": float("nan"),
        "f1_stderr,none": "N/A",
    }
    first, second = values_of({"results": {"sums": metrics}, "higher_is_better": {"sums": {"acc": True}}})
    assert first == VALUE
    assert (second.value, second.error, second.higher) == (None, None, None)


def test_a_task_whose_name_is_no_file_name(tmp_path: Path) -> None:
    pytest.importorskip("lm_eval")
    sample = {"arguments": [("q", {"until": []})], "resps": [["a"]], "filtered_resps": ["a"], "target": 3}
    found = {"results": {}, "samples": {"a/b": [sample]}}
    files = write_results(tmp_path / "m", "2026", found, {"model": "m"})
    (row,) = map(json.loads, Path(files["a/b"]).read_text().splitlines())
    assert row["target"] == "3" and row["arguments"] == {"gen_args_0": {"arg_0": "q", "arg_1": {"until": []}}}
    assert json.loads((tmp_path / "m" / "results_2026.json").read_text())["config"] == {"model": "m"}
    assert Path(files["a/b"]).name == "samples_a_b_2026.jsonl"

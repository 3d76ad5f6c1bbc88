"""Sample files of lm-evaluation-harness: two real runs of version 0.4.13 on its dummy model."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.gate.compare import compare
from engine.gate.compare_text import layout, rows
from engine.gate.outcome_files import Choice, read, read_pair
from engine.gate.outcomes import CompareError, Kind

RUNS = Path(__file__).parents[2] / "support" / "lm_eval"
ONE, TWO = RUNS / "one", RUNS / "two"


def samples(folder: Path, task: str) -> Path:
    return next(folder.glob(f"samples_{task}_*.jsonl"))


def choose(*tasks: str, metric: str = "", filter: str = "") -> Choice:
    return Choice(metric, filter, tasks)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def rewrite(path: Path, change: Any) -> None:
    """Change every row of a sample file in place; None leaves a row out."""
    changed = [change(row) for row in lines(path)]
    path.write_text("".join(json.dumps(row) + "\n" for row in changed if row is not None))


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    shutil.copytree(RUNS, tmp_path / "out")
    return tmp_path / "out"


def test_a_task_by_its_file_and_by_its_directory() -> None:
    by_file = read_pair(samples(ONE, "sums_mc"), samples(TWO, "sums_mc"))
    by_task = read_pair(ONE, TWO, Choice(tasks=("sums_mc",)))
    for old, new in (by_file, by_task):
        got = compare(old, new)
        assert (got.measure, got.kind, got.num_items) == ("acc", Kind.PASS, 40)
        before, after = (
            {str(row["doc_id"]): row["acc"] for row in lines(samples(run, "sums_mc"))} for run in (ONE, TWO)
        )
        assert sorted(got.items_won) == sorted(name for name in before if after[name] > before[name])
        assert sorted(got.items_lost) == sorted(name for name in before if after[name] < before[name])
    assert by_file[0].digest() == by_task[0].digest()
    assert by_file[0].others == ("acc_norm",)


def test_the_figures_of_the_harness_itself_stand_beside_it() -> None:
    run = json.loads(next(ONE.glob("results_*.json")).read_text())["results"]["sums_mc"]
    old, new = read_pair(ONE, TWO, Choice(tasks=("sums_mc",)))
    assert old.reported == (run["acc,none"], run["acc_stderr,none"])
    assert compare(old, new).old == pytest.approx(run["acc,none"])
    shown = "\n".join(layout(rows(compare(old, new))))
    assert "lm-evaluation-harness reports them: 0.25 ± 0.069 and 0.25 ± 0.069" in shown


def test_a_metric_and_a_filter_are_chosen_by_name() -> None:
    by_norm = read(ONE, Choice("acc_norm", tasks=("sums_mc",)))
    assert [item.value for item in by_norm.items.values()] == [
        row["acc_norm"] for row in lines(samples(ONE, "sums_mc"))
    ]
    first = read(ONE, Choice(tasks=("sums_gen",)))
    assert (len(first.items), first.others) == (12, ("flexible-extract",))
    assert read(ONE, Choice(filter="flexible-extract", tasks=("sums_gen",))).others == ("strict-match",)


def test_several_tasks_are_one_comparison_with_a_line_for_each() -> None:
    got = compare(*read_pair(ONE, TWO, Choice(tasks=("sums_mc", "sums_gen"))))
    assert got.num_items == 52 and got.measure == "acc, exact_match"
    assert [(each.name, each.num_items) for each in got.slices] == [("sums_gen", 12), ("sums_mc", 40)]
    assert all(name.startswith("sums_mc/") for name in got.items_won)


def test_a_group_is_its_tasks(runs: Path) -> None:
    assert len(read(ONE, choose("sums")).items) == 52
    assert len(read(ONE, choose("sums", "sums_gen")).items) == 52
    results = next((runs / "one").glob("results_*.json"))
    content = json.loads(results.read_text())
    content["group_subtasks"] = {"all": ["sums", "all"], "sums": ["sums_mc", "sums_gen"]}
    results.write_text(json.dumps(content))
    assert len(read(runs / "one", choose("sums")).items) == 52
    with pytest.raises(CompareError, match="has no samples of all; there are"):
        read(runs / "one", choose("all"))


def test_log_likelihoods_of_documents() -> None:
    got = compare(*read_pair(ONE, TWO, Choice(tasks=("sums_ppl",))))
    assert (got.measure, got.kind, got.unit) == ("word_perplexity", Kind.LIKELIHOOD, "word")
    nats = [sum(row["word_perplexity"][0] for row in lines(samples(run, "sums_ppl"))) for run in (ONE, TWO)]
    words = sum(row["word_perplexity"][1] for row in lines(samples(ONE, "sums_ppl")))
    assert got.gain == pytest.approx((nats[1] - nats[0]) / words)
    assert read(ONE, Choice("bits_per_byte", tasks=("sums_ppl",))).unit == "byte"


def test_lower_is_better_where_the_results_file_says_so(runs: Path) -> None:
    for run in ("one", "two"):
        rewrite(
            samples(runs / run, "sums_gen"),
            lambda row: row | {"metrics": ["ter"], "ter": 3.5 + row["doc_id"]},
        )
        results = next((runs / run).glob("results_*.json"))
        content = json.loads(results.read_text())
        content["higher_is_better"]["sums_gen"] = {"ter": False}
        results.write_text(json.dumps(content))
    old, new = read_pair(runs / "one", runs / "two", Choice(tasks=("sums_gen",)))
    assert old.falls and old.items["2"].value == -5.5
    assert compare(old, new).old == 9.0
    next((runs / "two").glob("results_*.json")).unlink()
    with pytest.raises(CompareError, match="lower is better in .* alone"):
        read_pair(runs / "one", runs / "two", Choice(tasks=("sums_gen",)))


def test_rows_of_earlier_versions_list_no_metrics(runs: Path) -> None:
    def earlier(row: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in row.items() if key not in ("metrics", "filter")}

    rewrite(samples(runs / "one", "sums_mc"), earlier)
    assert (
        read(runs / "one", Choice(tasks=("sums_mc",))).digest()
        == read(ONE, Choice(tasks=("sums_mc",))).digest()
    )


def test_two_filters_are_never_mixed(runs: Path) -> None:
    path = samples(runs / "two", "sums_gen")
    sorted_rows = sorted(lines(path), key=lambda row: row["filter"])  # flexible-extract is now the first
    path.write_text("".join(json.dumps(row) + "\n" for row in sorted_rows))
    with pytest.raises(
        CompareError, match="is filtered by strict-match, .* by flexible-extract: choose with"
    ):
        read_pair(runs / "one", runs / "two", choose("sums_gen"))
    pairs = [
        read_pair(runs / "one", runs / "two", choose("sums_gen", filter=each))
        for each in ("strict-match", "flexible-extract")
    ]
    assert [("filter", "strict-match") in rows(compare(*pair)) for pair in pairs] == [True, False]
    assert pairs[0][0].digest() != replace(pairs[0][0], filter="flexible-extract").digest()
    several = read(runs / "one", choose("sums_mc", "sums_gen"))
    assert several.filter == "none of sums_mc, strict-match of sums_gen"


def test_another_document_under_one_number_is_refused(runs: Path) -> None:
    rewrite(
        samples(runs / "two", "sums_mc"), lambda row: row | ({"doc_hash": "x"} if row["doc_id"] == 3 else {})
    )
    with pytest.raises(CompareError, match="asked different questions under one id: 3"):
        read_pair(runs / "one", runs / "two", Choice(tasks=("sums_mc",)))


def renamed(runs: Path, run: str, task: str, name: str) -> Path:
    """A sample file of a run, by the name of another task or of none."""
    path = samples(runs / run, task)
    return path.rename(path.with_name(name if name.endswith(".jsonl") else path.name.replace(task, name)))


def test_samples_of_two_tasks_are_refused_by_their_names(runs: Path) -> None:
    mc, gen = samples(runs / "one", "sums_mc"), samples(runs / "two", "sums_gen")
    with pytest.raises(
        CompareError,
        match=r"of the task sums_mc, .* of sums_gen, whose documents differ .*: compare two models",
    ):
        read_pair(mc, gen)
    # Without hashes nobody can tell whether documents by one number are the same.
    hashes = ("doc_hash", "target_hash", "prompt_hash")
    for run in ("one", "two"):
        rewrite(samples(runs / run, "sums_mc"), lambda row: {k: v for k, v in row.items() if k not in hashes})
    other = renamed(runs, "two", "sums_mc", "sums_v2")
    with pytest.raises(CompareError, match="of the task sums_mc, .* of sums_v2, whose documents differ"):
        read_pair(mc, other)
    # A file by a name of one's own tells no task.
    mine = renamed(runs, "two", "sums_v2", "mine.jsonl")
    assert compare(*read_pair(mc, mine)).num_items == 40


def test_two_tasks_with_the_same_documents_are_compared_with_a_note(runs: Path) -> None:
    other = renamed(runs, "two", "sums_mc", "sums_v2")
    got = compare(*read_pair(samples(runs / "one", "sums_mc"), other))
    assert got.num_items == 40 and got.slices == ()
    assert "samples of two tasks, sums_mc and sums_v2, with the same documents" in got.notes


def test_another_prompt_is_a_note(runs: Path) -> None:
    rewrite(
        samples(runs / "two", "sums_mc"),
        lambda row: row | ({"prompt_hash": "x"} if row["doc_id"] < 5 else {}),
    )
    got = compare(*read_pair(runs / "one", runs / "two", Choice(tasks=("sums_mc",))))
    assert "the two models were asked 5 items in different words (prompt_hash)" in got.notes


@pytest.mark.parametrize(
    ("choice", "sentence"),
    [
        (choose(), "tasks that are measured differently; choose --metric or --task: sums_gen by exact_match"),
        (choose("sums_mc", "no"), "has no samples of no; there are sums_gen, sums_mc, sums_ppl"),
        (
            choose("sums_mc", metric="brier_score"),
            "brier_score has no value for a single document, only for all; ",
        ),
        (choose("sums_mc", metric="f1"), 'has no metric "f1"; there are acc, acc_norm, brier_score'),
        (choose("sums_gen", filter="x"), 'has no filter "x"; there are strict-match, flexible-extract'),
    ],
)
def test_choices_that_are_not_there(choice: Choice, sentence: str) -> None:
    with pytest.raises(CompareError, match=sentence):
        read(ONE, choice)


def test_directories_that_leave_open_what_is_meant(runs: Path) -> None:
    with pytest.raises(CompareError, match="holds several models, name the directory of one: one, two"):
        read(runs)
    (runs.parent / "nothing").mkdir()
    with pytest.raises(CompareError, match="holds no samples_.*--log_samples"):
        read(runs.parent / "nothing")
    path = samples(runs / "one", "sums_mc")
    shutil.copy(path, path.with_name("samples_sums_mc_2026-11-30T00-00-00.000000.jsonl"))
    with pytest.raises(
        CompareError, match="holds 2 runs of sums_mc, name the file of one: samples_sums_mc_2026"
    ):
        read(runs / "one", choose("sums_mc"))
    assert read(path).measure == "acc"
    shutil.rmtree(runs / "two")
    assert read(runs, choose("sums_gen")).measure == "exact_match"  # the one model's directory below it


def test_damaged_samples_are_named(runs: Path) -> None:
    path = samples(runs / "one", "sums_mc")
    whole = path.read_text()
    path.write_text(whole + whole.splitlines()[0] + "\n")
    with pytest.raises(CompareError, match='line 41: doc_id "0" is already taken by line 1'):
        read(path)
    path.write_text(whole + '{"id": 1, "pass": true}\n')
    with pytest.raises(CompareError, match="line 41: is no sample of lm-evaluation-harness"):
        read(path)
    rewrite(
        path, lambda row: {key: value for key, value in row.items() if key != "acc"} if "acc" in row else None
    )
    with pytest.raises(CompareError, match="line 1: has no `acc`"):
        read(path, choose(metric="acc"))
    next((runs / "one").glob("results_*.json")).write_text("{")
    with pytest.raises(CompareError, match="results_.* is not valid JSON"):
        read(samples(runs / "one", "sums_gen"))
    path.write_text("")
    with pytest.raises(CompareError, match="holds no"):
        read(path)


def test_a_file_of_another_task_than_the_one_chosen() -> None:
    with pytest.raises(CompareError, match="is of task sums_mc, got --task arc"):
        read(samples(ONE, "sums_mc"), choose("arc"))

"""The task `records`: files that contradict themselves, the problems made of them, and the way to it."""

from pathlib import Path
from typing import Any

import pytest

from configs.load import ConfigError, from_tree, load
from configs.tasks import RecordsTask
from engine.records import Reference
from engine.tasks import load_task, read_file
from engine.tasks.records import gather, problems_in
from engine.tasks.suite import DataError
from tests.support.cli import cli
from tests.support.records_files import settings_of, suite_of_rows, sums, write_rows

CONFIG = {"name": "mine", "line": "mine/tiny"}


def refusal(folder: Path, rows: list[dict[str, Any]], **keys: Any) -> str:
    with pytest.raises(DataError) as error:
        suite_of_rows(folder / "my.jsonl", rows, **keys)
    return str(error.value).replace(str(folder / "my.jsonl"), "FILE")


def test_a_record_is_a_problem_with_its_answers_and_its_scorer(tmp_path: Path) -> None:
    rows = [{"prompt": "a?", "answer": ["b", "c"], "slice": "easy", "id": "x7"}]
    (problem,) = problems_in(settings_of(write_rows(tmp_path / "my.jsonl", rows)))
    assert (problem.turns, problem.gold, problem.slice) == (("a?",), ("b",), "easy")
    assert isinstance(problem.truth, Reference) and problem.truth.accepted == ("b", "c")
    assert problem.truth.extra["settings"] == '{"name":"exact","find":"whole","case":false}'
    assert (problem.origin, problem.split) == ("my.jsonl#x7", "public")


def test_the_suite_is_judged_by_the_scorer_of_its_config(tmp_path: Path) -> None:
    suite = suite_of_rows(tmp_path / "my.jsonl", sums(20), scorer="contains")
    assert (suite.task.name, suite.task.verifiers, suite.task.system) == ("records", ("contains",), "")
    assert load_task("records").verifiers == ("exact",)
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "a?"}]
    spoken = suite_of_rows(tmp_path / "m.jsonl", [{"messages": messages, "answer": "b"}])
    assert spoken.task.system == "Be brief."


def test_a_repeated_record_counts_once_and_blanks_do_not_make_another(tmp_path: Path) -> None:
    rows = [{"prompt": "a  b?", "answer": ["1", "2"]}, {"prompt": " a b? ", "answer": ["2", "1"]}]
    gathered = gather(settings_of(write_rows(tmp_path / "my.jsonl", rows)))
    assert len(gathered.lines) == len(gathered.repeats) == 1
    assert not gathered.all_faults


def test_a_conflict_is_what_the_scorer_tells_apart(tmp_path: Path) -> None:
    rows = [{"prompt": "a?", "answer": "Paris"}, {"prompt": "a?", "answer": " paris. "}]
    file = write_rows(tmp_path / "my.jsonl", rows)
    assert len(gather(settings_of(file)).repeats) == 1 and not gather(settings_of(file)).all_faults
    (fault,) = gather(settings_of(file, scorer={"name": "exact", "case": True})).all_faults
    assert "with another answer: 'paris.' and 'Paris'" in str(fault)
    # Every accepted answer must be one of the other record's.
    more = write_rows(tmp_path / "more.jsonl", [rows[0], {"prompt": "a?", "answer": ["paris", "Lutetia"]}])
    assert len(gather(settings_of(more)).conflicts) == 1
    numbers = [{"prompt": "a?", "answer": 42}, {"prompt": "a?", "answer": "42.0"}]
    assert not gather(settings_of(write_rows(tmp_path / "n.jsonl", numbers), scorer="numeric")).conflicts


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (
            [{"prompt": "a", "answer": 1}, {"prompt": "a", "answer": 2}],
            "FILE, line 2: asks what FILE, line 1 asks, with another answer: '2' and '1'",
        ),
        (
            [{"prompt": "a", "answer": 1, "split": "train"}, {"prompt": "a", "answer": 1, "split": "gate"}],
            "FILE, line 2: asks what FILE, line 1 asks, in another split",
        ),
        (
            [{"prompt": "a", "answer": 1, "id": "x"}, {"prompt": "b", "answer": 1, "id": "x"}],
            "FILE, line 2: the id 'x' is that of FILE, line 1",
        ),
        (
            [
                {"prompt": "a", "answer": 1, "story": "s", "split": "gate"},
                {"prompt": "b", "answer": 1, "story": "s"},
            ],
            "FILE, line 2: its story 's' is in another split in FILE, line 1",
        ),
        (
            [{"prompt": "a"}, {"prompt": "b"}],
            "FILE, line 1: missing key 'answer'; it has prompt (and 1 more fault: "
            "`ratchet data check` lists them)",
        ),
        (
            [
                {"messages": [{"role": "user", "content": "a"}], "answer": 1},
                {
                    "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "b"}],
                    "answer": 1,
                },
            ],
            "FILE, line 2: has another system message than an earlier record: all must have one",
        ),
    ],
)
def test_a_file_that_contradicts_itself_is_refused(
    tmp_path: Path, rows: list[dict[str, Any]], sentence: str
) -> None:
    assert refusal(tmp_path, rows) == sentence


@pytest.mark.parametrize(
    ("scorer", "answer", "sentence"),
    [
        (
            {"name": "choice", "labels": ["A", "B"]},
            "C",
            "FILE, line 1: the answer 'C' is none of task.scorer.labels: A, B",
        ),
        ("json", "{", "FILE, line 1: the answer is not valid JSON: '{'"),
        (
            {"name": "json", "equal": False},
            {"a": 1},
            "task.scorer: equal=false needs a schema_file, or every JSON would pass",
        ),
        (
            {"name": "json", "schema_file": "no.json"},
            {"a": 1},
            "task.scorer.schema_file no.json cannot be read: No such file or directory",
        ),
        ("no.py:grade", "a", "task.scorer.function: scorer file no.py does not exist"),
    ],
)
def test_a_scorer_that_cannot_judge_the_file_is_refused(
    tmp_path: Path, scorer: Any, answer: Any, sentence: str
) -> None:
    assert refusal(tmp_path, [{"prompt": "a", "answer": answer}], scorer=scorer) == sentence


def test_a_schema_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "schema.json").write_text('{"type": "thing"}')
    scorer = {"name": "json", "schema_file": str(tmp_path / "schema.json")}
    sentence = refusal(tmp_path, [{"prompt": "a", "answer": {}}], scorer=scorer)
    assert "schema.json is no JSON schema: 'thing' is not valid" in sentence


def test_a_public_file_is_read_as_the_config_says(tmp_path: Path) -> None:
    file = write_rows(tmp_path / "public.jsonl", [{"q": "a?", "answer": "#### 4"}])
    mine = settings_of(tmp_path / "my.jsonl", prompt="q", gold={"after": "####"}, scorer="numeric")
    (problem,) = read_file(mine, file)
    assert isinstance(problem.truth, Reference) and problem.truth.accepted == ("4",)
    with pytest.raises(DataError, match="missing key 'prompt'"):
        load_task("records").read(file)


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({}, "key task.file is missing"),
        ({"file": "a", "scorer": "numerc"}, "task.scorer.name must be 'exact', 'numeric', "),
        (
            {"file": "a", "scorer": {"name": "numeric", "find": "boxd"}},
            "task.scorer.find must be 'last_number', 'whole' or 'boxed', got 'boxd'",
        ),
        (
            {"file": "a", "scorer": {"name": "numeric", "case": True}},
            "unknown key task.scorer.case with scorer numeric; case is a key of scorers exact and contains",
        ),
        ({"file": "a", "shares": {"train": 0.9}}, "task.shares: train, probe, gate and sealed must sum to 1"),
        ({"fil": "a"}, "unknown key task.fil; did you mean task.file?"),
        (
            {"scorer": {"name:numeric": None, "find:boxed": None}},
            "unknown key task.scorer.name:numeric: a blank must follow the colon, as in name: numeric",
        ),
        ({"file": []}, "task.file must be a valid string, got a list"),
    ],
)
def test_a_mistake_in_the_config_is_a_sentence(keys: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as error:
        from_tree(CONFIG | {"task": {"name": "records"} | keys}, "test")
    assert str(error.value).startswith(f"test: {sentence}")


def test_a_scorer_is_named_in_one_word_or_with_its_settings() -> None:
    for scorer, wanted in (
        ("numeric", {"name": "numeric", "find": "last_number"}),
        ("my.py:grade", {"name": "python", "find": "whole", "function": "my.py:grade"}),
        ({"python": "my.py:grade"}, {"name": "python", "find": "whole", "function": "my.py:grade"}),
    ):
        task = from_tree(
            CONFIG | {"task": {"name": "records", "file": "a.jsonl", "scorer": scorer}}, "test"
        ).task
        assert isinstance(task, RecordsTask)
        assert task.scorer.model_dump() == wanted


POINTED = (
    "my.jsonl holds records: a config names it, `task: {name: records, file: my.jsonl}`; "
    "configs/records.yaml is such a config, and `ratchet data check` looks through the file"
)


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "my.jsonl"),
        ("run", "configs/quickstart.yaml", "task.name=my.jsonl"),
        ("run", "configs/quickstart.yaml", "task=my.jsonl"),
        ("eval", "embedded", "--task", "my.jsonl"),
    ],
)
def test_a_file_of_records_in_the_wrong_place_shows_the_way(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    done = cli(tmp_path, *arguments)
    assert done.returncode == 2
    assert done.stderr.endswith(f"{POINTED}\n"), done.stderr
    assert not (tmp_path / "runs").exists()


def test_the_shipped_config_names_every_key_of_the_task() -> None:
    config = load(Path(__file__).parents[3] / "configs" / "records.yaml")
    assert isinstance(config.task, RecordsTask)
    text = (Path(__file__).parents[3] / "configs" / "records.yaml").read_text()
    assert all(f"\n  {key}:" in text for key in RecordsTask.model_fields)

"""`ratchet eval`: models side by side, and what is kept of reading a file."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import ratchet
from cluster import connect
from configs.asking import Asking
from configs.schema import Sampler
from configs.tasks import Task
from engine.gate.exams import EXAMS
from engine.measure import readings
from engine.measure.readings import (
    Asked,
    Reading,
    evaluate_models,
    kept_readings,
    print_reading,
    problems_for,
)
from engine.models.identity import model_id
from engine.plan import plan
from engine.records import Figure, Interval, to_json
from engine.tasks.suite import DataError
from tests.support.cli import cli
from tests.support.fixtures_report import evaluation
from tests.support.proof_helpers import theory
from tests.support.suites import suite
from tests.support.tiny_model import make_tiny_model

TASK = Task(name="prontoqa")


def begun(home: Path, asked: Asked, **asking: Any) -> Reading:
    """A reading of no model."""
    return evaluate_models(home, Asking(task=TASK, **asking), {}, {}, asked, EXAMS["verdicts"])


@pytest.fixture
def records(tmp_path: Path) -> Path:
    """Five problems in the form of the public records."""
    drawn = suite().draw(5, split="public", seed=3)
    path = tmp_path / "records.json"
    path.write_text(
        json.dumps(
            [
                {
                    "id": str(i),
                    "context": " ".join(theory(problem).premises),
                    "question": f"Is the following statement true or false? {theory(problem).question}",
                    "answer": "A" if theory(problem).answer == "True" else "B",
                }
                for i, problem in enumerate(drawn)
            ]
        )
    )
    return path


def reading_of(asked: Asked, at: str = "2026-01-01T00:00:00.000000+00:00") -> Reading:
    """An earlier reading, which was interrupted."""
    ids = tuple(problem.id for problem in asked.problems)
    return Reading(at=at, data=asked.data, problems=ids, num_earlier=0, evaluations={})


def keep(home: Path, reading: Reading) -> None:
    (home / "readings").mkdir(parents=True, exist_ok=True)
    (home / "readings" / f"{reading.at}.json").write_text(to_json(reading))


def test_records_after_the_first(tmp_path: Path, records: Path) -> None:
    whole = problems_for(tmp_path, TASK, records)
    assert len(whole.problems) == 5 and whole.data == str(records) and whole.seed is None
    part = problems_for(tmp_path, TASK, records, skip=1, num=3)
    assert part.problems == whole.problems[1:4]
    assert problems_for(tmp_path, TASK, records, skip=2).problems == whole.problems[2:]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"skip": 5}, "has 5 records: --skip must be less, got 5"),
        ({"num": 6}, "has 5 records: -n must be at most that, got 6"),
        ({"skip": 1, "num": 5}, "has 4 records after the first 1: -n must be at most that, got 5"),
        ({"seed": 3}, "--seed is for fresh problems: a file is read in its order, got --seed 3"),
    ],
)
def test_records_that_a_file_cannot_give(
    tmp_path: Path, records: Path, options: dict[str, int], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        problems_for(tmp_path, TASK, records, **options)


def test_fresh_problems_are_others_each_time_and_a_seed_repeats_them(tmp_path: Path, capsys) -> None:
    first, second = (problems_for(tmp_path, TASK, None, num=20) for _ in range(2))
    assert not {p.id for p in first.problems} & {p.id for p in second.problems}
    assert problems_for(tmp_path, TASK, None, num=20, seed=first.seed) == first
    reading = begun(tmp_path, first)
    assert reading.seed == first.seed and not (tmp_path / "readings").exists()
    print_reading(reading)
    assert f"20 fresh problems; --seed {first.seed} asks them again" in capsys.readouterr().out
    with pytest.raises(DataError, match="--skip is for --data"):
        problems_for(tmp_path, TASK, None, skip=1)


def test_the_command_draws_afresh_and_tells_the_seed(tmp_path: Path, monkeypatch, capsys) -> None:
    def without_models(
        home: Path, asking: Asking, models: Any, plans: Any, asked: Asked, exam: Any
    ) -> Reading:
        return evaluate_models(home, asking, {}, {}, asked, exam)

    def printed(*options: str) -> dict[str, Any]:
        monkeypatch.setattr(
            "sys.argv", ["ratchet", "eval", str(tmp_path), "--task", "prontoqa", "-n", "3", *options]
        )
        with pytest.raises(SystemExit):
            ratchet.main()
        return json.loads(capsys.readouterr().out)

    monkeypatch.setenv("RATCHET_HOME", str(tmp_path))
    monkeypatch.setattr(readings, "evaluate_models", without_models)
    monkeypatch.setattr(plan, "plan_sampling", lambda *_, **__: None)
    monkeypatch.setattr(connect, "connect", lambda plan: None)
    first, second = printed("--json"), printed("--json")
    assert first["seed"] != second["seed"] and first["problems"] != second["problems"]
    assert printed("--json", "--seed", str(first["seed"]))["problems"] == first["problems"]


def test_of_two_readings_at_once_neither_misses_the_other(
    tmp_path: Path, records: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = problems_for(tmp_path, TASK, records)
    kept = readings._keep

    def while_another_begins(home: Path, reading: Reading) -> None:
        keep(tmp_path, reading_of(asked))
        kept(home, reading)

    monkeypatch.setattr(readings, "_keep", while_another_begins)
    assert begun(tmp_path, asked).num_earlier == 1


def test_the_models_of_earlier_readings_are_counted(tmp_path: Path, records: Path, capsys) -> None:
    asked = problems_for(tmp_path, TASK, records)
    figures = evaluation("m", 0.5, 0.6, 5)
    keep(tmp_path, replace(reading_of(asked), evaluations={str(i): figures for i in range(10)}))
    keep(tmp_path, reading_of(asked, "2026-01-02T00:00:00.000000+00:00"))
    keep(tmp_path, replace(reading_of(asked, "2026-01-03T00:00:00.000000+00:00"), problems=("another",)))
    reading = begun(tmp_path, asked)
    assert (reading.num_earlier, reading.num_earlier_models) == (2, 10)
    print_reading(replace(reading, evaluations={"one": figures}))
    printed = " ".join(capsys.readouterr().out.split())
    assert "read 2 times before (10 models measured); 1 model measured now" in printed


def test_a_record_with_other_blanks_was_read_before(tmp_path: Path, records: Path) -> None:
    keep(tmp_path, reading_of(problems_for(tmp_path, TASK, records)))
    entries = json.loads(records.read_text())
    for entry in entries:
        entry["context"] = entry["context"].replace(" is ", "  is\n", 1) + " "
        entry["question"] = entry["question"].replace(" is ", "  is ")
    records.write_text(json.dumps(entries))
    assert begun(tmp_path, problems_for(tmp_path, TASK, records)).num_earlier == 1


@pytest.mark.parametrize(
    ("content", "message"), [("{", "top level: Invalid JSON"), ('{"at": "x"}', "data: Field required")]
)
def test_a_damaged_reading_is_one_sentence(tmp_path: Path, records: Path, content: str, message: str) -> None:
    (tmp_path / "readings").mkdir()
    (tmp_path / "readings" / "one.json").write_text(content)
    done = cli(tmp_path, "eval", "embedded", "--task", "prontoqa", "--data", str(records))
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert f"readings/one.json is not a kept reading: {message}" in done.stderr
    # Refused before anything was fetched or kept.
    assert [path.name for path in tmp_path.iterdir() if path != records] == ["readings"]
    assert [path.name for path in (tmp_path / "readings").iterdir()] == ["one.json"]


def test_two_models_side_by_side_and_the_reading_is_kept(
    tmp_path: Path, records: Path, tiny_model: Path
) -> None:
    home, other = tmp_path / "home", make_tiny_model(tmp_path / "other", seed=1)
    asked = problems_for(home, TASK, records, skip=1, num=2)
    broken_off = replace(reading_of(asked), problems=(asked.problems[1].id, "another"))
    keep(home, broken_off)

    options = ("--task", "prontoqa", "--data", str(records), "--skip", "1", "-n", "2")
    done = cli(home, "eval", str(tiny_model), str(other), *options)
    assert done.returncode == 0, done.stderr
    assert model_id(tiny_model) in done.stdout and model_id(other) in done.stdout
    assert "2 records of" in done.stdout and "read once before" in done.stdout
    assert "2 models measured now" in " ".join(done.stdout.split())

    earlier, reading = kept_readings(home)
    assert earlier == broken_off and reading.num_earlier == 1
    assert reading.problems == tuple(problem.id for problem in asked.problems)
    assert [e.model_id for e in reading.evaluations.values()] == [model_id(tiny_model), model_id(other)]
    for each in reading.evaluations.values():
        assert isinstance(each.head.value, Interval) and each.head.value.num == 2
    assert "right answer" in done.stdout and "tokens, mean" in done.stdout


EARLIER = {
    "at": "2026-01-01T00:00:00.000000+00:00",
    "data": "records.json",
    "problems": ["a", "b"],
    "num_earlier": 0,
    "evaluations": {
        "champion": {
            "model_id": "m0",
            "suite": "s",
            "accuracy": {"rate": 0.5, "low": 0.1, "high": 0.9, "num": 2},
            "strict": {"rate": 0.0, "low": 0.0, "high": 0.6, "num": 2},
            "step_validity": 0.25,
            "step_validity_with_answer": 0.5,
            "num_undecided": 0,
            "pass_at_k": None,
            "k": 1,
            "majority": None,
            "distinct_per_problem": 1.0,
            "mean_tokens": 12.0,
            "slices": [
                {
                    "slice": "all",
                    "strict": {"rate": 0.0, "low": 0.0, "high": 0.6, "num": 2},
                    "accuracy": {"rate": 0.5, "low": 0.1, "high": 0.9, "num": 2},
                }
            ],
        }
    },
}
"""A reading as commit 558b134 kept it."""


def test_a_reading_of_the_version_before_still_counts(tmp_path: Path, capsys) -> None:
    (tmp_path / "readings").mkdir()
    (tmp_path / "readings" / "one.json").write_text(json.dumps(EARLIER))
    (reading,) = kept_readings(tmp_path)
    figures = reading.evaluations["champion"]
    assert (figures.model_id, figures.head.number, figures.figure("tokens").value) == ("m0", 0.0, 12.0)
    assert reading.problems == ("a", "b") and figures.num_problems == 2
    print_reading(reading)
    assert "50.0 % (10.0 to 90.0) of 2" in capsys.readouterr().out


@pytest.mark.parametrize("spoil", [{"problems": 3}, {"evaluations": {"m": {"strict": 1}}}, {"extra": 1}])
def test_a_damaged_reading_of_the_version_before_is_one_sentence(tmp_path: Path, spoil: dict) -> None:
    (tmp_path / "readings").mkdir()
    (tmp_path / "readings" / "one.json").write_text(json.dumps(EARLIER | spoil))
    with pytest.raises(DataError, match="one.json is not a kept reading: .*; restore it"):
        kept_readings(tmp_path)


def test_the_table_shows_the_figures_that_it_is_given(capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    share = Interval(rate=0.5, low=0.25, high=0.75, num=8)
    figures = (
        Figure(key="kept", title="facts kept", value=share),
        Figure(key="perplexity", title="perplexity", value=12.345, unit=""),
        Figure(key="tokens", title="tokens, mean", value=61.7, unit="tokens"),
    )
    plain = evaluation("m", 0.5, 0.6, 5)
    one = replace(
        plain, figures=figures, headline="kept", slices=(replace(plain.slices[0], shares={"kept": share}),)
    )
    other = replace(one, model_id="n", figures=figures[:1], slices=())
    reading = Reading(
        at="", data="", seed=1, problems=("p",), num_earlier=0, evaluations={"a": one, "b": other}
    )
    print_reading(reading)
    rows = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "facts kept 50.0 % (25.0 to 75.0) of 8 50.0 % (25.0 to 75.0) of 8" in rows
    assert "perplexity 12.3" in rows and "tokens, mean 62" in rows
    assert f"facts kept, {one.slices[0].slice} 50.0 % (25.0 to 75.0) of 8" in rows


def test_how_models_were_asked_is_kept(tmp_path: Path, records: Path) -> None:
    asked = problems_for(tmp_path, TASK, records)
    begun(tmp_path, asked, shots=2, system="Think.")
    (reading,) = kept_readings(tmp_path)
    assert (reading.shots, reading.system) == (2, "Think.")
    slices = {"hops": [1], "irrelevant": [0], "distractors": [0]}
    fresh = problems_for(tmp_path, Task(name="prontoqa", slices=slices), None, num=5, seed=1)
    assert len({problem.slice for problem in fresh.problems} & set(suite("prontoqa", slices).slices)) > 0
    assert all(problem.slice.startswith("hops=1 ") for problem in fresh.problems)


def test_solved_problems_are_shown_and_none_of_them_is_asked(
    tmp_path: Path, records: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[Any] = []

    class Examiner:
        def ask(self, bench: Any, model: Any, problems: Any, sampling: Any, shots: Any = ()) -> list[Any]:
            shown.append((bench, [problem.id for problem in shots], sampling.max_new_tokens))
            return []

        def measure(self, task: Any, problems: Any, given: Any, k: int = 1) -> Any:
            return evaluation(task.name, 0.5, 0.6, 5)

    @contextmanager
    def opened(sampler: Any, verify: Any, system: Any, plan: Any, suite: Any, model: Any) -> Iterator[Any]:
        yield SimpleNamespace(gate=(sampler, verify, system, plan, model))

    monkeypatch.setattr(readings, "open_benches", opened)
    model = make_tiny_model(tmp_path / "model")
    asking = Asking(task=TASK, shots=2, system="Think.", sampler=Sampler(max_new_tokens=7))
    asked = problems_for(tmp_path, TASK, records)
    reading = evaluate_models(tmp_path, asking, {"m": model}, {"m": "plan"}, asked, Examiner())
    ((bench, shots, length),) = shown
    assert bench == (asking.sampler, asking.verify, "Think.", "plan", model) and length == 7
    assert len(set(shots)) == 2 and not set(shots) & set(reading.problems)
    assert reading.evaluations["m"].model_id == "prontoqa"


def test_a_reading_of_the_earlier_version_is_read_and_counts(tmp_path: Path) -> None:
    """Its evaluation is one that commit 558b134 wrote."""
    old = json.loads((Path(__file__).parents[3] / "tests/golden/campaign.json").read_text())["baseline.json"]
    asked = problems_for(tmp_path, TASK, None, num=3, seed=1)
    ids = [problem.id for problem in asked.problems]
    at = "2026-01-02T03:04:05.000006+00:00"
    reading = {"at": at, "data": "/data/dev.json", "seed": None, "problems": ids, "num_earlier": 2}
    reading |= {"num_earlier_models": 3, "evaluations": {"embedded": old["few_shot"]}}
    (tmp_path / "readings").mkdir()
    (tmp_path / "readings" / f"{at}.json").write_text(json.dumps(reading))
    (kept,) = kept_readings(tmp_path)
    assert kept.problems == tuple(ids) and (kept.num_earlier, kept.num_earlier_models) == (2, 3)
    evaluation = kept.evaluations["embedded"]
    assert evaluation.head.key == "strict" and evaluation.head.value == Interval(**old["few_shot"]["strict"])
    assert evaluation.figure("accuracy").value == Interval(**old["few_shot"]["accuracy"])
    assert evaluation.figure("tokens").number == old["few_shot"]["mean_tokens"]
    assert [each.slice for each in evaluation.slices] == [each["slice"] for each in old["few_shot"]["slices"]]

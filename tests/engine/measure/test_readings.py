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
from engine.measure import asking, readings
from engine.measure.asking import asking_of
from engine.measure.outcomes import files_for
from engine.measure.readings import (
    Asked,
    Reading,
    evaluate_models,
    kept_readings,
    problems_for,
)
from engine.measure.table import print_reading
from engine.models.identity import Model, model_id
from engine.records import Attempt, Figure, Finish, Interval, to_json
from engine.registry.registry import Registry
from engine.registry.spent import spent_by
from engine.registry.touched import keep_touched
from engine.sample import group
from engine.tasks.suite import DataError
from tests.support import records_files
from tests.support.cli import cli, cli_anew
from tests.support.fixtures_report import evaluation
from tests.support.proof_helpers import theory
from tests.support.registry import LINE, manifest
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
    assert f"20 fresh problems; --seed {first.seed} asks the same again" in capsys.readouterr().out
    with pytest.raises(DataError, match="--skip is for --data"):
        problems_for(tmp_path, TASK, None, skip=1)


def test_a_file_of_records_gives_its_probe_part_and_no_fresh_problems(tmp_path: Path, capsys) -> None:
    file = records_files.write_rows(tmp_path / "my.jsonl", records_files.sums(300))
    task = records_files.settings_of(file)
    size = records_files.suite_of_rows(file, records_files.sums(300)).sizes["probe"]
    asked = problems_for(tmp_path, task, None, seed=4)
    assert len(asked.problems) == size < 100 and asked.part == "probe"
    reading = evaluate_models(tmp_path, Asking(task=task), {}, {}, asked, EXAMS["verdicts"])
    print_reading(reading)
    said = " ".join(capsys.readouterr().out.split())
    assert f"{size} records of the probe part, which campaigns use; --seed 4 asks the same again" in said
    with pytest.raises(DataError, match="needs 301 records of the probe part"):
        problems_for(tmp_path, task, None, num=301)


def test_a_config_whose_records_are_missing_is_refused_before_anything_is_started(tmp_path: Path) -> None:
    other = records_files.write_rows(tmp_path / "other.jsonl", records_files.sums(5))
    with pytest.raises(DataError, match="none.jsonl: cannot be read"):
        problems_for(tmp_path, records_files.settings_of(tmp_path / "none.jsonl"), other)


def test_one_of_anything_is_in_the_singular(tmp_path: Path, records: Path, capsys) -> None:
    reading = begun(tmp_path, problems_for(tmp_path, TASK, records, num=1))
    print_reading(replace(reading, used={"m": 1}))
    said = " ".join(capsys.readouterr().out.split())
    assert "1 record of " in said and "1 of them was used, to train or to judge," in said
    print_reading(begun(tmp_path, problems_for(tmp_path, TASK, None, num=1, seed=3)))
    assert "1 fresh problem; --seed 3 asks the same again" in capsys.readouterr().out


def test_the_command_draws_afresh_and_tells_the_seed(tmp_path: Path, monkeypatch, capsys) -> None:
    def without_models(
        home: Path, asking: Asking, models: Any, plans: Any, asked: Asked, exam: Any, files: Any
    ) -> Reading:
        return evaluate_models(home, asking, {}, {}, asked, exam, files)

    def printed(*options: str) -> dict[str, Any]:
        monkeypatch.setattr(
            "sys.argv", ["ratchet", "eval", str(tmp_path), "--task", "prontoqa", "-n", "3", *options]
        )
        with pytest.raises(SystemExit):
            ratchet.main()
        return json.loads(capsys.readouterr().out)

    monkeypatch.setenv("RATCHET_HOME", str(tmp_path))
    monkeypatch.setattr(readings, "evaluate_models", without_models)
    monkeypatch.setattr(asking, "plan_sampling", lambda *_, **__: None)
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


@pytest.mark.engine
def test_two_models_side_by_side_and_the_reading_is_kept(
    tmp_path: Path, records: Path, tiny_model: Path
) -> None:
    home, other = tmp_path / "home", make_tiny_model(tmp_path / "other", seed=1)
    asked = problems_for(home, TASK, records, skip=1, num=2)
    broken_off = replace(reading_of(asked), problems=(asked.problems[1].id, "another"))
    keep(home, broken_off)

    options = ("--task", "prontoqa", "--data", str(records), "--skip", "1", "-n", "2")
    done = cli_anew(home, "eval", str(tiny_model), str(other), *options)
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
    tmp_path: Path, tiny_model: Path, records: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[Any] = []

    class Examiner:
        def ask(self, bench: Any, model: Any, problems: Any, sampling: Any, shots: Any = ()) -> list[Any]:
            shown.append((bench, [problem.id for problem in shots], sampling.max_new_tokens))
            return []

        def measure(self, task: Any, problems: Any, given: Any, k: int = 1) -> Any:
            return evaluation(task.name, 0.5, 0.6, 5)

    @contextmanager
    def opened(
        sampler: Any, verify: Any, system: Any, plan: Any, suite: Any, model: Any, references: Any
    ) -> Iterator[Any]:
        yield SimpleNamespace(gate=(sampler, verify, system, plan, model))

    monkeypatch.setattr(readings, "open_benches", opened)
    asking = Asking(task=TASK, shots=2, system="Think.", sampler=Sampler(max_new_tokens=7))
    asked = problems_for(tmp_path, TASK, records)
    reading = evaluate_models(tmp_path, asking, {"m": tiny_model}, {"m": "plan"}, asked, Examiner())
    ((bench, shots, length),) = shown
    assert bench == (asking.sampler, asking.verify, "Think.", "plan", tiny_model) and length == 7
    assert len(set(shots)) == 2 and not set(shots) & set(reading.problems)
    assert reading.evaluations["m"].model_id == "prontoqa"


PLAN: Any = SimpleNamespace(samplers=SimpleNamespace(threads=1, gpus=0), take_turns=False)
OWN_TASK = """
from engine.records import Fault
from engine.tasks import problem_of
from engine.verify.verdicts import verdict_on

NAME = "sums"
SYSTEM = "Answer with the sum and nothing else."
VERIFIERS = (f"{__file__}:verify",)
FAULTS = {"no_number": "The reply is not a number."}
DIMENSIONS = {"digits": (2, 3, 4)}
DEFAULT_SLICES = {"digits": [2, 3]}


def make(settings, rng, **where):
    a, b = (rng.randrange(10 ** settings["digits"]) for _ in range(2))
    return problem_of(NAME, f"What is {a} + {b}?", str(a + b), **where)


def verify(problem, attempt):
    (wanted,), answer = problem.truth.accepted, attempt.text.strip()
    wrong = Fault.WRONG_ANSWER if answer.isdecimal() else "no_number"
    fault = Fault.NONE if answer == wanted else wrong
    reason = f"the sum is {wanted}, got '{answer[:20]}'"
    return verdict_on(problem, attempt, verifier=NAME, answer=answer[:20], fault=fault, reason=reason)
"""


class Speaking:
    """Samplers of models that say their replies in turn, and keep what they were asked."""

    def __init__(self, **replies: list[str]) -> None:
        self.replies = replies
        self.systems: list[str] = []

    @contextmanager
    def group(self, settings: Sampler, model: Path, **placement: Any) -> Iterator["Speaking"]:
        yield self

    def sample(self, model: Path, requests: Any, sampling: Any) -> Iterator[Attempt]:
        if model.name not in self.replies:
            raise KeyboardInterrupt
        for request, reply in zip(requests, self.replies[model.name], strict=True):
            first, *_ = request.messages
            self.systems.append(first.text if first.role == "system" else "")
            yield Attempt(
                problem_id=request.problem_id,
                model_id=model_id(model),
                sample=0,
                replies=(reply,),
                num_prompt_tokens=1,
                num_tokens=1,
                finish=Finish.STOP,
            )


def made(path: Path) -> Path:
    """A directory that counts as a model, of which only the id is asked."""
    path.mkdir()
    (path / "model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    (path / "config.json").write_text(json.dumps({"name": path.name}))
    return path


@pytest.fixture
def sums(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a task of its own and of a campaign's config for it."""
    file = tmp_path / "sums.py"
    file.write_text(OWN_TASK)
    config = {"name": "sums", "line": "sums/tiny", "task": {"name": str(file), "slices": {"digits": [4]}}}
    (tmp_path / "sums.yaml").write_text(json.dumps(config))
    config["system"] = "Think first."
    (tmp_path / "thinking.yaml").write_text(json.dumps(config))
    return tmp_path


def spoken(
    folder: Path, task: str, speaking: Speaking, out: str = "", num: int = 3
) -> tuple[Reading, dict[str, Path]]:
    """A reading of fresh problems by scripted models, and the files of their answers."""
    asking = asking_of(str(folder / task))
    models = {name: folder / name for name in speaking.replies}
    files = files_for(folder / out if out else None, list(models))
    asked = problems_for(folder, asking.task, None, num=num, seed=1)
    plans = dict.fromkeys(models, PLAN)
    return evaluate_models(folder, asking, models, plans, asked, EXAMS["verdicts"], files), files


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "system", "digits"),
    [
        ("sums.py", "Answer with the sum and nothing else.", {"digits=2", "digits=3"}),
        ("sums.yaml", "Answer with the sum and nothing else.", {"digits=4"}),
        ("thinking.yaml", "Think first.", {"digits=4"}),
    ],
)
def test_a_task_is_asked_in_its_own_words_or_in_the_campaigns(
    sums: Path, monkeypatch: pytest.MonkeyPatch, task: str, system: str, digits: set[str]
) -> None:
    """And never in those of another task."""
    speaking = Speaking(m=["1"] * 12)
    made(sums / "m")
    monkeypatch.setattr(group, "SamplerGroup", speaking.group)
    reading, _ = spoken(sums, task, speaking, num=12)
    assert speaking.systems == [system] * 12
    assert {score.slice for score in reading.evaluations["m"].slices} == digits
    assert reading.faults == {"m": {"wrong_answer": 12}} and reading.answers == {}


@pytest.mark.slow
def test_every_answer_is_written_and_faults_are_counted_by_kind(
    sums: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    problems = problems_for(sums, asking_of(str(sums / "sums.py")).task, None, num=3, seed=1).problems
    right = [problem.gold[0] for problem in problems]
    speaking = Speaking(one=[right[0], "no\x1b[2J", "none"], two=["1", right[1], "x"])
    for name in speaking.replies:
        made(sums / name)
    monkeypatch.setattr(group, "SamplerGroup", speaking.group)
    monkeypatch.setenv("COLUMNS", "200")
    reading, files = spoken(sums, "sums.py", speaking, "out.jsonl")
    print_reading(reading)
    printed = capsys.readouterr().out
    rows = [" ".join(line.split()) for line in printed.splitlines()]
    assert [row for row in rows if row.startswith("fault: ")] == [
        "fault: no_number 2 1",
        "fault: wrong_answer 0 1",
    ]
    assert f"the answers of two are in {sums / 'out.two.jsonl'}" in rows
    print_reading(reading, as_json=True)
    assert json.loads(capsys.readouterr().out)["faults"]["two"] == {"wrong_answer": 1, "no_number": 1}
    written = {name: [json.loads(line) for line in files[name].read_text().splitlines()] for name in files}
    assert [row["id"] for row in written["one"]] == list(reading.problems)
    assert [row["pass"] for row in written["one"]] == [True, False, False]
    assert [row["pass"] for row in written["two"]] == [False, True, False]
    assert written["one"][1]["reply"] == "no\x1b[2J" and "got 'no" in written["one"][1]["reason"]
    assert {row["model_id"] for row in written["two"]} == {model_id(sums / "two")}


def test_an_interruption_keeps_what_was_answered_and_the_reading_as_begun(
    sums: Path, records: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first model has answered; the second one is interrupted."""
    speaking = Speaking(one=["Answer: True", "no", "Answer: Unknown", "", "Answer: False"])
    one, two = made(sums / "one"), made(sums / "two")
    monkeypatch.setattr(group, "SamplerGroup", speaking.group)
    files = files_for(sums / "out.jsonl", ["one", "two"])
    asked = problems_for(sums, TASK, records)
    models, plans = {"one": one, "two": two}, {"one": PLAN, "two": PLAN}
    with pytest.raises(KeyboardInterrupt):
        evaluate_models(sums, Asking(task=TASK), models, plans, asked, EXAMS["verdicts"], files)
    rows = [json.loads(line) for line in files["one"].read_text().splitlines()]
    assert [row["origin"] for row in rows] == [f"records.json#{i}" for i in range(5)]
    assert [row["pass"] for row in rows] == [False] * 5 and rows[1]["reply"] == "no"
    assert not files["two"].exists()
    (kept,) = kept_readings(sums)
    assert kept.evaluations == {} and kept.problems == tuple(row["id"] for row in rows)


def test_records_that_a_lines_campaigns_have_used_are_no_new_ones(
    sums: Path, records: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    asked = problems_for(sums, TASK, records)
    home, model = sums / "home", made(sums / "m")
    registry = Registry(home)
    path = registry.add(model, replace(manifest(model_id(model)), training_set_id="t"))
    registry.promote(LINE, model_id(model), run_id="one", round=0, expected_epoch=0, baseline=True)
    used = [asked.problems[0].id, asked.problems[3].id, "another"]
    keep_touched(home, LINE, used, [], expected_epoch=1)
    monkeypatch.setattr(group, "SamplerGroup", Speaking(**{path.name: ["no"] * 5}).group)
    asking = Asking(task=TASK)
    reading = evaluate_models(home, asking, {LINE: path}, {LINE: PLAN}, asked, EXAMS["verdicts"])
    assert reading.used == {LINE: 2} and kept_readings(home) == [reading]
    print_reading(reading)
    assert f"2 of them were used, to train or to judge, in the campaigns that led to {LINE}" in (
        capsys.readouterr().out
    )


def test_what_was_read_is_in_no_later_gate_of_the_models_line(
    sums: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    """Whoever has seen its replies changes the config by them."""
    rows = records_files.sums(40)
    file, home, model = records_files.write_rows(sums / "my.jsonl", rows), sums / "home", made(sums / "m")
    registry, other = Registry(home), Model.of(made(sums / "untrained"))
    path = registry.add(model, replace(manifest(model_id(model)), training_set_id="t"))
    registry.promote(LINE, model_id(model), run_id="one", round=0, expected_epoch=0, baseline=True)
    asking = Asking(task=records_files.settings_of(file))
    asked = problems_for(home, asking.task, file)
    said = {path.name: ["no"] * 40, other.path.name: ["no"] * 40}
    monkeypatch.setattr(group, "SamplerGroup", Speaking(**said).group)
    evaluate_models(home, asking, {"m": other.path}, {"m": PLAN}, asked, EXAMS["verdicts"])
    assert spent_by(home, LINE) == {}, "it comes from no line"
    for _ in range(2):
        reading = evaluate_models(home, asking, {LINE: path}, {LINE: PLAN}, asked, EXAMS["verdicts"])
        assert reading.lines == (LINE,) and reading.used == {}, "a reading is no campaign's use"
    print_reading(reading)
    assert f"counts as read on line {LINE}, whose later gates do without it" in capsys.readouterr().out
    left = records_files.suite_of_rows(file, rows).without(spent_by(home, LINE)).sizes
    whole = records_files.suite_of_rows(file, rows).sizes
    assert left == whole | {"gate": 0, "sealed": 0} and whole["gate"] > 0


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

"""`ratchet benchmark` as a user runs it: what is refused before anything starts, and one by script."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from engine.benchmark.commands import app_with
from engine.benchmark.package import BenchmarkError
from engine.gate.outcomes import CompareError
from engine.models.identity import Model
from engine.plan.machine import Machine
from tests.support.benchmarks import TASKS, Characters, Scripted

pytest.importorskip("lm_eval")

from engine.benchmark import orders, sampled
from engine.benchmark.orders import Order, Terms, require_sound
from engine.benchmark.run import Subject
from engine.benchmark.served import Api
from engine.benchmark.tasks import Chosen

GIB = 2**30


class Cluster:
    """What a command needs of one; nothing is started."""

    def __init__(self) -> None:
        self.connected = 0

    def machine(self, home: Path) -> Machine:
        return Machine(num_cpus=2, memory=16 * GIB, disk=100 * GIB, num_gpus=0, gpu=None)

    def connect(self, needs: object) -> None:
        self.connected += 1


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RATCHET_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(TASKS)
    return tmp_path / "home"


def run(*arguments: str) -> Any:
    """The result of the command; whatever it raises is raised, as `ratchet.py` sees it."""
    return CliRunner().invoke(app_with(Cluster()), list(arguments), catch_exceptions=False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name at least one model"),
        (["embedded", "--tasks", "a", "--tokenizer", "embedded"], "--tokenizer embedded is for --url"),
        (
            ["embedded", "--suite", "s.jsonl", "--tasks", "sums_mc"],
            "--suite writes .*: a model has no effect",
        ),
        (["--chat", "--suite", "s.jsonl", "--tasks", "sums_mc"], "--suite writes .*: --chat has no effect"),
        (["m", "--url", "ftp://x", "--tasks", "a"], "--url ftp://x cannot be used"),
        (
            ["m", "--url", "http://x", "--tasks", "a", "--key-env", "NO_KEY"],
            "--key-env names the environment variable of the key, but NO_KEY is not set",
        ),
        (["a", "--tasks", "a", "--margin", "0.02"], "--margin is for comparing models: name two or more"),
        (["a", "a", "--tasks", "a", "--metric", "acc"], "--metric is for comparing models"),
        (["a", "b", "--tasks", "a", "--margin", "-0.02"], "--margin must be above 0, got -0.02"),
        (["a", "b", "--tasks", "a", "--margin", "nan"], "--margin must be above 0, got nan"),
        (["a", "b", "--tasks", "a", "--margin", "2"], "--margin must be a share below 1, got 2; 0.02 is"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(arguments: list[str], message: str) -> None:
    with pytest.raises(BenchmarkError, match=message):
        run(*arguments)


def test_the_error_budget_is_a_share() -> None:
    with pytest.raises(CompareError, match="--alpha must lie between 0 and 1, got 1"):
        run("embedded", "--tasks", "a", "--alpha", "1")


def test_a_margin_may_be_in_the_unit_of_what_is_measured() -> None:
    texts, tasks = Chosen(texts=(Path("a.txt"),)), Chosen(tasks=("translate",))
    for chosen, metric in ((texts, ""), (tasks, "bleu")):
        require_sound(Order(("a", "b"), chosen), Terms(alpha=0.05, margin=2.0, metric=metric), "")


def test_no_key_is_sent_that_nobody_named(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Api] = []

    def there(order: Order, api: Api, tokenizer: str) -> None:
        given.append(api)
        raise BenchmarkError("far enough")

    monkeypatch.setattr(orders, "there", there)
    for name in ("OPENAI_API_KEY", "OTHER_KEY"):
        monkeypatch.setenv(name, f"of {name}")
    for options in ([], ["--key-env", "OTHER_KEY"]):
        with pytest.raises(BenchmarkError, match="far enough"):
            run("m", "--url", "http://elsewhere/v1", "--tasks", "a", *options)
    assert [api.key for api in given] == ["", "of OTHER_KEY"]


def test_a_suite_needs_no_model(tmp_path: Path) -> None:
    file = tmp_path / "sums.jsonl"
    done = run("--tasks", "sums_mc", "--include-path", "tasks", "-n", "12", "--suite", str(file))
    assert done.stdout.startswith("12 rows in ") and len(file.read_text().splitlines()) == 12


def test_two_models_from_the_command_to_the_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    @contextmanager
    def scripted(name: str, model: Model, settings: Any, plan: Any, seed: int) -> Iterator[Subject]:
        # The shortest option, or the longest: the sums have options of one length, so the first or the last.
        sign = 1 if name.endswith("one") else -1
        sampler = Scripted(lambda before, text: 50 + sign * int(text), model_id=model.id)
        made = sampled.Sampled(sampler, model, settings.max_model_len, seed)
        yield Subject(name=name, model=model, about={"model": model.id}, sampled=made)

    def model_dir(home: Path, name: str) -> Path:
        path = tmp_path / name
        path.mkdir(exist_ok=True)
        (path / "config.json").write_text('{"max_position_embeddings": 1024}')
        return path

    monkeypatch.setattr(orders, "on_ray", scripted)
    monkeypatch.setattr(orders, "model_dir_of", model_dir)
    monkeypatch.setattr(orders, "check_model", lambda path: None)
    monkeypatch.setattr(orders, "plan_sampling", lambda *_: None)
    monkeypatch.setattr(Model, "of", staticmethod(lambda path: Model(id=path.name, path=path)))
    monkeypatch.setattr(sampled, "tokenizer_of", lambda path: Characters())
    out = tmp_path / "out"
    arguments = ["one", "two", "--tasks", "sums_mc", "--include-path", "tasks", "--out", str(out), "--json"]
    found = json.loads(run(*arguments).stdout)
    assert [each["name"] for each in found["models"]] == ["one", "two"]
    (compared,) = found["comparisons"]
    assert compared["comparison"]["num_items"] == 40 and compared["sentence"]
    assert sorted(path.name for path in out.iterdir()) == ["one", "two"]
    with pytest.raises(BenchmarkError, match="--out never overwrites"):
        run(*arguments)
    # Nothing is asked a second time.
    again = json.loads(run(*arguments[:-3], "--json").stdout)
    assert [each["num_kept"] for each in again["models"]] == [each["num_asked"] for each in again["models"]]
    assert Path(again["out"]).is_relative_to(home / "benchmarks")

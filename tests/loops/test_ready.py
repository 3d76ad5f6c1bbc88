"""A new run is refused for what `ratchet doctor` refuses, by the same sentence."""

from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from configs.load import ConfigError, load
from configs.schema import Config
from engine.errors import Mistake
from engine.models.identity import ModelError
from engine.plan.machine import Machine
from engine.plugins import PluginError
from engine.preflight import doctor, learnt
from engine.preflight.power import PowerError
from engine.preflight.workload import Work
from loops import load_loop, loop_for
from loops.ready import require_ready
from tests.support.records_files import sums, write_rows

OWN = Path("tests/support/own/loop.py")
TASK = Path("tests/support/toy_task.py")


def tiny(*overrides: str) -> Config:
    return load("tests/support/tiny.yaml", list(overrides))


def changed(original: Path, folder: Path, old: str, new: str) -> Path:
    text = original.read_text()
    assert old in text
    (folder / original.name).write_text(text.replace(old, new, 1))
    return folder / original.name


VERIFIERS = 'VERIFIERS = (f"{__file__}:verify",)'


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('VERIFIERS = ("guess",)', "no verifier is called 'guess', allowed are rules, z3"),
        ('VERIFIERS = ("rules", "no/v.py:act")', "verifier file no/v.py does not exist"),
        (VERIFIERS.replace(":verify", ":absent"), "lacks absent; a verifier offers absent"),
        (f"{VERIFIERS}\nFAULTS = 3", "must be a dictionary from names to their meanings, got 3"),
    ],
)
def test_a_verifier_that_cannot_be_used_is_refused_by_both(tmp_path: Path, line: str, message: str) -> None:
    config = tiny(f"task.name={changed(TASK, tmp_path, VERIFIERS, line)}")
    for check in (
        lambda: require_ready(config, tmp_path / "home", "r"),
        lambda: doctor.examine_config(config, Machine.__new__(Machine), tmp_path / "home"),
    ):
        with pytest.raises(PluginError, match=message) as error:
            check()
        assert "\n" not in str(error.value)
    assert not (tmp_path / "home").exists()


def test_too_few_sentinels_for_their_margin_are_shown_and_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [row | ({"split": "sentinel"} if i < 40 else {}) for i, row in enumerate(sums(400))]
    file = write_rows(tmp_path / "my.jsonl", rows)
    config = load("configs/records.yaml", [f"task.file={file}"])
    with pytest.raises(
        PowerError, match="too small for the sentinel suite kept-records: .* 55 % .40 requests"
    ):
        require_ready(config, tmp_path / "home", "r")
    monkeypatch.setattr(doctor, "make_plan", lambda *_: None)
    monkeypatch.setattr(doctor, "_plan", lambda *_: [])
    found = doctor.examine_config(config, Machine.__new__(Machine), tmp_path / "home")
    (power,) = [each for each in found if each.what.startswith("kept-records")]
    assert not power.ok and "(40 requests, drop under 10 %" in power.found
    assert [each.found for each in found if each.what == "sentinel"][0].startswith("40, never learnt")
    assert not (tmp_path / "home").exists()


def test_a_base_that_cannot_be_quantised_is_shown_and_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, version = {}, metadata.version

    def absent(name: str) -> str:
        if name == "bitsandbytes":
            raise metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(doctor, "make_plan", lambda *_: None)
    monkeypatch.setattr(doctor, "_plan", lambda *_: [])
    monkeypatch.setattr(metadata, "version", absent)
    for quantize in ("null", "8bit"):
        config = tiny("loop.train.tuning=lora", f"loop.train.quantize={quantize}")
        lines = doctor.examine_config(config, Machine.__new__(Machine), tmp_path / "home")
        found[quantize] = [each for each in lines if each.what == "under loop.train"]
    ((line,), none) = found["8bit"], found["null"]
    sentence = "a base in 8bit needs bitsandbytes, which is not installed: `pip install '.[quantize]'` at"
    assert not none and not line.ok and line.found.startswith(sentence)
    with pytest.raises(ModelError) as error:
        require_ready(config, tmp_path / "home", "r")
    assert str(error.value) == line.found
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("gold=('yes',)", "gold=()", "task toy has no gold answers to learn from: set warm_start=null"),
        ("", "", "warm_start.train would learn nothing: .*warm_start.train.max_length=2 "),
    ],
)
def test_a_run_that_learns_nothing_is_refused(
    tiny_model: Path, tmp_path: Path, old: str, new: str, message: str
) -> None:
    task = changed(TASK, tmp_path, old.replace("'", '"'), new)
    config = tiny(
        f"task.name={task}", f"base={tiny_model}", *([] if old else ["warm_start.train.max_length=2"])
    )
    with pytest.raises(ConfigError, match=message):
        require_ready(config, tmp_path / "home", "r")
    assert not (tmp_path / "home").exists()


def test_the_tokenizer_is_loaded_only_where_rows_may_be_too_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[Any] = []
    monkeypatch.setattr(learnt, "_tokenizer", lambda *given: loaded.append(given) or "it is not here")
    for overrides, num in (([], 0), (["loop.train.max_length=128"], 1)):
        require_ready(tiny(*overrides), tmp_path, "r")
        assert len(loaded) == num


def own(tmp_path: Path, old: str, new: str, *overrides: str) -> Config:
    return tiny(f"loop={{name: {changed(OWN, tmp_path, old, new)}}}", *overrides)


def test_a_loop_that_raises_is_one_sentence(tmp_path: Path) -> None:
    lengths: Any = SimpleNamespace(asked=lambda *given, **named: 3)
    fails = load_loop(own(tmp_path, "    return [lengths", "    1 / 0\n    return [lengths").loop)
    with pytest.raises(
        PluginError, match=r"^work of the loop file .*/loop.py fails: ZeroDivisionError: .* \(line"
    ):
        fails.work(lengths)
    with pytest.raises(PluginError, match=f"must return {Work.__module__}.Work, got 3"):
        load_loop(own(tmp_path, "x", "x").loop).work(lengths)
    config = own(tmp_path, "    return rows_of(", "    return str(")
    with pytest.raises(PluginError, match=r"^example of the loop file .*/loop.py fails: TypeError: "):
        require_ready(config, tmp_path, "r")


def test_a_loop_says_which_exams_it_learns_from(tmp_path: Path) -> None:
    passages = "task.name=tests/support/passage_task.py"
    with pytest.raises(ConfigError) as error:
        loop_for(tiny(passages))
    assert str(error.value) == (
        "loop oak_dpo learns from verdicts, but task passages is examined by likelihood"
    )
    settings = "class Settings(Leaf):"
    both = f'EXAMS = ("verdicts", "likelihood")\n\n\n{settings}'
    assert loop_for(own(tmp_path, settings, both, passages)).settings
    with pytest.raises(
        Mistake, match="EXAMS of the loop .* must be a tuple of names of exams, got 'verdicts'"
    ):
        loop_for(own(tmp_path, settings, f'EXAMS = "verdicts"\n\n\n{settings}'))

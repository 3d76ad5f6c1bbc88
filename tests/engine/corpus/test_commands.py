"""`ratchet curate` from outside: what people and programs read, and one sentence for a mistake."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from configs.load import ConfigError
from engine.corpus.commands import app
from engine.corpus.stations import CurationError
from engine.errors import Mistake
from tests.support.examples import file_of, rows


def call(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(each) for each in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def faq(folder: Path, *more: dict[str, Any]) -> str:
    return file_of(folder / "faq.jsonl", [*rows(20), *more])


def test_people_read_the_way_through_the_stations(tmp_path: Path) -> None:
    name, out = faq(tmp_path, rows(1)[0], {"prompt": "Who?"}), tmp_path / "out"
    told = call(name, "--out", out)
    assert "20 examples from 22 lines" in told
    assert re.search(r"layout +22 → +21  layout 1\n", told)
    assert re.search(r"duplicates +21 → +20  duplicate 1\n", told)
    assert "train 16, validation 2, test 2" in told
    assert f"is in {out}" in told and "card.html" in told
    assert "new since" not in told
    more = call(name, file_of(tmp_path / "b.jsonl", rows(10, seed=1)), "--out", out)
    assert "new since snapshot" in more and "no longer there: 0" in more


def test_programs_read_json(tmp_path: Path) -> None:
    told = json.loads(
        call(faq(tmp_path), "--out", tmp_path / "out", "--json", "shares={train: 0.5, test: 0.4}")
    )
    assert told["splits"] == {"train": 10, "validation": 2, "test": 8}
    assert told["directory"] == str(tmp_path / "out") and "samples" not in told


def test_settings_come_from_a_file_and_are_overridden(tmp_path: Path) -> None:
    config = tmp_path / "curation.yaml"
    config.write_text("seed: 4\nprivate: {action: drop}\n")
    call(faq(tmp_path), "--out", tmp_path / "out", "--config", config, "seed=5")
    told = json.loads((tmp_path / "out" / "card.json").read_text())["settings"]
    assert (told["seed"], told["private"]["action"]) == (5, "drop")


def test_a_path_may_hold_a_sign_of_equality(tmp_path: Path) -> None:
    (tmp_path / "day=1").mkdir()
    assert "20 examples from 20 lines" in call(faq(tmp_path / "day=1"), "--out", tmp_path / "out", "seed=1")


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        (["seed=1"], ConfigError, "takes JSONL files, got none"),
        (["a.yaml"], ConfigError, "settings are given by --config a.yaml"),
        (["no.jsonl"], CurationError, "no.jsonl cannot be read: No such file or directory"),
        (["a.jsonl", "privat.action=drop"], ConfigError, "unknown key privat"),
        (["a.jsonl", "private.action=hide"], ConfigError, "private.action"),
        (["a.jsonl", "shares.train=0.9"], ConfigError, "train, validation and test must sum to 1, got 1.1"),
        (["a.jsonl", "language={allowed: [english]}"], ConfigError, "language.allowed"),
    ],
)
def test_a_mistake_is_one_sentence(
    tmp_path: Path, arguments: list[str], kind: type[Mistake], words: str
) -> None:
    with pytest.raises(kind) as caught:
        call(*arguments, "--out", tmp_path / "out")
    assert words in str(caught.value) and "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_text_of_a_file_steers_no_terminal(tmp_path: Path) -> None:
    name = file_of(tmp_path / "\x1b[31m.jsonl", [{"a": 1}, *rows(5)])
    assert "\x1b" not in call(name, "--out", tmp_path / "o\x1bt")

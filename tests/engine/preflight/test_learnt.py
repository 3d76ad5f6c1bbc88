"""Learnt tokens: what is shown is what the trainer sees, and a config that learns nothing is refused."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from configs.load import ConfigError
from configs.schema import Config
from engine.curate.rows import gold_rows, row_of
from engine.models.prompts import completion_ids, messages, prompt_ids
from engine.plugins import PluginError
from engine.preflight.findings import Finding, print_table
from engine.preflight.learnt import examine_learnt
from engine.records import Passage, TrainingRow
from engine.tasks import suite_of
from engine.tasks.suite import Suite
from engine.train.methods import load_method
from tests.support.plans import config, example_of

pytestmark = pytest.mark.slow

HOME = Path("/tmp/no-such-home")
LAST = """
from dataclasses import replace
from engine.train.methods import tokenised

def tokens(row, tokenizer, config):
    text = tokenised(row, row.chosen, tokenizer, "its last token")
    return [replace(text, learnt_from=len(text.ids) - config.settings["num"])]

def trainer(job, model, tokenizer, material): ...
"""
WITHOUT_GOLD = """
from engine.records import Problem, Reference

NAME, VERIFIERS = "open", ("exact",)
DIMENSIONS = DEFAULT_SLICES = {"of": ("one",)}

def make(settings, rng, *, split, slice_name, origin):
    asked = f"Is {rng.random()} much?"
    return Problem(
        id=asked, task=NAME, slice=slice_name, turns=(asked,), truth=Reference(accepted=("yes",)), gold=(),
        split=split, origin=origin,
    )
"""


def on(base: Path | str, *overrides: str) -> Config:
    return config("quickstart", f"base={base}", *overrides)


def examined(settings: Config, home: Path = HOME) -> list[Finding]:
    return examine_learnt(settings, home, example_of(settings))


def found(findings: list[Finding], what: str) -> Finding:
    (finding,) = [each for each in findings if each.what.startswith(what)]
    return finding


@pytest.fixture(scope="module")
def tokenizer(tiny_model: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_model)


def test_a_row_of_each_kind_is_shown_with_its_learnt_tokens_marked(tiny_model: Path, tokenizer: Any) -> None:
    findings = examined(on(tiny_model))
    rows = ["learnt", "rows", "tokens", "rehearsal, held to the parent"]
    assert [each.what.rpartition(", ")[0] if each.marked else each.what for each in findings] == [
        f"{key}, {name}" for key in ("warm_start.train", "loop.train") for name in rows
    ]
    (problem,) = suite_of(on(tiny_model)).draw(1, split="warm-start", seed=0)
    first = found(findings, "warm_start.train, learnt")
    ((start, end),) = first.marked
    assert first.found[start:end] == f"[[{problem.gold[0]}<|im_end|>]]" and end == len(first.found)
    asked = prompt_ids(tokenizer, messages("Prove or refute.", problem.turns))
    assert first.found[:start] == tokenizer.decode(asked)
    num = len(asked) + len(completion_ids(tokenizer, problem.gold[0]))
    assert first.what == f"warm_start.train, learnt, {num} tokens" and first.ok
    held = found(findings, "loop.train, rehearsal, held to the parent")
    ((start, _),) = held.marked
    assert held.found[:start] == "<|im_start|>", "all tokens but the first have a loss"
    assert "stand-in" in held.found[start:]


def test_marks_survive_plain_text_and_json(tiny_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    findings = examined(on(tiny_model))
    shown = json.loads(json.dumps([asdict(each) for each in findings]))[0]
    ((start, end),) = shown["marked"]
    assert shown["found"][start:end].startswith("[[") and shown["found"].endswith("]]")
    print_table(findings)
    printed = capsys.readouterr().out
    assert "[[" in printed and "]]" in printed and "\x1b" not in printed


def test_shares_are_counted_by_the_trainers_own_functions(tiny_model: Path, tokenizer: Any) -> None:
    settings = on(tiny_model)
    assert settings.warm_start
    train = settings.warm_start.train
    problems = suite_of(settings).draw(64, split="warm-start", seed=settings.seed)
    rows = [row_of(problem, problem.gold, 0, system="Prove or refute.") for problem in problems]
    texts = [load_method(train).tokens(row, tokenizer, train)[0] for row in rows]
    limit = sorted(len(text.ids) for text in texts)[48]
    fit = [text for text in texts if len(text.ids) <= limit]
    assert 0 < len(fit) < 64
    settings = on(tiny_model, f"warm_start.train.max_length={limit}")
    findings = examined(settings)
    share = 100 * len(fit) * train.epochs / (64 * train.epochs / (1 - train.rehearsal_share))
    expected = (
        f"{share:.0f} % are learnt: {len(fit)} of 64 gold answers fit in max_length={limit}, "
        f"{100 * train.rehearsal_share:.0f} % of all rows"
    )
    assert found(findings, "warm_start.train, rows").found.startswith(expected)
    learnt = sum(len(text.ids) - text.learnt_from for text in fit) / sum(len(text.ids) for text in fit)
    assert found(findings, "warm_start.train, tokens").found.startswith(f"{100 * learnt:.0f} % of the tokens")
    with_validation = examined(on(tiny_model, "warm_start.train.validation_share=0.25"))
    assert "25 % of them are for validation" in found(with_validation, "warm_start.train, rows").found


def test_passages_are_learnt_as_plain_text(tiny_model: Path, tokenizer: Any) -> None:
    train = {"method": "sft", "max_length": 2_000}
    warm = json.dumps({"proofs": 40, "train": train})
    settings = config("error-driven-text", f"base={tiny_model}", f"warm_start={warm}")

    def example(suite: Suite, system: str) -> TrainingRow:
        (problem,) = suite.draw(1, split="example", seed=0)
        return gold_rows(problem, system=system)[0]

    findings = examine_learnt(settings, HOME, example)
    (problem,) = suite_of(settings).draw(1, split="warm-start", seed=settings.seed)
    assert isinstance(problem.truth, Passage)
    ids = completion_ids(tokenizer, problem.truth.text, ends=False)
    shown = found(findings, "warm_start.train, learnt")
    assert shown.what == f"warm_start.train, learnt, {len(ids)} tokens"
    ((start, end),) = shown.marked
    assert shown.found[:start] == tokenizer.decode(ids[:1]), "all but the first token"
    assert shown.found[start:end] == f"[[{tokenizer.decode(ids[1:])}]]", "no end of a turn is learnt"
    assert "40 of 40 passages fit in max_length=2000" in found(findings, "warm_start.train, rows").found


def test_a_pair_is_shown_as_its_two_texts(tiny_model: Path) -> None:
    settings = config("refusal", f"base={tiny_model}", "start=champion")
    findings = examined(settings)
    preferred, rejected = (found(findings, f"loop.train, {name}") for name in ("preferred", "rejected"))
    (start, _), (other, _) = preferred.marked[0], rejected.marked[0]
    assert preferred.found[:start] == rejected.found[:other]
    assert preferred.found != rejected.found
    assert found(findings, "loop.train, rows").found.startswith("100 % are learnt: 64 of 64")
    assert not any("rehearsal" in each.what for each in findings)


def test_a_row_that_is_left_out_is_shown_as_such(tiny_model: Path) -> None:
    findings = examined(on(tiny_model, "warm_start.train.max_length=120"))
    first = found(findings, "warm_start.train, learnt")
    assert not first.ok and "longer than warm_start.train.max_length=120 is left out" in first.remedy


def test_a_method_of_ones_own_says_what_it_learns(tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "last.py").write_text(LAST)
    method = f"loop.train={{method: {tmp_path}/last.py, settings: {{num: NUM}}, max_length: 256}}"
    findings = examined(on(tiny_model, method.replace("NUM", "1"), "warm_start=null"))
    assert found(findings, "loop.train, its last token").found.endswith("True[[<|im_end|>]]")
    with pytest.raises(ConfigError, match="loop.train would learn nothing: no token of 64 rows has a loss"):
        examined(on(tiny_model, method.replace("NUM", "0"), "warm_start=null"))


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("raise ValueError('boo')", r"tokens of the training method .* fails: ValueError: boo \(line \d\)"),
        ("return None", r"tokens of the training method .* fails: TypeError: "),
        ("return [1]", r"must return TokenisedText whose ids are tokens from 0 to 49151, got 1"),
        ("return [TokenisedText(ids=[10**9], learnt_from=0, what='')]", r"must return TokenisedText whose"),
    ],
)
def test_what_ones_own_method_gets_wrong_is_a_sentence(
    tiny_model: Path, tmp_path: Path, body: str, sentence: str
) -> None:
    imports = "from engine.train.methods import TokenisedText\n"
    code = f"{imports}def tokens(row, tokenizer, config):\n    {body}\ndef trainer(*_): ...\n"
    (tmp_path / "own.py").write_text(code)
    method = f"loop.train={{method: {tmp_path}/own.py}}"
    with pytest.raises(PluginError, match=sentence):
        examined(on(tiny_model, method, "warm_start=null"))


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (
            ["warm_start.train.max_length=32"],
            "warm_start.train would learn nothing: "
            "all 64 rows are longer than warm_start.train.max_length=32 ",
        ),
        (
            ["start=champion", "loop.train.max_length=16"],
            "loop.train would learn nothing: all 64 rows are longer than loop.train.max_length=16 tokens",
        ),
        (
            ["warm_start.train.epochs=0.001"],
            "warm_start.train would learn nothing: epochs=0.001 of warm_start.proofs=90 is not one row",
        ),
    ],
)
def test_a_config_that_learns_nothing_is_refused(
    tiny_model: Path, overrides: list[str], sentence: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        examined(on(tiny_model, *overrides))
    assert str(caught.value).startswith(sentence) and "\n" not in str(caught.value)


def test_without_gold_answers_there_is_nothing_to_warm_up_with(tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "task.py").write_text(WITHOUT_GOLD)
    task = f"task={{name: {tmp_path}/task.py}}"
    with pytest.raises(ConfigError, match="task open has no gold answers to learn from: set warm_start=null"):
        examined(on(tiny_model, task))
    (finding,) = examined(on(tiny_model, task, "warm_start=null"))
    assert finding.ok and "no gold answers" in finding.found


def test_a_passage_is_shown_as_the_plain_text_that_a_loop_learns(tiny_model: Path) -> None:
    task = "task={name: tests/support/passage_task.py}"
    loop = "loop={name: error_driven}"
    findings = examined(on(tiny_model, task, loop, "warm_start=null"))
    (start, end), text = (row := found(findings, "loop.train, learnt")).marked[0], row.found
    assert text[end - 2 :] == "]]" and "that year." in text[start:end] and 0 < start < 12
    assert found(findings, "loop.train, rows").found.startswith("100 % are learnt: 64 of 64")


def test_where_the_base_is_not_here_nothing_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    small = "warm_start.train.max_length=8"
    (finding,) = examined(on("{hub: nobody/nothing, revision: abc}", small))
    assert finding.ok and finding.found == "unknown until nobody/nothing is downloaded"
    (finding,) = examined(on("embedded", small), tmp_path)
    assert finding.ok and finding.found.startswith("unknown until the embedded model is downloaded")
    bare = tmp_path / "bare"
    shutil.copytree(tiny_model, bare, ignore=shutil.ignore_patterns("tokenizer*"))
    (finding,) = examined(on(bare, small))
    assert finding.ok and "has no tokenizer that can be loaded" in finding.found
    mute = tmp_path / "mute"
    shutil.copytree(tiny_model, mute, ignore=shutil.ignore_patterns("chat_template.jinja"))
    (finding,) = examined(on(mute, small))
    assert finding.ok and "chat template" in finding.found

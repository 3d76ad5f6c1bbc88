"""What methods make of rows: tokens that are learnt, one BOS, refused rows; and a method of a user's own."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from configs.training import OwnMethod
from engine.models.prompts import completion_ids, messages, prompt_ids, text_ids
from engine.plugins import PluginError
from engine.records import Challenger, Role, TrainFailure, TrainFault, TrainingRow
from engine.train.faults import Stopped
from engine.train.methods import METHODS, TokenisedText, load_method, num_learnt
from engine.train.order import Material
from tests.support.train_helpers import GOLD, OWN, ROWS, SMALL, fit, in_this_process, job_of, training

pytestmark = pytest.mark.slow

README = Path(__file__).parents[3] / "engine" / "train" / "README.md"


@pytest.fixture(scope="module")
def tokenizer(tiny_model: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_model)


def learnt(tokenizer: Any, text: TokenisedText) -> str:
    return tokenizer.decode(text.ids[text.learnt_from :])


@pytest.mark.parametrize("method", METHODS)
def test_methods_learn_replies_with_their_end_and_nothing_of_the_chat(tokenizer: Any, method: str) -> None:
    config = training(method=method)
    texts = load_method(config).tokens(ROWS[3], tokenizer, config)
    assert [learnt(tokenizer, text) for text in texts] in (
        ["yes<|im_end|>"],
        ["yes<|im_end|>", "no 3<|im_end|>"],
    )
    for text in texts:
        assert text.ids[: text.learnt_from] == prompt_ids(tokenizer, ROWS[3].chat)
    assert (
        load_method(config).tokens(replace(ROWS[3], ends=False), tokenizer, config)[0].ids
        == texts[0].ids[:-1]
    )


def test_earlier_turns_are_read_and_not_learnt(tokenizer: Any) -> None:
    row = TrainingRow(problem_id="p", chat=messages("", ["One?", "Two?"], replies=["Won."]), chosen="Too.")
    (text,) = load_method(training()).tokens(row, tokenizer, training())
    assert learnt(tokenizer, text) == "Too.<|im_end|>"
    assert "One?" in (read := tokenizer.decode(text.ids[: text.learnt_from])) and "Won." in read


def test_of_plain_text_all_but_the_first_token_is_learnt(tokenizer: Any) -> None:
    row = TrainingRow(problem_id="", chat=(), chosen="The sun rises.")
    (text,) = load_method(training()).tokens(row, tokenizer, training())
    assert text.ids == completion_ids(tokenizer, "The sun rises.") and text.learnt_from == 1


def test_the_learnt_tokens_of_a_row_are_counted_where_it_is_learnt(tokenizer: Any) -> None:
    (text,) = load_method(training()).tokens(ROWS[3], tokenizer, training())
    assert num_learnt(ROWS[3], tokenizer, training()) == len(completion_ids(tokenizer, "yes")) == 2
    assert num_learnt(ROWS[3], tokenizer, training(max_length=len(text.ids))) == 2
    assert num_learnt(ROWS[3], tokenizer, training(max_length=len(text.ids) - 1)) == 0, "it is left out"
    plain = TrainingRow(problem_id="", chat=(), chosen="The sun rises.", ends=False)
    assert num_learnt(plain, tokenizer, training()) == len(text_ids(tokenizer, "The sun rises.")) - 1


def test_rows_to_hold_have_a_loss_everywhere_and_are_cut(tokenizer: Any) -> None:
    config = training(max_length=10)
    (text,) = load_method(config).tokens(OWN[0], tokenizer, config)
    assert text.ids == prompt_ids(tokenizer, OWN[0].chat)[:10] and text.learnt_from == 1


def trainer_for(method: str, model: Path, out: Path, material: Material) -> Any:
    """The trainer that a method makes for a model; nothing is trained."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    (at := out / method).mkdir()
    config = training(method=method, **SMALL)
    parent = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(model)
    return load_method(config).trainer(job_of(config, at), parent, tokenizer, material)[0]


@pytest.fixture(scope="module")
def bos_model(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model with a tokenizer that adds a BOS to every text, and a template that writes one too."""
    target = tmp_path_factory.mktemp("bos") / "model"
    shutil.copytree(tiny_model, target)
    bos = "<|endoftext|>"
    tokenizer = json.loads((target / "tokenizer.json").read_text())
    tokenizer["post_processor"]["single"].insert(0, {"SpecialToken": {"id": bos, "type_id": 0}})
    tokenizer["post_processor"]["special_tokens"] = {bos: {"id": bos, "ids": [0], "tokens": [bos]}}
    (target / "tokenizer.json").write_text(json.dumps(tokenizer))
    settings = json.loads((target / "tokenizer_config.json").read_text())
    (target / "tokenizer_config.json").write_text(json.dumps(settings | {"bos_token": bos}))
    template = target / "chat_template.jinja"
    template.write_text("{{ bos_token }}" + template.read_text())
    return target


def test_one_bos_in_sampling_sft_and_dpo(bos_model: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(bos_model)
    rendered = tokenizer.decode(sampled := prompt_ids(tokenizer, ROWS[0].chat))
    assert tokenizer.bos_token_id == 0 and tokenizer(rendered)["input_ids"][:2] == [0, 0], "two, if asked so"
    material = Material(learn=ROWS[:1], hold=[], validation=ROWS[1:2])
    found = {method: trainer_for(method, bos_model, tmp_path, material) for method in ("sft", "dpo")}
    for row, name in ((ROWS[0], "train_dataset"), (ROWS[1], "eval_dataset")):
        sampled = prompt_ids(tokenizer, row.chat)
        assert sampled[0] == 0 and sampled.count(0) == 1
        sft, dpo = (getattr(found[method], name)[0] for method in ("sft", "dpo"))
        asked = [label == -100 for label in sft["labels"]].index(False)
        assert sft["input_ids"][:asked] == dpo["prompt_ids"] == sampled
        assert sft["input_ids"][asked:] == dpo["chosen_ids"] == completion_ids(tokenizer, row.chosen)
        assert dpo["rejected_ids"] == completion_ids(tokenizer, row.rejected)
        batch = found["dpo"].data_collator([dpo])
        assert [ids.count(0) for ids in batch["input_ids"].tolist()] == [1, 1]


def test_what_tokens_shows_is_what_is_trained(tiny_model: Path, tokenizer: Any, tmp_path: Path) -> None:
    learn, hold = [replace(ROWS[0], weight=0.5), ROWS[1]], OWN[:2]
    sft = trainer_for("sft", tiny_model, tmp_path, Material(learn=learn, hold=hold, validation=[]))
    config, seen = training(method="sft", **SMALL), []
    for batch in sft.get_train_dataloader():
        for name in ("input_ids", "labels", "attention_mask", "hold", "weight"):
            assert len(batch[name]) == len(batch["hold"])
        for i, length in enumerate(batch["attention_mask"].sum(1).tolist()):
            ids, labels = batch["input_ids"][i, :length].tolist(), batch["labels"][i, :length].tolist()
            seen.append((ids, labels, batch["hold"][i].item(), batch["weight"][i].item()))
    wanted = []
    for row in (*learn, *learn, *hold):
        (text,) = load_method(config).tokens(row, tokenizer, config)
        labels = [-100] * text.learnt_from + text.ids[text.learnt_from :]
        wanted.append((text.ids, labels, row.role is Role.HOLD, row.weight))
    assert sorted(seen) == sorted(wanted), "two epochs of the rows to learn, one of those to hold"


def test_weights_reach_the_loss(tiny_model: Path, tmp_path: Path) -> None:
    """The loss of rows of weight ½, in whole batches and accumulated, is half of that on file."""
    gold = json.loads(GOLD.read_text())["sft full"]
    rows = [replace(row, weight=0.5) for row in ROWS]
    config = training(method="sft", **(SMALL | {"epochs": 0.5, "micro_batch_size": 2}))
    with in_this_process():
        outcome, metrics = fit(config, tiny_model, tmp_path / "out", rows=rows)
    assert isinstance(outcome, Challenger)
    assert [entry["loss"] for entry in metrics] == pytest.approx([loss / 2 for loss in gold[:2]], rel=0.01)


@pytest.mark.parametrize(
    ("row", "wrong"),
    [
        (replace(ROWS[0], weight=0.5), "has weight 0.5"),
        (replace(ROWS[0], role=Role.HOLD), "only holds the model"),
        (replace(ROWS[0], chat=()), "has no chat"),
    ],
)
def test_dpo_refuses_rows_that_its_loss_cannot_take(tmp_path: Path, row: TrainingRow, wrong: str) -> None:
    config = training(method="dpo")
    material = Material(learn=[ROWS[1], row], hold=[], validation=[])
    with pytest.raises(Stopped) as caught:
        load_method(config).trainer(job_of(config, tmp_path), None, None, material)
    assert caught.value.fault is TrainFault.NOTHING_TO_LEARN
    assert caught.value.reason == (
        f"DPO learns from two answers to a chat, of weight 1, and the row of 'p0' {wrong}"
    )


def test_a_refused_row_ends_the_training(tiny_model: Path, tmp_path: Path) -> None:
    with in_this_process():
        rows = [*ROWS[:3], replace(ROWS[3], weight=2.0)]
        outcome, _ = fit(training(method="dpo", **SMALL), tiny_model, tmp_path / "out", rows=rows)
    assert isinstance(outcome, TrainFailure) and outcome.fault is TrainFault.NOTHING_TO_LEARN
    assert "the row of 'p3' has weight 2" in outcome.reason


def test_a_method_of_ones_own_trains(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The README's file, by a relative path: with a share spread over all tokens its loss cannot fall far."""
    example = README.read_text().split("```python\n")[1].split("```")[0]
    assert len(example.splitlines()) < 40
    monkeypatch.chdir(tmp_path)
    Path("smoothed.py").write_text(example)
    config = training(method="smoothed.py", settings={"smoothing": 0.9}, validation_share=0.25, **SMALL)
    assert isinstance(config, OwnMethod)
    with in_this_process():
        outcome, metrics = fit(config, tiny_model, tmp_path / "out")
    assert isinstance(outcome, Challenger) and outcome.method == "smoothed.py"
    assert outcome.num_steps == 6 and outcome.model_id != outcome.parent_id
    smoothed, plain = (entry["loss"] for entry in metrics), json.loads(GOLD.read_text())["sft full"]
    assert metrics[-1]["loss"] < metrics[0]["loss"] == pytest.approx(plain[0], rel=0.02)
    assert min(smoothed) > 9 > plain[-1], "0.9 of ln 49,152 is 9.7"
    assert (tmp_path / "out" / "smoothed.py").read_text() == example, "where every node can read it"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "does not exist"),
        (
            "def trainer(job, model, tokenizer, material): ...",
            "lacks tokens; a method offers trainer, tokens",
        ),
        ("1 / 0", "cannot be loaded: ZeroDivisionError"),
    ],
)
def test_a_file_that_is_no_method_is_refused_before_anything_starts(
    tiny_model: Path, tmp_path: Path, content: str | None, reason: str
) -> None:
    file = tmp_path / "mine.py"
    if content is not None:
        file.write_text(content)
    with pytest.raises(PluginError, match=f"method file {file} {reason}"):
        fit(training(method=str(file), **SMALL), tiny_model, tmp_path / "out")
    assert not (tmp_path / "out").exists()

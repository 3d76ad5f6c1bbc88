"""Which model answers, and how it is asked: as it was trained, with room for what it is asked."""

from pathlib import Path

import pytest

from configs.load import dump, from_tree, load
from engine.models.identity import ModelError
from engine.prove.model import chat_for, model_for, room_for, trained_on
from engine.prove.question import AskedError, question_in
from engine.prove.styles import Posed, pose, posing_tasks
from engine.records import Turn
from engine.registry.registry import Registry
from engine.registry.store import Example, Manifest
from tests.support.registry import manifest

TEXTS = {
    "prontoqa": "Each cat is a pet.\nMax is a cat.\nMax is a pet.",
    "proofwriter": "If someone is cold then they are red.\nAnne is cold.\nAnne is red.",
    "formal": "P(a)\nP(a)",
}


def posed(style: str = "prontoqa") -> Posed:
    return pose(question_in(TEXTS[style]), posing_tasks())


def crown(home: Path, line: str, model: str, task: object = None, **about: object) -> None:
    """Make a model the champion of a line, by a run that leaves its config where there is a task."""
    run_id = f"{line.replace('/', '-')}-{model}"
    source = home / "made" / model
    source.mkdir(parents=True)
    (source / "model.safetensors").write_bytes(model.encode())
    (source / "config.json").write_text("{}")
    registry = Registry(home)
    registry.add(source, Manifest(**{**{f: getattr(manifest(model), f) for f in FIELDS}, **about}))
    registry.promote(
        line, model, run_id=run_id, round=0, expected_epoch=registry.line(line).epoch, baseline=True
    )
    if task:
        tree = {"name": run_id, "line": line, "task": task, "sampler": {"max_new_tokens": 77}}
        (home / "runs" / run_id).mkdir(parents=True)
        (home / "runs" / run_id / "config.yaml").write_text(dump(from_tree(tree, "test")))


FIELDS = ("model_id", "parent_id", "training_set_id", "config_hash", "seed", "code_version", "decision")
MIXTURE = {"name": "mixture", "tasks": {"prontoqa": {}, "proofwriter": {}}}


def chosen(home: Path, *styles: str) -> str:
    return model_for(home, None, None, [posed(style) for style in styles]).name


def test_the_newest_champion_of_the_task_answers(tmp_path: Path) -> None:
    crown(tmp_path, "a/tiny", "m1", {"name": "prontoqa"})
    crown(tmp_path, "b/tiny", "m2", {"name": "prontoqa"})
    crown(tmp_path, "c/tiny", "m3", {"name": "proofwriter"})
    assert chosen(tmp_path, "prontoqa") == "b/tiny"
    crown(tmp_path, "a/tiny", "m4")
    assert chosen(tmp_path, "prontoqa") == "b/tiny", "a line is named by its run, or by its name without one"
    assert chosen(tmp_path, "proofwriter") == "c/tiny"


def test_a_line_fits_what_its_champion_was_trained_on(tmp_path: Path) -> None:
    crown(tmp_path, "prontoqa/tiny", "m1")
    crown(tmp_path, "both/tiny", "m2", MIXTURE)
    crown(tmp_path, "folio/tiny", "m3", {"name": "folio", "file": "train.jsonl"})
    crown(tmp_path, "english/tiny", "m4", {"name": "folio", "file": "train.jsonl", "form": "english"})
    lines = {line.name: trained_on(tmp_path, line) for line in Registry(tmp_path).lines()}
    assert lines == {
        "prontoqa/tiny": {"prontoqa"},
        "both/tiny": {"prontoqa", "proofwriter"},
        "folio/tiny": {"folio"},
        "english/tiny": set(),
    }
    assert chosen(tmp_path, "prontoqa") == "both/tiny"
    assert chosen(tmp_path, "prontoqa", "proofwriter") == "both/tiny"
    assert chosen(tmp_path, "formal") == "folio/tiny", "formal and folio are asked alike"
    with pytest.raises(AskedError, match="no champion here was trained on folio or formal and prontoqa: "):
        chosen(tmp_path, "formal", "prontoqa")


def test_without_a_fitting_champion_it_is_said_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(AskedError, match="trained on prontoqa: --model .* no line has a champion yet"):
        chosen(tmp_path, "prontoqa")
    crown(tmp_path, "gym/tiny", "m1", {"name": "gym", "dataset": "chain_sum"})
    with pytest.raises(AskedError, match="the lines with a champion are gym/tiny"):
        chosen(tmp_path, "prontoqa")


def test_a_model_is_asked_as_it_was_trained(tmp_path: Path) -> None:
    example = Example(system="Prove it!", turns=("?",))
    crown(tmp_path, "both/tiny", "m1", MIXTURE, example=example)
    answering = model_for(tmp_path, None, None, [posed()])
    assert (answering.path.name, answering.asking.sampler.max_new_tokens) == ("m1", 77)
    chat = chat_for(tmp_path, answering, posed())
    assert chat == (
        Turn(role="system", text="Prove it!"),
        Turn(
            role="user",
            text="Each cat is a pet. [1]\nMax is a cat. [2]\nTrue or false: Max is a pet.",
        ),
    )
    other = tmp_path / "elsewhere"
    other.mkdir()
    foreign = model_for(tmp_path, str(other), None, [posed()])
    assert foreign.asking.sampler.max_new_tokens == 512
    assert chat_for(tmp_path, foreign, posed())[0] == Turn(role="system", text="Prove or refute.")


def test_a_campaign_names_its_line_and_its_system_message(tmp_path: Path) -> None:
    crown(tmp_path, "prontoqa/tiny", "m1", {"name": "prontoqa"})
    crown(tmp_path, "prontoqa-quickstart/smollm2-135m", "m2")
    campaign = load("configs/quickstart.yaml", ["system=Now prove."])
    answering = model_for(tmp_path, None, campaign, [posed()])
    assert answering.name == "prontoqa-quickstart/smollm2-135m"
    assert answering.asking.sampler.max_new_tokens == 80
    assert chat_for(tmp_path, answering, posed())[0].text == "Now prove."
    plain = model_for(tmp_path, "m1", load("configs/transfer.yaml"), [posed()])
    assert plain.name == "m1"
    assert chat_for(tmp_path, plain, posed())[0].text == "Prove or refute, or answer Unknown."


def test_there_is_room_for_the_longest_prompt(tmp_path: Path, tiny_model: Path) -> None:
    answering = model_for(tmp_path, str(tiny_model), None, [posed()])
    short, long = ([Turn(role="user", text="word " * num)] for num in (10, 1_700))
    assert room_for(answering, [short]).sampler.max_model_len == 2048
    with pytest.raises(ModelError, match=r"a prompt of 1\d\d\d tokens with its reply must be at most 2048"):
        room_for(answering, [short, long])
    needed = room_for(answering, [[Turn(role="user", text="word " * 1_500)]]).sampler
    assert 2000 < needed.max_model_len <= 2048

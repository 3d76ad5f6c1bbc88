"""Chat templates: tried as transformers renders them, and a system message that none takes is in a turn."""

from pathlib import Path
from typing import Any

import pytest

from configs.load import from_tree
from engine.disk.steps import Run
from engine.models.prompts import messages, prompt_ids, prompt_text, tokenizer_of
from engine.models.rendering import renderer
from engine.models.templates import system_in_turn, takes_system_message
from engine.records import TrainingRow
from engine.train.methods import load_method
from loops.bookends import start_of
from tests.support.model_dirs import NO_SYSTEM, TEMPLATE, WITHOUT_SYSTEM, copy_of, sound_model
from tests.support.train_helpers import training

TEMPLATES = [
    TEMPLATE,
    NO_SYSTEM,
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}"
    "{% endgeneration %}{% else %}{{ m.content | trim }}{% endif %}\n{% endfor %}",
    "{% for m in messages %}\n    {{ m | tojson(indent=2) }}\n  {% if loop.index > 2 %}{% break %}"
    "{% endif %}\n{% endfor %}",
    "{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{{ ns.n }}"
    "{{ m['content'] }}{% endfor %}{% if tools is not none %}tools{% endif %}",
]
CHAT = [
    {"role": "user", "content": " What is <b>? "},
    {"role": "assistant", "content": "Ä letter."},
    {"role": "user", "content": "And c?"},
]


@pytest.mark.slow
@pytest.mark.parametrize("template", TEMPLATES)
def test_a_template_is_rendered_as_by_transformers(template: str) -> None:
    from transformers.utils.chat_template_utils import render_jinja_template

    (theirs,), _ = render_jinja_template(
        conversations=[CHAT], chat_template=template, add_generation_prompt=True, bos_token="<s>"
    )
    assert renderer(template, {"bos_token": "<s>"})(CHAT) == theirs


@pytest.mark.parametrize(
    ("template", "takes"), [(TEMPLATE, True), (NO_SYSTEM, False), (WITHOUT_SYSTEM, False)]
)
def test_whether_a_template_takes_a_system_message(tmp_path: Path, template: str, takes: bool) -> None:
    model = sound_model(tmp_path / "m")
    (model / "chat_template.jinja").write_text(template)
    assert takes_system_message(model) == takes


def turn(role: str, content: Any) -> dict[str, Any]:
    return {"role": role, "content": content}


PARTS = [{"type": "text", "text": "Why?"}]
IMAGE = {"type": "image_url", "image_url": {"url": "data:"}}


@pytest.mark.parametrize(
    ("chat", "folded"),
    [
        ([turn("user", "Why?")], [turn("user", "Why?")]),
        ([turn("system", "Be brief."), turn("user", "Why?")], [turn("user", "Be brief.\n\nWhy?")]),
        (
            [turn("developer", "Be brief."), turn("system", "Be kind."), turn("user", "Why?")],
            [turn("user", "Be brief.\n\nBe kind.\n\nWhy?")],
        ),
        (
            [turn("system", "Be brief."), turn("user", PARTS)],
            [turn("user", [{"type": "text", "text": "Be brief.\n\nWhy?"}])],
        ),
        (
            [turn("system", [*PARTS, *PARTS]), turn("user", [IMAGE, *PARTS])],
            [turn("user", [*PARTS, *PARTS, IMAGE, *PARTS])],
        ),
        ([turn("system", "Be brief.")], [turn("user", "Be brief.")]),
        (
            [turn("system", "Be brief."), turn("assistant", "Yes.")],
            [turn("user", "Be brief."), turn("assistant", "Yes.")],
        ),
        (
            [turn("system", "Be brief."), turn("user", "One?"), turn("assistant", "1"), turn("user", "Two?")],
            [turn("user", "Be brief.\n\nOne?"), turn("assistant", "1"), turn("user", "Two?")],
        ),
    ],
)
def test_a_system_message_goes_to_the_head_of_the_first_users_turn(
    chat: list[dict[str, Any]], folded: list[dict[str, Any]]
) -> None:
    before = [dict(message) for message in chat]
    assert system_in_turn(chat) == folded and chat == before


@pytest.mark.parametrize("template", [NO_SYSTEM, WITHOUT_SYSTEM])
def test_sampler_and_trainer_see_it_in_the_users_turn(
    tiny_model: Path, tmp_path: Path, template: str
) -> None:
    model = copy_of(tiny_model, tmp_path / "m")
    (model / "chat_template.jinja").write_text(template)
    tokenizer, chat = tokenizer_of(model), messages("Be brief.", ["One?", "Two?"], replies=["1"])
    assert "Be brief.\n\nOne?" in prompt_text(tokenizer, chat) and "Two?" in prompt_text(tokenizer, chat)
    config = training(method="sft")
    (text,) = load_method(config).tokens(
        TrainingRow(problem_id="p", chat=chat, chosen="2"), tokenizer, config
    )
    assert text.ids[: text.learnt_from] == prompt_ids(tokenizer, chat)
    # The tiny model's own template takes it.
    assert "Be brief.\n\nOne?" not in prompt_text(tokenizer_of(tiny_model), chat)


@pytest.mark.parametrize(("template", "in_turn"), [(TEMPLATE, False), (NO_SYSTEM, True)])
def test_the_record_of_a_campaign_says_where_it_is(tmp_path: Path, template: str, in_turn: bool) -> None:
    model = sound_model(tmp_path / "m")
    (model / "chat_template.jinja").write_text(template)
    tree = {"name": "tiny", "line": "test/tiny", "base": str(model)}
    run = Run.create(tmp_path / "home", from_tree(tree, "test"), "r")
    assert start_of(run).system_in_turn is in_turn
    # It is kept with the run, whatever becomes of the file.
    (model / "chat_template.jinja").unlink()
    assert start_of(run).system_in_turn is in_turn
    run.close()

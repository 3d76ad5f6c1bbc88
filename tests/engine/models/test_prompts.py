"""Chats and texts become ids in one place; a tokenizer that adds a BOS gives one to a chat, none to text."""

import ast
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engine.models import liveness
from engine.models.identity import ModelError
from engine.models.prompts import completion_ids, messages, prompt_ids, prompt_text, text_ids
from engine.records import Turn
from tests.support.proof_helpers import problem

ROOT = Path(__file__).parents[3]
SHOT = replace(problem(["A"], "A"), turns=("Is it A?", "And B?"), gold=("Yes.", "No."))


def roles(chat: tuple[Turn, ...]) -> list[str]:
    return [turn.role for turn in chat]


def test_a_question_follows_the_system_message_and_solved_problems() -> None:
    assert messages("", ["Why?"]) == (Turn(role="user", text="Why?"),)
    chat = messages("Be brief.", ["Why?"], shots=[SHOT])
    assert roles(chat) == ["system", "user", "assistant", "user", "assistant", "user"]
    assert [turn.text for turn in chat] == ["Be brief.", "Is it A?", "Yes.", "And B?", "No.", "Why?"]


def test_a_later_turn_follows_what_was_asked_and_replied() -> None:
    chat = messages("", ["One?", "Two?", "Three?"], replies=["1", "2"], shots=[SHOT])
    assert [turn.text for turn in chat][4:] == ["One?", "1", "Two?", "2", "Three?"]
    assert roles(chat)[4:] == ["user", "assistant", "user", "assistant", "user"]
    with pytest.raises(AssertionError, match="3 turns cannot follow 1 replies"):
        messages("", ["One?", "Two?", "Three?"], replies=["1"])


@pytest.fixture(scope="module")
def with_bos(tiny_model: Path) -> Any:
    """A tokenizer that puts a BOS before all that it encodes, as Llama's does; its template writes one."""
    from tokenizers.processors import TemplateProcessing
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    tokenizer.bos_token = "<|im_start|>"
    adds = TemplateProcessing(
        single="<|im_start|> $A", special_tokens=[("<|im_start|>", tokenizer.bos_token_id)]
    )
    tokenizer._tokenizer.post_processor = adds
    tokenizer.chat_template = (
        "{{ bos_token }}{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}"
        "{% if add_generation_prompt %}assistant: {% endif %}"
    )
    return tokenizer


def test_a_tokenizer_that_adds_a_bos_gives_one_to_a_chat_and_none_to_text(with_bos: Any) -> None:
    bos = with_bos.bos_token_id
    assert with_bos.encode("Hello")[0] == bos, "else this tokenizer shows nothing"
    chat = messages("Be brief.", ["One?", "Two?"], replies=["1"], shots=[SHOT])
    prompt = prompt_ids(with_bos, chat)
    assert prompt[0] == bos and prompt.count(bos) == 1
    assert with_bos.decode(prompt[1:]).endswith("user: Two?\nassistant: ")
    assert bos not in prompt_ids(with_bos, "Once upon a time") == text_ids(with_bos, "Once upon a time")
    completion = completion_ids(with_bos, "Because.")
    assert bos not in completion and completion[-1] == with_bos.eos_token_id
    assert completion_ids(with_bos, "Because.", ends=False) == completion[:-1]
    # A chat that is continued as plain text is the same chat.
    text = prompt_text(with_bos, chat)
    assert text.endswith("user: Two?\nassistant: ") and prompt_ids(with_bos, text) == prompt
    # Prompt and completion of one row are one sequence.
    assert (prompt + completion).count(bos) == 1


def test_the_trainers_reference_reads_the_texts_as_the_sampler_does(with_bos: Any) -> None:
    import torch

    seen: list[list[int]] = []

    def model(input_ids: Any, attention_mask: Any) -> Any:
        seen.extend(ids[read.bool()].tolist() for ids, read in zip(input_ids, attention_mask, strict=True))
        return SimpleNamespace(logits=torch.zeros(*input_ids.shape, len(with_bos)))

    liveness.reference(model, with_bos)  # type: ignore[arg-type]
    assert seen == [text_ids(with_bos, text) for text in liveness.TEXTS]
    assert all(with_bos.bos_token_id not in ids for ids in seen)


def calls_of_a_tokenizer(tree: ast.AST) -> Iterator[ast.Call]:
    """Calls that turn text into ids: of a template, or of a tokenizer itself."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        callee = ast.unparse(node.func)
        owner, _, method = callee.rpartition(".")
        encodes = (
            method in ("encode", "encode_plus", "batch_encode_plus", "tokenize") and "tokenizer" in owner
        )
        if method == "apply_chat_template" or encodes or callee.rpartition(".")[2] == "tokenizer":
            yield node


ELSEWHERE = {
    "engine/benchmark/remembered.py": "passes a call of the harness on",
    "engine/benchmark/sampled.py": "as the harness's own backend for Transformers makes ids",
    "engine/corpus/length.py": "counts them, and no model reads them",
}
"""Files that turn text into ids all the same, and why."""


def test_nothing_else_turns_text_into_ids() -> None:
    assert (
        len(list(calls_of_a_tokenizer(ast.parse("self.tokenizer.encode(a)\ntokenizer(b)\na.encode()")))) == 2
    )
    allowed = ROOT / "engine" / "models" / "prompts.py"
    assert len(list(calls_of_a_tokenizer(ast.parse(allowed.read_text())))) == 3
    found = {
        str(file.relative_to(ROOT))
        for room in ("engine", "loops", "tune")
        for file in sorted((ROOT / room).rglob("*.py"))
        if file != allowed
        if any(calls_of_a_tokenizer(ast.parse(file.read_text())))
    }
    assert found == set(ELSEWHERE)


def test_a_template_that_fails_on_a_chat_is_named_with_its_line_and_its_words(tiny_model: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    for template, said in (
        (
            "\n{{ raise_exception('one turn\nat most') }}",
            "in line 2 on a chat of user: TemplateError: one turn at",
        ),
        ("{{ messages[7].content.text }}", "in line 1 on a chat of user: UndefinedError: list object has no"),
        ("{% for %}", "in line 1 on a chat of user: TemplateSyntaxError: "),
    ):
        tokenizer.chat_template = template
        with pytest.raises(ModelError, match=f"^the chat template of {tiny_model} fails {said}"):
            prompt_ids(tokenizer, messages("", ["Why?"]))

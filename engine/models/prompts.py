"""How chats and texts become tokens: written once, so that sampling, scoring and training use the same ids.

Special tokens of a chat, such as the BOS, come from the chat template alone; plain text and completions get
none. A tokenizer that adds a BOS by itself can therefore not double it. Where the template takes no system
message, its text goes into the first user's turn.
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from engine.failures import said_by
from engine.models.identity import ModelError
from engine.models.templates import Chat, system_in_turn, takes_system
from engine.records import Problem, Tokens, Turn

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@lru_cache(maxsize=2)
def tokenizer_of(model: Path) -> "PreTrainedTokenizerBase":
    """The tokenizer of a model's directory."""
    from transformers import AutoTokenizer  # it takes seconds

    return AutoTokenizer.from_pretrained(model, local_files_only=True, trust_remote_code=False)


def messages(
    system: str, turns: Sequence[str], *, replies: Sequence[str] = (), shots: Sequence[Problem] = ()
) -> tuple[Turn, ...]:
    """A chat that ends with the last of the user's `turns`, which is the one to be answered.

    `replies` are the model's earlier replies, one for each turn but the last. `shots` are solved problems,
    which are shown first. An empty `system` gives no system message.
    """
    assert len(replies) == len(turns) - 1, f"{len(turns)} turns cannot follow {len(replies)} replies"
    chat = [Turn(role="system", text=system)] if system else []
    for shot in shots:
        chat += _alternating(shot.turns, shot.gold)
    return (*chat, *_alternating(turns[:-1], replies), Turn(role="user", text=turns[-1]))


def _alternating(turns: Sequence[str], replies: Sequence[str]) -> list[Turn]:
    return [
        each
        for turn, reply in zip(turns, replies, strict=True)
        for each in (Turn(role="user", text=turn), Turn(role="assistant", text=reply))
    ]


def prompt_ids(tokenizer: "PreTrainedTokenizerBase", chat: Sequence[Turn] | str | Tokens) -> list[int]:
    """The chat as tokens, up to where the assistant's text begins; plain text and tokens as they stand."""
    if isinstance(chat, Tokens):
        return list(chat.given)
    return text_ids(tokenizer, prompt_text(tokenizer, chat))


def prompt_text(tokenizer: "PreTrainedTokenizerBase", chat: Sequence[Turn] | str) -> str:
    """The chat as plain text, up to where the assistant's text begins; its tokens are `prompt_ids`."""
    if isinstance(chat, str):
        return chat
    turns = [{"role": turn.role, "content": turn.text} for turn in chat]
    if chat[0].role == "system" and not _takes_system(tokenizer):
        turns = system_in_turn(turns)
    return _rendered(tokenizer, turns)


@lru_cache(maxsize=4)
def _takes_system(tokenizer: "PreTrainedTokenizerBase") -> bool:
    """Whether a tokenizer's template takes a system message; it is asked once."""
    return takes_system(lambda turns: _rendered(tokenizer, turns))


def _rendered(tokenizer: "PreTrainedTokenizerBase", turns: Chat) -> str:
    from engine.models.rendering import FAILURES, line_of

    try:
        return tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
    except FAILURES as error:
        raise ModelError(
            f"the chat template of {tokenizer.name_or_path} fails{line_of(error)} on a chat of "
            f"{' and '.join(dict.fromkeys(turn['role'] for turn in turns))}: {said_by(error)}"
        ) from None


def text_ids(tokenizer: "PreTrainedTokenizerBase", text: str) -> list[int]:
    """Plain text as tokens, without any special token."""
    return tokenizer.encode(text, add_special_tokens=False)


def placed_ids(tokenizer: "PreTrainedTokenizerBase", text: str) -> tuple[list[int], list[int]]:
    """The tokens of `text_ids`, and for each of them the place of its first character in the text.

    A character of several tokens is the place of all of them.
    """
    found = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    return found["input_ids"], [start for start, _ in found["offset_mapping"]]


def completion_ids(tokenizer: "PreTrainedTokenizerBase", text: str, *, ends: bool = True) -> list[int]:
    """A completion as tokens; where it `ends`, with the end of turn that the model must learn to write."""
    return text_ids(tokenizer, text) + [tokenizer.eos_token_id] * ends

"""How a problem becomes tokens: written once, so that sampling and training show a model the same text."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from engine.records import Problem

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Messages = list[dict[str, str]]


def messages(system: str, prompt: str, shots: Sequence[Problem] = ()) -> Messages:
    """A chat that ends with the user's turn; `shots` are solved problems shown before it."""
    turns = [{"role": "system", "content": system}] if system else []
    for shot in shots:
        turns += [{"role": "user", "content": shot.prompt}, {"role": "assistant", "content": shot.gold_text}]
    return [*turns, {"role": "user", "content": prompt}]


def prompt_ids(tokenizer: "PreTrainedTokenizerBase", chat: Messages | str) -> list[int]:
    """The chat as tokens, up to where the assistant's text begins; plain text as it stands."""
    if isinstance(chat, str):
        return tokenizer.encode(chat, add_special_tokens=False)
    return tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=False)


def completion_ids(tokenizer: "PreTrainedTokenizerBase", text: str, *, ends: bool = True) -> list[int]:
    """A completion as tokens; where it `ends`, with the end of turn that the model must learn to write."""
    return tokenizer.encode(text, add_special_tokens=False) + [tokenizer.eos_token_id] * ends

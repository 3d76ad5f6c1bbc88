"""The tokens of a model's tokenizer, as its files name them: read without transformers, before a start."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.models.identity import ModelError, read_json

TOKENIZER, SETTINGS = "tokenizer.json", "tokenizer_config.json"
_SPECIAL = "special_tokens_map.json"
_WITHOUT_DEFAULTS = (None, "PreTrainedTokenizer", "PreTrainedTokenizerFast", "TokenizersBackend")
"""Tokenizer classes that have only those special tokens that a file names; others bring some of their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Special:
    """What special tokens a tokenizer is given."""

    named: Mapping[str, str | None]
    """The texts of ``eos_token`` and its like, as far as a file names them; None where it says that there is
    none."""
    others: tuple[str, ...]
    """Texts of further tokens, which the tokenizer adds where its vocabulary lacks them."""
    complete: bool
    """False where the tokenizer's class brings tokens that no file names."""

    @property
    def has_no_eos(self) -> bool:
        """Whether it is sure that the tokenizer has no token for the end of an answer."""
        return self.named.get("eos_token") is None and (self.complete or "eos_token" in self.named)

    @property
    def in_templates(self) -> dict[str, str]:
        """The tokens that a chat template finds by their names."""
        # Some classes bring these two; their texts do not matter where a template is only tried.
        named = {name: text for name, text in self.named.items() if text is not None}
        return {"bos_token": "", "eos_token": ""} | named


def special_tokens(model: Path) -> Special:
    """The special tokens of a model's tokenizer. Raises ModelError."""
    settings = read_json(model / SETTINGS)
    later = model / _SPECIAL
    # transformers reads this file only where the other does not list the added tokens, and then believes it.
    if later.exists() and "added_tokens_decoder" not in settings:
        settings = settings | read_json(later)
    named = {
        name: _text(token)
        for name, token in settings.items()
        if name.endswith("_token") and (token is None or _text(token) is not None)
    }
    return Special(
        named=named,
        others=tuple(_others(settings)),
        complete=settings.get("tokenizer_class") in _WITHOUT_DEFAULTS,
    )


def _others(settings: Mapping[str, Any]) -> Iterator[str]:
    for key in ("additional_special_tokens", "extra_special_tokens", "added_tokens_decoder"):
        listed = settings.get(key)
        tokens = listed.values() if isinstance(listed, dict) else listed if isinstance(listed, list) else ()
        yield from (text for token in tokens if (text := _text(token)) is not None)


def _text(token: object) -> str | None:
    """A token's text, where it is given as such or with its properties."""
    text = token.get("content") if isinstance(token, dict) else token
    return text if isinstance(text, str) else None


def token_ids(model: Path) -> dict[str, int]:
    """The id of every token in tokenizer.json; empty where it has no vocabulary. Raises ModelError."""
    file = model / TOKENIZER
    content = read_json(file)
    try:
        vocabulary = (content.get("model") or {}).get("vocab") or {}
        if isinstance(vocabulary, list):  # a Unigram model's pieces, with their scores
            vocabulary = {piece[0]: place for place, piece in enumerate(vocabulary)}
        added = {token["content"]: token["id"] for token in content.get("added_tokens") or ()}
        return {str(text): int(number) for text, number in (vocabulary | added).items()}
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        raise ModelError(f"{file} is corrupt: its vocabulary is no table of tokens and ids") from None

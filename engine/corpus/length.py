"""Length: examples that do not fit the model's context are left out, since training would cut them."""

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.curation import Length
from engine.corpus.removal import Removal
from engine.corpus.stations import CurationError, Sorted, removal_of, sorted_by
from engine.tasks.examples import Example

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_TEMPLATE, _TURN = 30, 8
"""Tokens that a chat template adds, about: once, and for each turn."""
_A_WORD, _A_SYMBOL = 1.4, 0.7
"""Tokens of a word and of a symbol: within 6 % of what SmolLM2's tokenizer counts of code and of Markdown,
and 22 % above it for prose."""
_LONG, _A_LETTER = 20, 0.5
"""Letters of a word from which on each is so much of a token: so long is an encoding, or a name of many
words."""
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|\w+")
"""Where nothing stands between words, as in Chinese, a character counts as one."""
_SYMBOL = re.compile(r"([^\w\s])\1*")
"""Of the same symbols in a row one is counted."""
_MOST = 4096
"""Tokens, where neither settings nor a campaign say how many."""


class LengthStation:
    """Leaves out what has more tokens than the model reads."""

    name = "length"

    def __init__(self, settings: Length) -> None:
        """Raises CurationError where the model's directory holds no tokenizer that can be read."""
        self._settings = settings
        self._tokenizer = None if settings.model is None else _tokenizer(settings.model)

    def __call__(self, examples: Sequence[Example]) -> Sorted:
        return sorted_by(self.judge, examples)

    def judge(self, example: Example) -> Example | Removal:
        """The example itself, or its removal because it is too long."""
        most = self._settings.max_tokens or _MOST
        # A token has at least one byte, so that most examples need not be counted.
        if _size(example, lambda text: len(text.encode())) <= most:
            return example
        num = _size(example, self._count)
        if num <= most:
            return example
        about = "about " if self._tokenizer is None else ""
        reason = f"{about}{num:,} tokens; length.max_tokens is {most:,}"
        return removal_of(example, station=self.name, fault="too_long", reason=reason)

    def _count(self, text: str) -> int:
        if self._tokenizer is None:
            words = _WORD.findall(text)
            beyond = sum(max(0, len(word) - _LONG) for word in words)
            symbols = len(_SYMBOL.findall(text))
            return round(_A_WORD * len(words) + _A_LETTER * beyond + _A_SYMBOL * symbols)
        return len(self._tokenizer.encode(text, add_special_tokens=False).ids)


def fitted(settings: Length, base: str, limits: Iterable[int]) -> Length:
    """The settings for a model to be trained: what they leave open is the least of `limits`, in tokens, and
    the tokenizer of `base`, where that is a directory with one."""
    changes: dict[str, Any] = {}
    if settings.max_tokens is None:
        changes["max_tokens"] = min(limits)
    if settings.model is None and (Path(base) / "tokenizer.json").is_file():
        changes["model"] = base
    return settings.model_copy(update=changes)


def _size(example: Example, count: Callable[[str], int]) -> int:
    """Tokens of the chat with its longest reply, where `count` says how many a text has."""
    added = _TEMPLATE + _TURN * (len(example.chat) + 1)
    replies = max(count(example.chosen), count(example.rejected))
    return added + sum(count(turn.text) for turn in example.chat) + replies


def _tokenizer(model: str) -> "Tokenizer":
    """The tokenizer in a model's directory."""
    from tokenizers import Tokenizer

    file = Path(model) / "tokenizer.json"
    if not file.is_file():
        raise CurationError(f"length.model: there is no tokenizer.json in {model}")
    try:
        return Tokenizer.from_file(str(file))
    except Exception as error:  # noqa: BLE001 - the package raises nothing narrower
        raise CurationError(f"length.model: {file} cannot be read: {error}") from None

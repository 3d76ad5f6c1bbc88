"""Form: texts that would not reach a model as they stand are left out before anything else reads them."""

import re
from collections.abc import Sequence

from engine.corpus.private import unmasked_removal_of
from engine.corpus.removal import Removal
from engine.corpus.stations import Sorted, sorted_by
from engine.tasks.examples import Example

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
"""Characters that are no text: all controls but tab and line breaks, and halves of surrogate pairs."""
_MARKUP = re.compile(
    r"<\|(?:im_start|im_end|im_sep|endoftext|begin_of_text|end_of_text|start_header_id|end_header_id|eot_id"
    r"|eom_id|user|assistant|system|end)\|>|<(?:start|end)_of_turn>|\[/?INST\]|<</?SYS>>"
)
"""Marks of chat templates. A tokenizer reads them as the end of a turn, not as text."""


class FormStation:
    """Leaves out what is too long to look at, holds what is no text, or breaks out of a chat template."""

    name = "form"

    def __init__(self, max_chars: int) -> None:
        """`max_chars` is the most that all texts of an example may have together."""
        self._max_chars = max_chars

    def __call__(self, examples: Sequence[Example]) -> Sorted:
        return sorted_by(self.judge, examples)

    def judge(self, example: Example) -> Example | Removal:
        """The example itself, or its removal: ``too_long``, ``control`` or ``markup``."""
        # First, so that nothing after it reads more than it should.
        if (num := sum(map(len, example.texts))) > self._max_chars:
            reason = f"has {num:,} characters; max_chars is {self._max_chars:,}"
            return unmasked_removal_of(example, station=self.name, fault="too_long", reason=reason)
        for text in example.texts:
            if found := _CONTROL.search(text):
                reason = f"holds the character {ascii(found[0])} at {found.start() + 1}, which is no text"
                return unmasked_removal_of(example, station=self.name, fault="control", reason=reason)
            if found := _MARKUP.search(text):
                reason = f"holds {found[0]}, which a tokenizer reads as the mark of a turn"
                return unmasked_removal_of(example, station=self.name, fault="markup", reason=reason)
        return example

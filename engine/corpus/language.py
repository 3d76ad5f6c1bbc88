"""Language: examples in a language that is not wanted are left out; where it cannot be told, they are kept.

The last user's turn and the replies are looked at one by one, without code and links, by py3langid (Lui and
Baldwin 2012, langid.py), which brings its model and asks no network. Short texts and code have no language.
"""

import re
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

from configs.curation import Language
from engine.corpus.removal import Removal
from engine.corpus.stations import CurationError, Sorted, removal_of, sorted_by
from engine.tasks.examples import Example

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

_READ = 2000
"""Characters of a text that are looked at: more change nothing, and cost time."""
_LEAST_BYTES = 50
"""Bytes of letters, in UTF-8, from which a language can be told: about ten words, or twenty characters of
Chinese."""
_MOST_MARKS = 0.04
"""Share of the marks of code from which a text is taken for code."""
_NOT_PROSE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`|\b\w+://\S+|\S{1,64}@\S+|[\d_]+", re.DOTALL)
_MARK = re.compile(r"[{}\[\]<>=;|\\#$&*+^~]")
_LETTERS = re.compile(r"[^\W\d_]+")
_NO_LANGUAGE = "zxx"
"""The code of ISO 639-2 for what is in no language."""
_RELATIVES = ({"bs", "hr", "sr"}, {"id", "ms"}, {"da", "no", "nn"})
"""Languages that a few sentences do not tell apart: where one is allowed, none of them is dropped."""


class LanguageStation:
    """Leaves out what is in another language than the allowed ones."""

    name = "language"

    def __init__(self, settings: Language) -> None:
        """Raises CurationError for a code that the identifier does not know."""
        known = sorted(code for code in _identifier().labels if len(code) == 2)
        if unknown := [code for code in settings.allowed if code not in known]:
            can = ", ".join(known)
            raise CurationError(
                f"language.allowed: '{unknown[0]}' is no language that can be told; these can: {can}"
            )
        self._settings = settings
        self._kept = set(settings.allowed).union(
            *(group for group in _RELATIVES if group & set(settings.allowed))
        )

    def __call__(self, examples: Sequence[Example]) -> Sorted:
        return sorted_by(self.judge, examples)

    def judge(self, example: Example) -> Example | Removal:
        """The example itself, or its removal for the first of its texts that is in another language."""
        sides = {"prompt": example.prompt, "reply": example.chosen, "rejected reply": example.rejected}
        for side, text in sides.items():
            code, chance = language_of(text)
            if code and code not in self._kept and chance >= self._settings.least:
                allowed = ", ".join(self._settings.allowed)
                reason = f"the {side} is in '{code}' with a chance of {chance:.2f}; allowed: {allowed}"
                return removal_of(example, station=self.name, fault="language", reason=reason)
        return example


def language_of(text: str) -> tuple[str, float]:
    """The code of a text's language and the chance that it is; an empty code where it cannot be told."""
    prose = _NOT_PROSE.sub(" ", text[:_READ])
    letters = "".join(_LETTERS.findall(prose))
    if len(letters.encode()) < _LEAST_BYTES or len(_MARK.findall(prose)) > _MOST_MARKS * len(prose):
        return "", 0.0
    code, chance = _identifier().classify(" ".join(prose.split()))
    return ("", 0.0) if code == _NO_LANGUAGE else (code, chance)


@cache
def _identifier() -> "LanguageIdentifier":
    """The identifier of this process, for languages with a code of ISO 639-1."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages([code for code in identifier.labels if len(code) == 2 or code == _NO_LANGUAGE])
    return identifier

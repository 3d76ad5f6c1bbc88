"""Quality: named heuristics for replies that teach nothing, or something wrong about how to write.

They look at the reply that is learnt, never at the rejected side of a pair, which may be as bad as it likes.
`quality.drop` chooses among them; `score_of` ranks what they leave.
"""

import math
import os.path
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from configs.curation import Quality
from engine.corpus.removal import Removal
from engine.corpus.stations import CurationError, Sorted, removal_of, sorted_by
from engine.curate.likeness import FUNCTION_WORDS, said, told_apart, words
from engine.tasks.examples import Example

_SHOWN = 40
_FENCE = "```"
_FENCED = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_RUN, _LEAST_TIMES = 5, 4
"""Words of a run, and how often it or a line stands where it is repeated."""
_LEAST_LINE, _LEAST_WORDS, _LEAST_PARTS = 12, 30, 10
"""Characters of a line, words and parts of a reply from which they can tell anything."""
_LEAST_SHOUTED, _LEAST_CUT, _LEAST_ECHO = 60, 80, 5
"""Letters, characters and words, likewise."""
_DISCLAIMER = re.compile(
    r"\bas an? (?:(?:ai|artificial intelligence)(?: (?:language )?(?:model|assistant|chatbot|system))?"
    r"|(?:large )?language model)(?: (?:developed|trained|created|made) by [^.!?,\n]{1,30})?,? i\b"
    r"(?:['’]m| am| do| don['’]t| can| can['’]t| cannot| could| have| haven['’]t| lack| was)",
    re.IGNORECASE,
)
_PLACEHOLDERS = frozenset(
    ("todo", "tbd", "fixme", "placeholder", "lorem ipsum", "asdf", "[deleted]", "[removed]")
    + ("[object object]", "#n/a", "#ref!", "...", "…", "???")
)
_NOT_A_NUMBER = "nan"
"""What a spreadsheet's empty cell becomes on its way through pandas."""
_FILLER = "lorem ipsum dolor sit amet"
_ASKS_FOR_CAPITALS = re.compile(r"capital|upper.?case|all.?caps|majuscule|gro(?:ß|ss)", re.IGNORECASE)
_LOST = "\N{REPLACEMENT CHARACTER}"
_CODE = re.compile(r"[{}=<>_*]|;\s*$", re.MULTILINE)
_RULE = re.compile(r"[|:+=-]+")
"""What the lines of a table are drawn with."""
_OPEN_END = re.compile(r"(?:[,(]|(?<=\w)-|\b(?:the|an|and|or|of|because|than|whose|und|oder|et|ou))$")


def _repetitive(example: Example) -> str:
    """Most of the reply is one line, or runs of words, over and over (after Rae et al. 2021, table A1)."""
    text = _FENCED.sub("\n", example.chosen)
    if text.lstrip()[:1] in ("{", "[", "<"):
        return ""  # data, in which keys repeat
    lines = [line.strip() for line in text.splitlines() if len(line.strip()) >= _LEAST_LINE]
    if lines:
        line, num = Counter(lines).most_common(1)[0]
        if num >= _LEAST_TIMES and num * len(line) > len(text) / 2:
            return f"one line stands {num} times: '{line[:_SHOWN]}'"
    told = text.split()
    if len(told) >= _LEAST_WORDS:
        runs = [tuple(told[i : i + _RUN]) for i in range(len(told) - _RUN + 1)]
        times = Counter(runs)
        repeated = [place for place, run in enumerate(runs) if times[run] >= _LEAST_TIMES]
        if len({place + i for place in repeated for i in range(_RUN)}) > len(told) / 2:
            run, num = times.most_common(1)[0]
            return f"a run of {_RUN} words stands {num} times: '{' '.join(run)[:_SHOWN]}'"
    return ""


def _echo(example: Example) -> str:
    """The reply says what was asked, and no more."""
    asked = said(example.prompt)
    is_echo = len(asked) >= _LEAST_ECHO and told_apart(example.chosen) == told_apart(example.prompt)
    return "the reply repeats the prompt" if is_echo else ""


def _disclaimer(example: Example) -> str:
    """Another model speaks of itself: “As an AI language model, I cannot …”."""
    found = _DISCLAIMER.search(example.chosen[:400])
    return f"another model speaks of itself: '{found[0][:_SHOWN]}'" if found else ""


def _placeholder(example: Example) -> str:
    """The reply stands for one that was never written, or holds a printer's filler text."""
    plain = " ".join(example.chosen.casefold().split())
    if plain in _PLACEHOLDERS or example.chosen.strip() == _NOT_A_NUMBER:
        return f"the reply is a placeholder: '{plain}'"
    is_asked = "lorem" in example.prompt.casefold()
    return "the reply holds filler text: 'lorem ipsum'" if _FILLER in plain and not is_asked else ""


def _mojibake(example: Example) -> str:
    """A text lost characters, or was decoded in the wrong encoding, “donâ€™t”: ftfy (Speer 2019) can tell."""
    for side, text in (("prompt", example.prompt), ("reply", example.chosen)):
        if _LOST in text:
            return f"the {side} holds U+FFFD, which stands where a character was lost"
        if not text.isascii():
            from ftfy import fix_encoding

            if (meant := fix_encoding(text)) != text:
                at = len(os.path.commonprefix([text, meant]))
                shown, right = text[at : at + 20], meant[at : at + 20]
                return f"the {side} was decoded in the wrong encoding: '{shown}' may have been '{right}'"
    return ""


def _symbols(example: Example) -> str:
    """Hardly anything of the reply is a word or a number."""
    parts = [part for part in _FENCED.sub(" ", example.chosen).split() if not _RULE.fullmatch(part)]
    worded = sum(any(map(str.isalnum, part)) for part in parts)
    few = len(parts) >= _LEAST_PARTS and worded < 0.4 * len(parts)
    return f"{worded} of {len(parts)} parts of the reply hold a letter or a digit" if few else ""


def _shouting(example: Example) -> str:
    """The reply is in capitals, and neither code nor asked to be."""
    cased = [char for char in example.chosen if char.isupper() or char.islower()]
    if len(cased) < _LEAST_SHOUTED or sum(map(str.isupper, cased)) < 0.9 * len(cased):
        return ""
    may_be = len(_CODE.findall(example.chosen)) > 1 or _ASKS_FOR_CAPITALS.search(example.prompt)
    return "" if may_be else "the reply is in capitals"


def _cut_off(example: Example) -> str:
    """The reply ends in the middle of a sentence or of a block of code."""
    text = example.chosen.rstrip()
    if sum(line.lstrip().startswith(_FENCE) for line in text.splitlines()) % 2:
        return "a block of code in the reply is not closed"
    if len(text) >= _LEAST_CUT and _OPEN_END.search(text[-20:]):
        return f"the reply ends in the middle of a sentence: '…{' '.join(text[-30:].split())}'"
    return ""


HEURISTICS: Mapping[str, Callable[[Example], str]] = {
    "repetitive": _repetitive,
    "echo": _echo,
    "disclaimer": _disclaimer,
    "placeholder": _placeholder,
    "mojibake": _mojibake,
    "symbols": _symbols,
    "shouting": _shouting,
    "cut_off": _cut_off,
}
"""By name, what says why an example is left out; an empty text keeps it."""


class QualityStation:
    """Leaves out what a heuristic finds."""

    name = "quality"

    def __init__(self, settings: Quality) -> None:
        """Raises CurationError for a heuristic that does not exist."""
        names = list(HEURISTICS) if settings.drop is None else settings.drop
        if unknown := [name for name in names if name not in HEURISTICS]:
            raise CurationError(
                f"quality.drop: '{unknown[0]}' is no heuristic; there are {', '.join(HEURISTICS)}"
            )
        self._names = names

    def __call__(self, examples: Sequence[Example]) -> Sorted:
        return sorted_by(self.judge, examples)

    def judge(self, example: Example) -> Example | Removal:
        """The example itself, or its removal by the first heuristic that finds something."""
        for name in self._names:
            if reason := HEURISTICS[name](example):
                return removal_of(example, station=self.name, fault=name, reason=reason)
        return example


def score_of(example: Example) -> float:
    """How much a reply is likely to teach, from 0 to 1, by which `quality.keep_share` ranks examples.

    The mean of three shares: how many of the prompt's words that mean something the reply takes up, where
    half is enough; how many of the reply's runs of three words are different; and its length, on a scale of
    logarithms that ends at 200 words. What is gained by learning from the best share is not measured yet.
    """
    told = words(example.chosen)
    asked = {word for word in words(example.prompt) if word[0].isalnum() and word not in FUNCTION_WORDS}
    taken = len(asked.intersection(told)) / len(asked) if asked else 1.0
    runs = [tuple(told[i : i + 3]) for i in range(max(1, len(told) - 2))]
    variety = len(set(runs)) / len(runs)
    length = min(1.0, math.log1p(len(told)) / math.log1p(200))
    return (min(1.0, 2 * taken) + variety + length) / 3

"""Words by which a sentence denies, doubts or takes back the answer that it mentions.

A reply that only mentions the answer must not pass. A false refusal costs one sample, and a false pass is
learnt: so where a sentence can be read in two ways it holds no answer.
"""

import re

_DENIES = (
    r"not|n['’]t|cannot|never|neither|nor|no|none|nobody|wrong\w*|incorrect\w*|mistake\w*|mistook|false|"
    r"fake|doubt(?:s|ed|ful)?|rather|instead|unlike|except|excluding|without|ignore\w*|disregard"
)
_DOUBTS = (
    r"maybe|perhaps|possibl[ey]|might|could be|may be|guess\w*|unsure|uncertain|unclear|unknown|whether|"
    r"either|if|unless|suppos\w*|assum\w*|imagine|wonder\w*|hope|wish|expected|seems?"
)
_SUPPOSES = re.compile(
    r"(?:\A|[,;:(–—])\W*(?:[Hh]ad|[Ww]ere|[Ss]hould)\s+(?:(?:I|he|she|it|we|they|you|the|there)\b|[A-Z]\w)"
)
"""How a clause begins that sets out from what is not so: "Had she bought two, it would be"."""
_QUOTES = (
    r"ask(?:s|ed)?|says?|said|told|tells|thought|thinks|claim(?:s|ed)?|believe[sd]|others?|someone|people|"
    r"friend|textbook|book has|key has|example|previous\w*|earlier|at first|originally|initial\w*|used to|"
    r"was once"
)
_TAKES_BACK = (
    r"wait|hmm+|actually|however|but|sorry|oops|recheck|re-check|correction|no longer|impossible|"
    r"what|wrote|said|says|o['’]clock|too (?:many|much|high|low|big|large|small|few)|or"
)
_WEAKENS = re.compile(rf"(?i)(?<!\w)(?:{_DENIES}|{_DOUBTS}|{_QUOTES})(?!\w)|\w+n['’]t(?!\w)")
_SPOILS = re.compile(
    rf"(?i)(?<!\w)(?:{_DENIES}|{_TAKES_BACK}|maybe|perhaps|might|guess|unsure|either)(?!\w)|\w+n['’]t(?!\w)|\?"
)
_OVER = re.compile(
    r"(?i)[^.!?\n]*\bbefore\s*(?:[.,;:!?)\n]|\Z)"
    r"|[ \t]*(?:[A-Za-z]+[ \t]+)?(?:was|were|had been)\b[^.!?\n]*\b(?:before|earlier|formerly|yesterday|"
    r"last\s+(?:year|week|month|time))\b"
)
"""What says of an answer that it was one: "42 was the price before"."""
_ENDS = re.compile(r"[.!?](?=\s|$)|\n")


def weakened_before(text: str) -> bool:
    """Whether the sentence that `text` breaks off in denies, doubts or quotes what would come next."""
    start = max((match.end() for match in _ENDS.finditer(text)), default=0)
    return bool(_WEAKENS.search(text, start) or _SUPPOSES.search(text[start:]))


def spoilt_after(text: str) -> bool:
    """Whether what follows an answer denies it, takes it back, says that it is over, or asks."""
    return bool(_SPOILS.search(text) or _OVER.match(text))

"""What stands around a number and makes it no answer: ranges, bounds, operands, labels."""

import re

_BEFORE_ENDS = "|".join(
    (
        # One of several, or the end of a range: "41 or", "between 40 and", "40 to", "12 of", "41,".
        r"(?:\d|\bbetween\b)[^.\n]{0,40}\band\s*",
        r"\d\s*(?:%|[A-Za-z$€£]+\s+)?(?:to|or|and|–|-)\s*",
        r"\d,?\s+(?:or|and|vs\.?|versus)\s*",
        r"\d[\d,.]*\s*(?:out )?of (?:the |all |its )?",
        r"\d\s*[&,;]\s*",
        # A bound, and all but a number.
        r"\b(?:but|than|over|under|above|below|beyond|least|most|up to|within|exceed\w*|nearly|almost)\s*",
        r"(?:[<>≤≥±≠]|!=|\+/-|\\(?:leq?|geq?|neq?|pm)|\\[lg]t)=?\s*",
    )
)
_RANGE = re.compile(rf"(?i)(?:{_BEFORE_ENDS})\Z")
_DONE_TO = (
    r"twice|thrice|double|triple|half|thirds?|quarters?|root|square|cube|log|ln|sqrt|times|plus|divided by|"
    r"multiplied by|product|difference|ratio"
)
_COUNTS = (
    r"page|question|step|problem|chapter|line|item|figure|option|part|day|number|no\.|base|from|until|since|"
    r"version|level|round|row"
)
_OPERAND_BEFORE = re.compile(
    rf"(?i)(?:\b(?:{_DONE_TO}|{_COUNTS})\s*(?:of\s*)?(?:the\s*)?(?:number\s*)?"
    r"|\blet\s+\w+\s*(?:=|be)|\d\s*x|[A-Za-z\\]\w*[({\[]|\b(?-i:[A-H])[).]|[√∛∜|!])\s*[$€£]?\Z"
)
_OPERAND_AFTER = re.compile(
    r"(?i)\s*(?:[+-]\s*(?:\Z|[^A-Za-z\d])|!!|\)\s*\(|%\s*\d|[|%‰])"
    r"|[^.\n]*\b(?:times|multiplied|divided|plus|minus|squared|cubed|factorial|percentage points?"
    r"|(?:more|less|fewer|greater|higher|lower|larger|smaller)\b[^.\n]*\bthan)\b"
)
_CIRCUMSTANCE = re.compile(
    r"(?i)\d[^.!?\n]*\b(?:for|in|during|within|after|before|every|at|on|with)\s+[$€£]?\Z"
)
"""How long, when or for what, after another number of the sentence."""
_MORE_TO_COME = re.compile(r"\s*[A-Za-z%]*\s*(?:\bto\b|–|\band\b|[,;])\s*[$€£]?\d")
_DASH = re.compile(r"[A-Za-z]\s*-\s+\Z")
"""A dash or a minus: "Answer - 42"."""
_FAR = 600
"""Characters before a number that are looked at."""


def is_something_else(before: str, after: str) -> bool:
    """Whether a number between `before` and `after` is a part or a bound of an answer, or a label."""
    before = before[-_FAR:]
    return bool(
        _RANGE.search(before)
        or _OPERAND_BEFORE.search(before)
        or _CIRCUMSTANCE.search(before)
        or _DASH.search(before)
        or _OPERAND_AFTER.match(after)
        or _MORE_TO_COME.match(after)
    )

"""What stands around a number and makes it no answer: ranges, bounds, operands, labels, open equations."""

import re

NUMBER_WORD = (
    r"(?:zero|(?:twen|thir|for|fif|six|seven|eigh|nine)ty|(?:thir|four|fif|six|seven|eigh|nine)teen|one|two|"
    r"three|four|five|six|seven|eight|nine|ten|eleven|twelve|hundred|thousand|million)(?![a-z])"
)
"""A number in words, or the first word of one."""
_BEFORE_ENDS = "|".join(
    (
        # One of several, or the end of a range: "41 or", "between 40 and", "40 to", "12 of", "41,", "41".
        r"(?:\d|\bbetween\b)[^.\n]{0,40}\band\s*",
        r"\d\s*(?:%|[A-Za-z$€£]+\s+)?(?:to|or|and|–|—|-)\s*",
        r"\d,?\s+(?:or|and|vs\.?|versus)\s*",
        r"\d[\d,.]*\s*(?:out )?of (?:the |all |its )?",
        r"\d\s*[&,;]\s*",
        r"\d[ \t]+",
        rf"\b(?:out|{NUMBER_WORD})\s+of\s*",
        rf"\b{NUMBER_WORD}[ \t]+",
        # The smaller unit of two: "5 feet", "6 h".
        r"\d\s*(?:hours?|hrs?|h|minutes?|mins?|feet|foot|ft|['’]|yards?|yd|miles?|m|km|pounds?|lbs?|kg|"
        r"years?|months?|weeks?|days?|dollars?|euros?)[ \t]*,?[ \t]*",
        # A bound, all but a number, and about it. After ≈ stands what an equation comes to.
        r"\b(?:but|than|less|over|under|above|below|beyond|least|most|up to|within|exceed\w*|nearly|almost|"
        r"near|close to|shy of|short of|about|around|roughly|approximately|(?<!\\)approx\.?|circa|"
        r"ballpark of)\s*",
        r"(?:[<>≤≥±≠]|!=|\+/-|\\(?:leq?|geq?|neq?|pm)|\\[lg]t)=?\s*",
    )
)
_RANGE = re.compile(rf"(?i)(?:{_BEFORE_ENDS})\Z")
_DONE_TO = (
    r"twice|thrice|double|triple|half|thirds?|quarters?|root|square|cube|log|ln|sqrt|times|plus|divided by|"
    r"multiplied by|product|difference|ratio|reciprocal|inverse|opposite|negation|negative|power|"
    r"absolute value"
)
_COUNTS = (
    r"page|question|step|problem|chapter|line|item|figure|option|part|day|number|no\.|base|from|until|since|"
    r"version|level|round|row|room|eqn?\.?|equation|table|section|exercise|theorem|column|paragraph|volume|flight"
)
_OPERAND_BEFORE = re.compile(
    rf"(?i)(?:\b(?:{_DONE_TO}|{_COUNTS})\s*(?:of\s*)?(?:the\s*)?(?:number\s*)?"
    r"|\blet\s+\w+\s*(?:=|be)|\d\s*x|[A-Za-z\\]\w*[({\[]|\b(?-i:[A-H])[).]|[√∛∜|!]|\]\s*\{|\}[ \t]*"
    r"|-\s*\(\s*|\(-\))\s*[$€£]?\Z"
)
_PARTS = (
    r"tenths|hundredths|thousandths|millionths|halves|thirds|fourths|fifths|sixths|sevenths|eighths|ninths|"
    r"twelfths"
)
_OPERAND_AFTER = re.compile(
    r"(?i)\s*(?:[+-]\s*(?:\Z|[^A-Za-z\d])|!!|\)\s*\(|%\s*\d|[%‰])"
    r"|[ \t]*[*/^+-][ \t]*(?:\Z|[A-Za-z](?![A-Za-z])|\\[a-z])"
    rf"|[ \t]*-?(?:{_PARTS}|basis points?|-?ish|something|upwards?|tops|max(?:imum)?|below zero|B\.?C)\b"
    r"|(?:[ \t]+[A-Za-z]+)?[ \t]*[,(]?[ \t]*(?:roughly|approximately|approx)\b"
    r"|[^.\n]*\b(?:times|multiplied|divided|plus|minus|squared|cubed|factorial|percentage points?"
    r"|halved|doubled|tripled|quadrupled|(?:de|in)creased by|(?:reduced|lowered|raised) (?:by|to the)"
    r"|at (?:the )?(?:very )?(?:most|least)|give or take"
    r"|(?:more|less|fewer|greater|higher|lower|larger|smaller)\b[^.\n]*\bthan)\b"
    r"|(?:[ \t]+[A-Za-z]+)?[ \t]+and[ \t]+(?:more|above|up|upwards?|over|beyond|higher|counting|then some|"
    r"something|an?[ -](?:half|third|quarter|fourth|fifth|tenth))\b"
    rf"|(?:[ \t]+[A-Za-z]+)?[ \t]+(?:and|less|over|with)[ \t]+{NUMBER_WORD}"
    rf"|[ \t]*[,;/]?[ \t]*(?!one){NUMBER_WORD}"
)
_CIRCUMSTANCE = re.compile(
    r"(?i)\d[^.!?\n]*\b(?:for|in|during|within|after|before|every|at|on|with)\s+[$€£]?\Z"
)
"""How long, when or for what, after another number of the sentence."""
_MORE_TO_COME = re.compile(
    r"(?i)\s*[A-Za-z%]*\s*(?:\bto\b|–|\band\b|[,;])\s*[$€£]?\d"
    r"|[ \t]+(?:out of[ \t]+)?[$€£]?\d|[ \t]*[([][-+$€£\d., /%]*\d[-+\d., /%]*[)\]]|[ \t]*E[-+]?\d"
    # "42 of 7", "42 hours 6": only a circumstance may follow.
    r"|[ \t]*(?!(?:for|in|on|at|after|when|if|since|because|as|with|every|each)\b)[A-Za-z°]+[ \t]+[$€£]?\d"
)
_DASH = re.compile(r"[A-Za-z]\s*[-–—]\s+\Z")
"""A dash or a minus: "Answer - 42"."""
_EQUATED = re.compile(r"([^=\n;:?]*)=\s*(?:\\?[$€£]|\\[(\[])?\s*\Z")
"""The left side of an equation that breaks off before its number."""
_TIMES = re.compile(r"(?<=[\w)%.])\s*[xX]\s*(?=[$€£(]?\.?\d)")
"""An x between two factors."""
_LETTER = r"(?<![A-Za-z'’\\])(?!a\s+[a-z]{2})[A-Za-z](?![A-Za-z'’])"
_UNSOLVED = re.compile(
    rf"\d\s?{_LETTER}|{_LETTER}\s*\)?\s*(?:[+*/^!|]|-(?![A-Za-z]{{2}})|mod\b)"
    rf"|(?:[-+*^√|]|(?<![A-Za-z])/)\s*(?:\d+\s*)?{_LETTER}(?!\s*\()|\b(?:sin|cos|tan|log|ln|exp|sqrt)\s*\(?\s*{_LETTER}"
)
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
        or is_unsolved(before, after)
    )


def is_unsolved(before: str, after: str = "") -> bool:
    """Whether `before` is the left side of an equation that is still to be solved: "2x =" or "x + 1 =".

    A name alone may stand there, words, or an expression of numbers, whose units are those of the number.
    """
    equated = _EQUATED.search(before[-_FAR:])
    if not equated:
        return False
    left = _TIMES.sub("*", re.split(r"[.,]\s|!\s+(?=[A-Z])", equated[1])[-1])
    if unit := re.match(r"\s?([A-Za-z])(?![A-Za-z])", after):
        left = re.sub(rf"(?<=\d)\s?{unit[1]}(?![A-Za-z])", "", left)
    return _UNSOLVED.search(left) is not None

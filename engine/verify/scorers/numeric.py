"""The answer has the value of an accepted one.

The number is found in the reply by rules of ours (`numbers.py`, `contexts.py`, `hedges.py`), then math-verify
compares values. It evaluates through sympy, so it sees only short texts of a few characters (`_SAFE`), and it
runs in the pool of verifiers only, where time and memory are limited. Its own timeouts, by signals, are off.
"""

import re
from functools import lru_cache
from typing import Any

from math_verify import LatexExtractionConfig, parse
from math_verify import verify as same_value

from configs.scorers import Numeric
from engine.answers import around_box, find_answer
from engine.records import Attempt, Fault, Problem, Reference, Verdict
from engine.verify.scorers.contexts import NUMBER_WORD, is_something_else, is_unsolved
from engine.verify.scorers.hedges import spoilt_after, weakened_before
from engine.verify.scorers.numbers import Number, entire, has_digit, numbers_in, plain
from engine.verify.scorers.scoring import Score, judged, nothing_found, right, wrong

NAME = "numeric"
_SAFE = re.compile(
    r"(?:[0-9.+\-*/^(){} ,]|\\(?:frac|dfrac|tfrac|sqrt|pi|cdot|times|left|right)(?![A-Za-z]))+"
)
"""All that math-verify is given: digits, operators, braces, and commands that name numbers."""
_LONGEST = 80
_STATED = re.compile(r"(?i)(?:####|\banswer\s*(?:is|was|=|:|equals|comes to|would be)\s*:?)")
"""How a reply says which of its numbers is the answer."""
_IN_WORDS = re.compile(
    r"(?i)\banswer\s{0,3}(?:is|was|=|:|equals|comes to|would be|of)"
    rf"(?:\W{{1,5}}\w+){{0,2}}?\W{{1,5}}{NUMBER_WORD}"
)
"""A statement of the answer without a digit."""
_BEFORE_BOX = re.compile(
    r"(?i)(?:[-−+/^√<>≤≥≠]|[\w)}]\s*\*|\\(?:cdot|times|neq?|geq?|leq?|pm)|"
    r"(?:\bnot|n['’]t|\bnever|\bnor)(?:\s+(?:be|equal|equal to|is|the answer))?)[ \t]*[$({\[]*\s*\Z"
)
_AFTER_BOX = re.compile(
    r"[ \t]*\$?[ \t]*(?:\\(?:cdot|times|div|pm)(?![A-Za-z])|\+|\^(?!\s*\{?\s*(?:\\circ|°))|[-−*/]\s*[\d\\(])"
)
"""What makes a box a part of something else."""
_NEAR = 200
"""Characters before a box that are looked at."""
_CASE = re.compile(r"(?i)\b(?:if|suppos\w*|assum\w*|original\w*|initial\w*)\b")
"""Words with which a sentence begins with a case."""
_ROUNDED = 4
"""Significant digits from which a decimal may stand for a number that has no end."""


def score(truth: Reference, reply: str, settings: Numeric) -> Score:
    """Right where the number that is found has the value of an accepted answer, and the unit of one."""
    found = _found(reply, settings)
    if not found:
        return nothing_found(settings.find)
    shown = found.shown if isinstance(found, Number) else found
    if _value(found) is None:
        return Score(shown, Fault.UNPARSED, "the answer cannot be read as a number")
    if any(_equal(answer, found) for answer in truth.accepted):
        return right(shown)
    return wrong(shown, truth.accepted)


def _found(reply: str, settings: Numeric) -> Number | str | None:
    """The number of a reply, or an expression that is more than one number; None where there is none."""
    if settings.find == "last_number":
        return _last_number(plain(reply))
    part = find_answer(reply, settings.find)
    if settings.find == "boxed" and _is_part(*around_box(reply)):
        return None
    number = entire(part)
    if number is None:
        return _expression(part) if part else None
    after = plain(part)[number.end :]
    return None if spoilt_after(after) or is_something_else("", after) else number


def _is_part(before: str, after: str) -> bool:
    """Whether what stands around a box makes it a part of something else, or denies it."""
    before = before[-_NEAR:]
    return bool(_BEFORE_BOX.search(before) or _AFTER_BOX.match(after) or is_unsolved(before))


def _expression(text: str) -> str:
    """A text as LaTeX; whatever it holds, it is read only where it is safe."""
    text = re.sub(r"\\[,!;:]|\{,\}|\\left|\\right", "", text).strip().strip("$").strip().rstrip(".")
    return re.sub(r"^[A-Za-z]\s*=\s*", "", text.replace("π", "\\pi ").replace("−", "-"))


def _last_number(text: str) -> Number | None:
    """The number that a plain text states as its answer, else its last one.

    None where the last digits are no number, and where the text denies or doubts it, or leaves it open.
    """
    numbers = numbers_in(text)
    said = [match.end() for match in _STATED.finditer(text) if has_digit(text[match.end() :])]
    if said:
        number = _stated(text, [each for each in numbers if each.start >= said[-1]], said[-1])
    else:
        number = numbers[-1] if numbers and not has_digit(text[numbers[-1].end :]) else None
    if number is None or _IN_WORDS.search(text, number.end):
        return None
    before, after = text[: number.start], text[number.end :]
    if number.operand or is_something_else(before, after) or _is_after_dash(text, number):
        return None
    if re.search(r"(?<![!<>≠])=\s*[$€£]?\s*\Z", before):
        # What an equation comes to is not put in doubt by the case that its sentence begins with.
        before = _CASE.sub("", before)
    return None if weakened_before(before) or spoilt_after(after) else number


def _stated(text: str, numbers: list[Number], said: int) -> Number | None:
    """The first of `numbers` after a statement of the answer at `said`, or what its equation comes to.

    None where it is of another sentence or line, or other digits stand before it.
    """
    if not numbers:
        return None
    between = text[said : numbers[0].start].strip()
    if has_digit(between) or re.search(r"\n|[.!?](?:\s|\Z)", between):
        return None
    number = numbers[0]
    for following in numbers[1:]:
        between = text[number.end : following.start]
        if not re.fullmatch(r"[-+*/=() $]+", between) or not ("=" in between or number.operand):
            break
        number = following
    return number


def _is_after_dash(text: str, number: Number) -> bool:
    """Whether the sign of a number may as well be a dash: "Answer - 42"."""
    return (
        text.startswith(("- ", "+ "), number.start)
        and re.search(r"[A-Za-z]\s\Z", text[: number.start]) is not None
    )


def _equal(answer: str, found: Number | str) -> bool:
    """Whether what was found has the value of an accepted answer, and no other unit where that has one."""
    wanted = entire(answer) or _expression(answer)
    if isinstance(wanted, Number) and isinstance(found, Number):
        if wanted.unit and found.unit and wanted.unit != found.unit:
            return False
        if wanted.percent or found.percent:
            return any(_same(one, other) for one, other in _percents(wanted, found))
    elif isinstance(found, Number) and found.percent or isinstance(wanted, Number) and wanted.percent:
        return False
    return _same(wanted, found)


def _percents(wanted: Number, found: Number) -> list[tuple[str, str]]:
    """The pairs of values of which one must be equal, where a per cent sign stands on either side.

    Without the sign 60 can be 60 %, as an answer to "how many per cent?"; 0.5 can be 50 % and never 0.5 %.
    """
    if wanted.percent and found.percent:
        return [(wanted.text, found.text)]
    marked, bare = (wanted.text, found.text) if wanted.percent else (found.text, wanted.text)
    pairs = [(f"\\frac{{{marked}}}{{100}}" if "frac" not in marked else f"({marked})/100", bare)]
    value = _value(bare)
    if value is not None and abs(value) > 1:
        pairs.append((marked, bare))
    return pairs


def _same(wanted: Number | str, found: Number | str) -> bool:
    """Equal, or one is a decimal with at least four digits that rounds the other, which has no end."""
    one, other = _value(wanted), _value(found)
    if one is None or other is None:
        return False
    if same_value(one, other, timeout_seconds=None, float_rounding=12) and _close(one, other, 1e-12):
        return True
    for given, exact in ((found, one), (wanted, other)):
        digits = re.fullmatch(r"-?(\d*)\.(\d+)", given.text if isinstance(given, Number) else given)
        ends = exact.is_rational and _ends(exact)
        if digits and not ends and len((digits[1] + digits[2]).lstrip("0")) >= _ROUNDED:
            return _close(one, other, 0.5000001 * 10.0 ** -len(digits[2]), absolute=True)
    return False


def _ends(value: Any) -> bool:
    """Whether a rational number has finitely many decimals."""
    below = int(value.q) if hasattr(value, "q") else 1
    for factor in (2, 5):
        while below % factor == 0:
            below //= factor
    return below == 1


def _close(one: Any, other: Any, tolerance: float, *, absolute: bool = False) -> bool:
    difference = abs((one - other).evalf(40))
    return bool(difference <= (tolerance if absolute else tolerance * abs(one.evalf(40))))


def _value(given: Number | str) -> Any:
    """The exact value as sympy has it; None where the text is not one that may be read, or is no number."""
    return _parsed(given.text if isinstance(given, Number) else given)


@lru_cache(maxsize=4_096)
def _parsed(text: str) -> Any:
    from sympy import Rational, nsimplify

    if re.fullmatch(r"-?\d*\.?\d+", text):
        return Rational(text) if len(text) <= _LONGEST else None
    big = re.search(r"\d{25}|\*\s*\*|\^\s*\{?\s*[-+]?\d{4}|\^[^^]*\^", text)
    if len(text) > _LONGEST or big or not _SAFE.fullmatch(text):
        return None
    parsed = parse(f"${text}$", [LatexExtractionConfig()], fallback_mode="no_fallback", parsing_timeout=None)
    if not parsed or not getattr(parsed[0], "is_number", False):
        return None
    value = nsimplify(parsed[0].doit(), rational=True) if parsed[0].is_rational is not False else parsed[0]
    return value if value.is_real and value.is_finite else None


def verify(problem: Problem, attempt: Attempt) -> Verdict:
    """Judge one reply."""
    return judged(problem, attempt, Numeric, NAME, score)

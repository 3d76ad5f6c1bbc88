r"""Numbers in text: ``1,234.50``, ``2 1/2``, ``12 %``, ``$5``, ``\frac{3}{4}``, ``4 × 10^5``, ``3 million``.

A text is first made plain (`plain`), then read by one pattern. What the pattern does not cover is not a
number: ``3:30``, ``2nd``, ``x2``, ``1.2.3``, ``3,5``, digits of other alphabets.
"""

import re
from dataclasses import dataclass, replace

_REPLACED = {
    **dict.fromkeys("−‐‑﹣－➖", "-"),
    "×": "*",
    "·": "*",
    "⁄": "/",
    "÷": "/",
    "\u00a0": " ",
    "\u202f": " ",
    "\u2009": " ",
    "½": " 1/2",
    "⅓": " 1/3",
    "⅔": " 2/3",
    "¼": " 1/4",
    "¾": " 3/4",
    "⅕": " 1/5",
    "⅛": " 1/8",
}
_UNSEEN = "\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\u00ad"
_LATEX = (
    # What nobody sees does not count; but digits that it parts are no number.
    (rf"(?<=\d)[{_UNSEEN}]+(?=\d)", "_"),
    (rf"[{_UNSEEN}]+", ""),
    (r"[ \t]{3,}", "  "),  # else thousands of blanks cost seconds
    (r"\s{4,}", "\n\n"),
    (r"~~[^~\n]*~~", " "),  # struck out
    (r"<<[^<>\n]{0,80}>>", ""),  # the calculator's notes in GSM8K
    (r"\\[dt]?frac\s*\{\s*(-?[\d.]+)\s*\}\s*\{\s*([\d.]+)\s*\}", r" \1/\2 "),
    (r"\\[dt]?frac\s*(\d)\s*(\d)", r" \1/\2 "),
    (r"(?<![^\s(*])~\s*(?=[$€£]?\.?\d)", "about "),  # any other is a blank of LaTeX
    (r"\{,\}|\\,|\\!|\\;|\\:|\\ |~", ""),
    (r"\\(?:text|mathrm|mathbf|textbf|mbox)\s*\{([^{}]*)\}", r" \1 "),
    (r"\\(?:boxed|fbox)\s*\{([^{}]*)\}", r" \1 "),
    (r"\^\s*\{?\s*(?:\\circ|°)\s*\}?|\\circ\b", " degrees"),
    (r"\\(?:times|cdot)\b", "*"),
    (r"\\(?:left|right|displaystyle|quad|qquad)\b", " "),
    (r"\^\{(-?\d+)\}", r"^\1"),
    (r"\\([%$€£#&])", r"\1"),
    (r"\\[()\[\]]", " "),
    # A power, then what is bold or slanted: pairs of stars that enclose something.
    (r"(?<=[\w)\]}])\*\*(?=[-\w({\[])|(?:(?<=[\d)])|(?<=\b\w)) \*\* (?=[-\w({\[])", "^"),
    (r"(?<![\w*)])(\*{1,3})(?=[^\s*])([^*\n]*[^\s*])\1(?![\w*])", r" \2 "),
    (r"\*\*|__|`", " "),
    (r"(?<=\d)['’](?=\d{3}(?!\d))", ","),
    # A dash right before a number is meant as its sign.
    (r"(?<![\w)])[–—](?=[$€£]?\.?\d)", "-"),
)
_MATH_DOLLARS = re.compile(r"\$\$?([^$\n]{1,60})\$\$?")
_D = "[0-9]"
_DIGITS = rf"(?:{_D}{{1,3}}(?:,{_D}{{3}})+|{_D}{{1,3}}(?:[ ]{_D}{{3}})+(?!{_D})|{_D}+)(?:\.{_D}+)?|\.{_D}+"
_NUMBER = re.compile(
    rf"""
    (?P<sign>(?:(?<![\w)])|(?<=\$))[-+]|\b(?:minus|negative)\s+)?
    \s?(?P<currency>[$€£¥₹])?\s?(?P<sign2>-)?
    (?P<whole>{_DIGITS})
    (?:
        \ +(?P<mixed>{_D}+/{_D}+)
      | \s*/\s*(?P<below>{_D}+(?:\.{_D}+)?)
      | [eE](?P<e>[-+]?{_D}{{1,3}})
      | \s*\*\s*10\s*\^\s*(?P<ten>-?{_D}{{1,3}})
    )?
    (?P<scale>
        \s*-?\s*(?:hundred|thousand|million|billion|trillion|dozen|percent|per\ cent)(?![A-Za-z])
      | \s*%
      | (?-i:[kK]|\ ?M)(?![A-Za-z&])
    )?
    """,
    re.VERBOSE | re.IGNORECASE,
)
_SCALES = {
    "hundred": "100",
    "thousand": "1000",
    "million": "1000000",
    "billion": "1000000000",
    "trillion": "1000000000000",
    "dozen": "12",
    "k": "1000",
}
_UNIT = re.compile(r"\s*-?\s*((?:°\s*)?[A-Za-zµΩ°]+(?:\s*\^?[23²³](?!\d))?(?:/[A-Za-z]+[23²³]?)?|°)")
_RATE = re.compile(r"\s+per\s+([A-Za-z]+)")
_ALIASES = {
    "$": "dollar usd buck",
    "€": "euro eur",
    "£": "gbp quid",
    "¥": "yen jpy",
    "₹": "rupee inr",
    "km": "kilometer kilometre kms",
    "m": "meter metre",
    "cm": "centimeter centimetre cms",
    "mm": "millimeter millimetre",
    "mi": "mile",
    "ft": "foot feet",
    "inch": "inches",
    "yd": "yard",
    "kg": "kilogram kilo kgs",
    "g": "gram gramme",
    "mg": "milligram",
    "lb": "pound lbs",
    "oz": "ounce",
    "l": "liter litre",
    "ml": "milliliter millilitre",
    "h": "hour hr hrs",
    "min": "minute mins",
    "s": "second sec secs",
    "°": "degree deg",
    "mph": "",
    "km/h": "kmh kph",
    "m/s": "",
    "cent": "¢",
    "day": "",
    "week": "",
    "month": "",
    "year": "yr yrs",
}
_MONEY = ("$", "€", "£", "¥", "₹", "cent")
_UNITS = {name: unit for unit, names in _ALIASES.items() for name in (unit, *names.split())}


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A number as it stands in a plain text."""

    text: str
    """Without separators, in the notation of LaTeX: ``-5/2``, ``4\\cdot 10^{5}``."""
    percent: bool
    unit: str
    """The unit or word beside it, one name for all ways to write it; empty where there is none."""
    start: int
    end: int
    """Where the number ends, its unit not counted."""
    operand: bool
    """Whether an operator stands beside it: it is then a part of something else."""

    @property
    def shown(self) -> str:
        """The number for people."""
        return self.text + "%" * self.percent


def plain(text: str) -> str:
    """The text without markup and LaTeX's commands, with one sign for each operator."""
    for theirs, ours in _REPLACED.items():
        text = text.replace(theirs, ours)
    for pattern, ours in _LATEX:
        text = re.sub(pattern, ours, text)
    # Dollars around a formula, not those of a price: both stand right at its ends.
    return _MATH_DOLLARS.sub(lambda match: f" {match[1]} " if _is_formula(match[1]) else match[0], text)


def _is_formula(text: str) -> bool:
    return text == text.strip() and not re.search(r"[A-Za-z]{3,}\s+[A-Za-z]{2,}", text)


def numbers_in(text: str) -> list[Number]:
    """Every number of a plain text, in order; digits that are part of no number are left out."""
    found = []
    for match in _NUMBER.finditer(text):
        number = _number(match, text)
        if number is not None:
            found.append(number)
    return found


def has_digit(text: str) -> bool:
    """Whether a text holds a digit, of any alphabet."""
    return any(char.isdigit() or char.isnumeric() for char in text)


def _number(match: re.Match[str], text: str) -> Number | None:
    start, end = match.start(), match.end()
    while text[start].isspace():
        start += 1
    before, after = text[max(0, start - 2) : start], text[end:]
    if re.search(r"\d[.,:^/*'’]\Z|[\w.,^/_%]\Z", before) and not before.endswith((" .", "\n.")):
        return None
    if re.match(r"[.,:/^*'’]?\d|[.,:/]-?\d|:\d|!\w|\s*\^", after):
        return None
    unit, unit_end = _unit_after(after)
    is_known = unit.partition("/")[0] in _UNITS.values()
    if re.match(r"[^\W\d_]|²|³|_|\\", after) and not is_known:
        # 42x, 2nd and 3π are not 42, 2 and 3.
        return None
    if re.match(r"\s*(?:\\pi|π|\\sqrt|√|\bpi\b)|\([\d.]", after):
        return None
    rest = after[unit_end:] if is_known else after
    percent = any(word in (match["scale"] or "") for word in ("%", "percent", "per cent"))
    signed = bool(match["sign"]) and re.search(r"[\d)%]\s*$", text[:start]) is not None
    return Number(
        text=_value(match),
        percent=percent,
        unit="%" if percent else _UNITS.get(match["currency"] or "", "") or unit,
        start=start,
        end=end,
        operand=signed
        or bool(re.search(r"\d\s*[-+*/^(]\s*\Z|[*/^√]\s*\Z", text[:start]))
        or bool(re.match(r"\s*[-+*/^]\s*[\d(]", rest)),
    )


def _value(match: re.Match[str]) -> str:
    """The number in LaTeX, without its separators and with its scale multiplied out."""
    whole = re.sub(r"[ ,]", "", match["whole"])
    value = re.sub(r"^0+(?=\d)", "", whole)
    if match["mixed"]:
        above, below = match["mixed"].split("/")
        value = f"({value}+\\frac{{{above}}}{{{below}}})"
    elif match["below"]:
        value = f"\\frac{{{value}}}{{{match['below']}}}"
    elif match["e"] or match["ten"]:
        value = f"{value}\\cdot 10^{{{int(match['e'] or match['ten'])}}}"
    scale = (match["scale"] or "").strip(" -").lower()
    if scale in _SCALES:
        value = f"{value}\\cdot {_SCALES[scale]}"
    elif scale == "m":
        value = f"{value}\\cdot 1000000"
    negative = bool((match["sign"] or "").strip().lower() in ("-", "minus", "negative")) != bool(
        match["sign2"]
    )
    return f"-{value}" if negative else value


def _unit_after(text: str) -> tuple[str, int]:
    """The unit or word that a text begins with, under one name, and where it ends.

    What comes after "per" belongs to it, but for money: $18 a day, by the day and per day are $18.
    """
    match = _UNIT.match(text)
    if not match:
        return "", 0
    unit = _named(match[1].strip().replace("^", "").replace("²", "2").replace("³", "3"))
    rate = _RATE.match(text, match.end())
    if not rate or unit in _MONEY or unit == "per":
        return unit, match.end()
    return f"{unit}/{_named(rate[1])}", rate.end()


def _named(word: str) -> str:
    """The one name of a unit, or a word in the singular."""
    for name in (word, word.lower(), word.lower().removesuffix("s"), word.lower().removesuffix("es")):
        if name in _UNITS:
            return _UNITS[name]
    if "/" in word:
        return "/".join(map(_named, word.split("/")))
    word = word.lower()
    return word.removesuffix("s") if len(word) > 3 else word


def entire(text: str) -> Number | None:
    """The number that a text is, with its unit, after ``x =`` or none; None where it is anything else.

    Its places are those in the plain text.
    """
    text = plain(text).rstrip().rstrip(" .")
    name = re.match(r"\s*(?:[A-Za-z]\w{0,2}\s*=)?", text)
    begin = name.end() if name else 0
    numbers = numbers_in(text[begin:])
    if len(numbers) != 1:
        return None
    number = numbers[0]
    if text[begin : begin + number.start].strip():
        return None
    number = replace(number, start=begin + number.start, end=begin + number.end)
    rest = text[number.end :]
    unit = re.sub(r"\s+", " ", rest.strip().strip("()"))
    if has_digit(re.sub(r"(?<=[A-Za-z])\^?[23]", "", unit)) or re.search(r"[^\w\s/²³^°%$€£¥.-]", unit):
        return None
    if len(unit.split()) > 4:
        return None
    return replace(number, unit=number.unit or _unit_after(rest)[0])

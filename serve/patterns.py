"""Checks of a regular expression before an engine is made to compile it."""

import re

from serve.fields import Unserved

_MOST_PATTERN, _MOST_QUANTIFIERS = 512, 32
"""Characters, and quantifiers, of a regular expression."""
_LOOKS_AROUND = re.compile(r"\(\?(?:=|!|<=|<!)")
_QUANTIFIER = re.compile(r"[*+?]|\{(\d*)(?:,(\d*))?\}")
_ESCAPED = re.compile(r"\\.|\[(?:\\.|[^\]\\])*\]", re.DOTALL)
"""What holds no quantifier and no group, although it may look like one."""
_TOKEN = re.compile(rf"{_QUANTIFIER.pattern}|.", re.DOTALL)


def repetitions(pattern: str, at: str) -> int:
    """Count the repetitions that compiling a pattern takes. Raises Unserved for one that cannot be compiled.

    `at` is the field that holds it. Repetitions add up, and one within another is repeated itself.
    """
    if len(pattern) > _MOST_PATTERN:
        raise Unserved(at, f"has {len(pattern)} characters: a pattern has at most {_MOST_PATTERN}")
    if _LOOKS_AROUND.search(pattern):
        raise Unserved(at, "looks ahead or behind, which cannot be enforced")
    bare = _ESCAPED.sub("x", pattern).replace("(?:", "(")
    if (found := len(_QUANTIFIER.findall(bare))) > _MOST_QUANTIFIERS:
        raise Unserved(at, f"has {found} quantifiers: a pattern has at most {_MOST_QUANTIFIERS}")
    # Of each open group what is in it, and of the last part what a quantifier after it repeats.
    groups, last = [0], 0
    for token in _TOKEN.finditer(bare):
        if bounds := [int(number[:9]) for number in token.groups() if number]:
            more = max(bounds) * max(last, 1)
            groups[-1] += more - last
            last = more
        elif token[0] == "(":
            groups.append(0)
            last = 0
        elif token[0] == ")" and len(groups) > 1:
            last = groups.pop()
            groups[-1] += last
        elif token[0] not in "*+?":
            last = 0
    return sum(groups)

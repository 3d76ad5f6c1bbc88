r"""Where the answer stands in a text: everywhere, in the last line, in ``\boxed{…}``, or after a marker.

A scorer finds a model's answer so in its reply, and a task of records the accepted answer in a gold one.
"""

from configs.scorers import After, Find

_BOXED = ("\\boxed", "\\fbox")


def find_answer(text: str, find: Find) -> str:
    """The part of a text in which its answer is, stripped of blanks; empty where there is none."""
    if isinstance(find, After):
        return _after(text, find.after)
    match find:
        case "last_line":
            return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")
        case "boxed":
            return _boxed(text)
    return text.strip()


def describe_find(find: str | After) -> str:
    """A way to find an answer, in words."""
    if isinstance(find, After):
        return f"what follows the last '{find.after}' in its line"
    words = {
        "whole": "the whole reply",
        "last_line": "the last line",
        "boxed": r"the last \boxed{…}",
        "last_number": "the last number",
    }
    return words[find]


def _after(text: str, marker: str) -> str:
    place = text.casefold().rfind(marker.casefold())
    # Case folding may change the length of a text; its places are then not those of the text.
    if len(text.casefold()) != len(text):
        place = text.rfind(marker)
    if place < 0:
        return ""
    rest = text[place + len(marker) :].lstrip(" \t").splitlines()
    return rest[0].strip() if rest else ""


def _boxed(text: str) -> str:
    """The content of the last box that is closed, whatever braces it holds."""
    place = max(text.rfind(word) for word in _BOXED)
    start = text.find("{", place)
    if place < 0 or start < 0 or text[place:start].rstrip() not in _BOXED:
        return ""
    depth = 0
    for i in range(start, len(text)):
        if text[i] in "{}" and text[i - 1] != "\\":
            depth += 1 if text[i] == "{" else -1
            if not depth:
                return text[start + 1 : i].strip()
    return ""

"""Filters of what clients send and models answer: a name, and a function that says why text is refused.

A filter of one's own is a Python file with `def refuses(text: str) -> str`, which returns the reason or an
empty string; `filters: {output: [{name: path/to/file.py}]}` uses it. What was refused is logged by its
reason, never by its text.
"""

import logging
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from configs.serving import Filter
from engine.plugins import PluginError, load_plugin

log = logging.getLogger("ray.serve")

Refuses = Callable[[str], str]
"""Text to the reason why it is refused; empty where it is not."""


class FilterError(ValueError):
    """A filter that does not exist or cannot be loaded."""


def regex(settings: Filter) -> Refuses:
    compiled = [re.compile(pattern) for pattern in settings.patterns]

    def refuses(text: str) -> str:
        for number, pattern in enumerate(compiled, 1):
            if pattern.search(text):
                return f"pattern {number}"
        return ""

    return refuses


def length(settings: Filter) -> Refuses:
    most = settings.max_chars
    return lambda text: "" if most is None or len(text) <= most else f"more than {most} characters"


FILTERS: dict[str, Callable[[Filter], Refuses]] = {"regex": regex, "length": length}


def build(chain: Sequence[Filter]) -> Refuses:
    """All filters of a chain as one: the first reason counts. Raises FilterError for an unknown name."""
    # Clients are told which one it was, and nothing of this machine.
    built = [(Path(each.name).stem, _one(each)) for each in chain]

    def refuses(text: str) -> str:
        for name, check in built:
            try:
                reason = check(text)
            except Exception as error:  # noqa: BLE001  of a user's file; its message may hold the text
                reason = f"failed with {type(error).__name__}"
            if reason:
                log.warning("refused by the filter %s: %s", name, reason)
                return f"{name}: {reason}"
        return ""

    return refuses


def read_text(chain: Sequence[Filter]) -> bool:
    """Whether a chain looks at what text says, which a prompt of token ids would pass unseen."""
    return any(each.patterns or each.name not in FILTERS for each in chain)


def _one(settings: Filter) -> Refuses:
    if settings.name in FILTERS:
        return FILTERS[settings.name](settings)
    path = Path(settings.name)
    if not (path.suffix == ".py" and path.is_file()):
        raise FilterError(
            f"filter {settings.name!r} must be {', '.join(FILTERS)} or the path of a Python file"
        )
    try:
        refuses = load_plugin(path, "filter", ("refuses",)).refuses
    except PluginError as error:
        raise FilterError(str(error)) from None
    if not callable(refuses):
        raise FilterError(
            f"filter {path}: refuses must be a function of a text, got {type(refuses).__name__}"
        )
    return refuses

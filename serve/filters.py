"""Filters for what clients send and models answer; each is a function that returns why it refuses a text.

A filter of your own is a Python file with `def refuses(text: str) -> str`, which returns the reason or an
empty string. To use it, name its path in the config: `filters: {output: [{name: path/to/file.py}]}`. The log
holds the reason of a refusal, never the text.
"""

import logging
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from configs.serving import Filter
from engine.errors import Mistake
from engine.plugins import PluginError, load_plugin

log = logging.getLogger("ray.serve")

Refuses = Callable[[str], str]
"""Returns the reason why a text is refused, or an empty string."""


class FilterError(Mistake):
    """The filter does not exist or cannot be loaded."""


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
    """Combine a chain of filters into one; the first reason counts.

    Raises FilterError for a filter that does not exist or cannot be loaded.
    """
    # Clients see the file's stem: enough to tell which filter it was, and nothing about this machine.
    built = [(Path(each.name).stem, _one(each)) for each in chain]

    def refuses(text: str) -> str:
        for name, check in built:
            try:
                reason = check(text)
            except Exception as error:  # noqa: BLE001  a user's filter; its message may contain the text
                reason = f"failed with {type(error).__name__}"
            if reason:
                log.warning("refused by the filter %s: %s", name, reason)
                return f"{name}: {reason}"
        return ""

    return refuses


def needs_text(chain: Sequence[Filter]) -> bool:
    """Whether a chain reads what a text says, so that a prompt of token ids would slip past it."""
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
            f"refuses in the filter file {path} must be a function, got {type(refuses).__name__}"
        )
    return refuses

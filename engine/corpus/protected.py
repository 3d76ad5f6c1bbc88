"""What a model is evaluated on: the texts of files, and of public sets by their names.

    contamination.against=[test.jsonl, hub:openai/gsm8k/main/test]

A public set is read by the package datasets, from its cache or from the hub; after that no network is needed.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from engine.corpus.stations import CurationError
from engine.curate.likeness import SHORTEST, words
from engine.disk.jsonl import numbered_objects

HUB = "hub:"
"""What the name of a public set begins with."""
_ASKED = frozenset(
    ("question", "prompt", "problem", "instruction", "query", "input", "text", "content", "value")
)
"""Keys of a record that hold what is asked, however short. Under others only long texts are protected."""
_SPEAKERS = ("role", "from")
_NOT_ASKING = frozenset(("assistant", "gpt", "chatgpt", "model"))


class Protected(NamedTuple):
    """A text that a model is evaluated on."""

    text: str
    where: str
    """File and line."""


def protected_in(sources: Sequence[str]) -> list[Protected]:
    """The texts of evaluation files and public sets that are protected.

    Of a file that ends with ``.txt`` these are its lines; of JSONL in whatever layout, and of public sets,
    what is asked, and every text of eight words or more but system messages. Raises CurationError for what
    cannot be read or holds no text, and RowError for a line that is no JSON object.
    """
    protected: list[Protected] = []
    for name in dict.fromkeys(sources):
        if name.startswith(HUB):
            texts = list(_of_hub(name))
        else:
            lines = _lines_of(name) if name.endswith(".txt") else _texts_of(numbered_objects(Path(name)))
            texts = [Protected(text, f"{name}, line {number}") for number, text in lines]
        if not texts:
            raise CurationError(f"contamination.against: {name} holds no text")
        protected += texts
    return protected


@cache
def _of_hub(name: str) -> tuple[Protected, ...]:
    """The texts of a public set, which is read once in a process."""
    owner, *parts = name.removeprefix(HUB).split("/")
    if not 2 <= len(parts) <= 3 or not all((owner, *parts)):
        raise CurationError(
            f"contamination.against: a public set is named {HUB}OWNER/NAME/SPLIT, or "
            f"{HUB}OWNER/NAME/CONFIG/SPLIT, such as {HUB}openai/gsm8k/main/test; got '{name}'"
        )
    from datasets import load_dataset
    from datasets.utils.logging import disable_progress_bar

    disable_progress_bar()
    # It says by itself how often it tries; what becomes of it is said below.
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    try:
        rows = load_dataset(f"{owner}/{parts[0]}", *parts[1:-1], split=parts[-1])
    except Exception as error:  # noqa: BLE001 - whatever its reading of the network, the cache and files raises
        why = " ".join(str(error).split())[:200]
        raise CurationError(f"contamination.against: {name} cannot be read: {why}") from None
    texts = _texts_of(enumerate(map(dict, rows), start=1))
    return tuple(Protected(text, f"{name}, row {number}") for number, text in texts)


def _lines_of(file: str) -> Iterator[tuple[int, str]]:
    try:
        text = Path(file).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise CurationError(f"contamination.against: {file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        at = error.start + 1
        raise CurationError(f"contamination.against: {file} is not valid UTF-8 at byte {at}") from None
    return ((number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip())


def _texts_of(records: Iterable[tuple[int, Mapping[str, Any]]]) -> Iterator[tuple[int, str]]:
    for number, record in records:
        left: list[tuple[str, Any, bool]] = [("", record, True)]
        while left:
            key, value, asks = left.pop()
            if isinstance(value, dict):
                speaker = next((str(value[each]) for each in _SPEAKERS if each in value), "")
                if speaker != "system":
                    left += [(*each, asks and speaker not in _NOT_ASKING) for each in value.items()]
            elif isinstance(value, list):
                left += [(key, each, asks) for each in value]
            elif isinstance(value, str) and value.strip() and _is_protected(key, value, asks):
                yield number, value


def _is_protected(key: str, text: str, asks: bool) -> bool:
    return key != "system" and ((asks and key in _ASKED) or len(words(text)) >= SHORTEST)

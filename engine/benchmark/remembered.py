"""What a model has answered, kept as it answers: an interrupted benchmark goes on, nothing is asked twice.

An answer is found again by what was asked and by whom: the model's content hash, and how it runs. So a
benchmark of further tasks, or of the same ones with a few more documents, asks only what is new.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lm_eval.api.model import LM

from engine.benchmark.package import BenchmarkError
from engine.disk.journal import append_shared
from engine.disk.jsonl import RowError, objects
from engine.terminal import progress

_CHUNK = 256
"""Prompts that are answered before their answers are written."""
_LABELS = {
    "generate_until": "answers",
    "loglikelihood": "likelihoods",
    "loglikelihood_rolling": "likelihoods of texts",
}


class _Group(NamedTuple):
    """Places of one prompt among those that are asked."""

    places: list[int]
    asked: list[int]
    """Those at which it has to be asked."""


class Remembered(LM):
    """A model of the harness whose answers are kept in a file."""

    def __init__(self, model: LM, file: Path, about: Mapping[str, Any], *, again: bool) -> None:
        """`about` is what besides a prompt decides an answer. With `again`, what is kept is asked anew.

        Raises BenchmarkError where the file is damaged.
        """
        super().__init__()
        self._model, self._file = model, file
        self._about = json.dumps(about, sort_keys=True)
        self._answers: dict[str, list[Any]] = {} if again else _read(file)
        self.num_asked = 0
        self.num_kept = 0
        """Of these, prompts that were answered before this benchmark began."""

    @property
    def tokenizer_name(self) -> str:
        return str(self._model.tokenizer_name)

    def apply_chat_template(
        self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        """The chat as the model's own text."""
        return str(self._model.apply_chat_template(chat_history, add_generation_prompt))

    def loglikelihood(self, requests: Sequence[Any]) -> list[tuple[float, bool]]:
        """The log-likelihood of each continuation, and whether it is the greedy one."""
        return [(float(value), bool(greedy)) for value, greedy in self._answered("loglikelihood", requests)]

    def loglikelihood_rolling(self, requests: Sequence[Any]) -> list[float]:
        """The log-likelihood of each whole text."""
        return [float(value) for value in self._answered("loglikelihood_rolling", requests)]

    def generate_until(self, requests: Sequence[Any]) -> list[str]:
        """An answer to each prompt."""
        return [str(text) for text in self._answered("generate_until", requests)]

    def _answered(self, kind: str, requests: Sequence[Any]) -> list[Any]:
        """The answers in order; those that are not kept are asked in chunks, each kept when it is whole."""
        groups = self._groups(kind, requests)
        missing = [key for key in groups if key not in self._answers]
        self.num_asked += len(groups)
        self.num_kept += len(groups) - len(missing)
        with progress(_LABELS[kind], len(missing)) as report:
            for start in range(0, len(missing), _CHUNK):
                chunk = {key: groups[key].asked for key in missing[start : start + _CHUNK]}
                asked = [requests[place] for places in chunk.values() for place in places]
                given = iter(getattr(self._model, kind)(asked, disable_tqdm=True))
                found = {key: [next(given) for _ in places] for key, places in chunk.items()}
                append_shared(self._file, ({"key": key, "answers": own} for key, own in found.items()))
                self._answers |= found
                report(start + len(chunk))
        answers: list[Any] = [None] * len(requests)
        for key, group in groups.items():
            for number, place in enumerate(group.places):
                answers[place] = self._answers[key][number % len(group.asked)]
        return answers

    def _groups(self, kind: str, requests: Sequence[Any]) -> dict[str, _Group]:
        """Equal prompts together, by what their answers are kept under."""
        equal: dict[str, list[int]] = {}
        for place, request in enumerate(requests):
            equal.setdefault(json.dumps(request.args, sort_keys=True, default=str), []).append(place)
        groups: dict[str, _Group] = {}
        for asked, places in equal.items():
            # A greedy answer stays the same; several draws of one prompt are one answer of as many texts.
            group = _Group(places, places if _is_drawn(kind, requests[places[0]].args) else places[:1])
            content = json.dumps([self._about, kind, asked, len(group.asked)])
            groups[hashlib.sha256(content.encode()).hexdigest()] = group
        return groups


def _is_drawn(kind: str, args: Sequence[Any]) -> bool:
    """Whether asking a second time may bring another answer."""
    if kind != "generate_until":
        return False
    drawn = args[1].get("do_sample")
    return bool(args[1].get("temperature")) if drawn is None else bool(drawn)


def _read(file: Path) -> dict[str, list[Any]]:
    """The answers of a file, of each the last that was kept; a line that a kill cut off is left out."""
    try:
        return {row["key"]: row["answers"] for row in objects(file, growing=True)}
    except (RowError, KeyError, TypeError):
        raise BenchmarkError(f"{file} is damaged: remove it, and its answers are asked again") from None

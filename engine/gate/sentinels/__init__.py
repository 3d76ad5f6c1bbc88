"""Sentinels: what a model must not lose elsewhere while it gets better at its task.

A suite is a file of JSON lines. Rows with ``text`` are judged by perplexity, rows with ``prompt`` and
``accept``, or with ``options`` (`choices.py`), by the share answered. Every file in this folder is a suite by
its name: ``english`` (held-out prose), and short requests whose answers are known: ``instructions``,
``arithmetic``, ``knowledge`` and ``refusal``. A config can also name the path of a user's own file, and
records may be kept as a suite (`proportion.py`).
"""

import json
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Protocol

from pydantic import ConfigDict, Field

from configs.schema import Sentinels
from engine.disk.jsonl import RowError, read_rows
from engine.gate import arithmetic as gate
from engine.gate import carry
from engine.gate.sentinels.choices import Choices, Question, offers_options
from engine.gate.sentinels.proportion import KeptRecords, Proportion
from engine.measure.bench import Bench
from engine.measure.paired import LEAST_DOCUMENTS
from engine.models.identity import Model
from engine.models.prompts import messages
from engine.records import Check, Problem, SentinelScores
from engine.sample.protocol import Request, Sampling

_FOLDER = Path(__file__).parent
_NUM_NEW = 24
"""Tokens in which a request must be answered."""

Text = Annotated[str, Field(min_length=1, max_length=2_000)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One passage of prose. Raises ValueError for less than two words, which have no likelihood."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    id: Text
    text: Text

    def __post_init__(self) -> None:
        if len(self.text.split()) < 2:
            raise ValueError("a document needs at least two words")


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """One short request whose answer can be told right from wrong by its words. Raises ValueError."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    id: Text
    """Kind and number, e.g. ``capital-03``."""
    prompt: Text
    accept: Annotated[tuple[Text, ...], Field(min_length=1)]
    """Words or phrases as `plain` writes them; any one answers the request."""
    reject: tuple[Text, ...] = ()
    """The other options of a choice: none may come before the accepted one."""

    def __post_init__(self) -> None:
        for phrase in self.accept + self.reject:
            if not phrase or phrase != plain(phrase):
                raise ValueError(f"'{phrase}' must be written plainly, as '{plain(phrase)}'")


class SentinelSuite(Protocol):
    """One suite: how a model is asked, and how two models are compared."""

    @property
    def name(self) -> str: ...

    @property
    def kind(self) -> Literal["perplexity", "proportion"]: ...

    @property
    def size(self) -> int:
        """Number of documents or requests."""

    @property
    def texts(self) -> tuple[str, ...]:
        """What a model reads of each document or request."""

    def ask(self, bench: Bench, model: Model, max_new_tokens: int) -> SentinelScores:
        """The model on every row, records with answers of at most `max_new_tokens`.

        Raises GateError for answers of other weights.
        """

    def check(
        self, settings: Sentinels, *, before: SentinelScores, after: SentinelScores, base: SentinelScores
    ) -> Check:
        """No harm from `before` to `after`; what `base` scores is only shown."""

    def glance(self, settings: Sentinels, *, before: SentinelScores, after: SentinelScores) -> Check:
        """No harm seen from `before` to `after`, which is not the same as shown to be none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prose:
    """Documents whose perplexity may hardly rise."""

    name: str
    documents: tuple[Document, ...]
    kind: Literal["perplexity"] = "perplexity"

    @property
    def size(self) -> int:
        return len(self.documents)

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(each.text for each in self.documents)

    def ask(self, bench: Bench, model: Model, max_new_tokens: int) -> SentinelScores:
        scores = bench.sampler.score(model.path, tuple(each.text for each in self.documents))
        gate.require_answered_by(scores, model.id, f"sentinel suite {self.name}")
        return SentinelScores(
            model_id=model.id,
            suite=self.name,
            scores=tuple(score.nll for score in scores),
            num_tokens=tuple(score.num_tokens for score in scores),
        )

    def check(
        self, settings: Sentinels, *, before: SentinelScores, after: SentinelScores, base: SentinelScores
    ) -> Check:
        return gate.no_harm_perplexity(
            self.name, before.scores, after.scores, before.num_tokens, settings.perplexity_ratio
        )

    def glance(self, settings: Sentinels, *, before: SentinelScores, after: SentinelScores) -> Check:
        return carry.no_visible_rise(
            self.name, before.scores, after.scores, before.num_tokens, settings.perplexity_ratio
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Requests(Proportion):
    """Short requests, judged by their words."""

    requests: tuple[Instruction, ...]

    @property
    def items(self) -> list[tuple[str, str]]:
        return [(each.id, each.prompt) for each in self.requests]

    def ask(self, bench: Bench, model: Model, max_new_tokens: int) -> SentinelScores:
        chats = [Request(problem_id=each.id, messages=messages("", [each.prompt])) for each in self.requests]
        sampled = bench.sampler.sample(model.path, chats, Sampling(max_new_tokens=_NUM_NEW))
        given = {attempt.problem_id: attempt for attempt in sampled}
        gate.require_answered_by(given.values(), model.id)
        replies = tuple(given[each.id].text for each in self.requests)
        scores = tuple(float(answered(*each)) for each in zip(self.requests, replies, strict=True))
        return SentinelScores(model_id=model.id, suite=self.name, scores=scores, replies=replies)


def suites_of(names: Sequence[str], kept: Sequence[Problem] = ()) -> list[SentinelSuite]:
    """The suites that a config names, and that of the records that its task has kept apart.

    Raises RowError for a bad one, and for two of one name.
    """
    for name in names:
        if names.count(name) > 1:
            raise RowError(f"gate.sentinels.suites: suite {name} is named twice")
    suites = [suite_of_name(name) for name in names]
    if kept:
        suites.append(KeptRecords(problems=tuple(kept)))
    for suite in suites:
        if sum(other.name == suite.name for other in suites) > 1:
            raise RowError(f"gate.sentinels.suites: two suites are called '{suite.name}'; rename one file")
    return suites


def suite_of_name(name: str) -> SentinelSuite:
    """A shipped suite by its name, or a user's own by the path of its file. Raises RowError."""
    shipped = {path.stem: path for path in sorted(_FOLDER.glob("*.jsonl"))}
    path = shipped.get(name, Path(name))
    if not path.is_file():
        raise RowError(
            f"gate.sentinels.suites: '{name}' is neither one of {', '.join(shipped)} nor the path of a JSONL "
            "file"
        )
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", path.stem):
        raise RowError(
            f"{path}: a suite's file is named with letters, digits, '.', '_' and '-', got '{path.stem}'"
        )
    if offers_options(path):
        return Choices(name=path.stem, questions=read_rows(path, Question))
    if _asks(path):
        return Requests(name=path.stem, requests=read_rows(path, Instruction))
    documents = read_rows(path, Document)
    if len(documents) < LEAST_DOCUMENTS:
        raise RowError(f"{path}: a suite of documents needs at least {LEAST_DOCUMENTS}, got {len(documents)}")
    return Prose(name=path.stem, documents=documents)


def _asks(path: Path) -> bool:
    """Whether a file's rows are requests; the other kind is documents.

    Raises RowError for a mixed file, and for a first row that is neither.
    """
    kinds: set[bool] = set()
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            row = json.loads(line)
        except ValueError:
            continue  # `read_rows` names what is wrong with the line
        if isinstance(row, dict) and row.keys() & {"text", "prompt"}:
            kinds.add("prompt" in row)
        elif number == 1:
            raise RowError(
                f'{path}, line 1: a row holds "text" (a document), or "prompt" and "accept" (a request)'
            )
    if len(kinds) > 1:
        raise RowError(f"{path}: holds documents and requests, but a suite holds one kind")
    return True in kinds


def plain(text: str) -> str:
    """Lower case, accents dropped, and everything but letters and digits turned into single blanks.

    A point or comma between two digits stays, so that ``-18.0`` does not hold the number 0.
    """
    # Decomposed before too: a mathematical capital has a lower case only as the letter it stands for.
    lower = unicodedata.normalize("NFKD", text).casefold()
    letters = [c for c in unicodedata.normalize("NFKD", lower) if not unicodedata.combining(c)]
    kept = (
        c if c.isalnum() or (c in ".," and before.isdigit() and after.isdigit()) else " "
        for before, c, after in zip([" ", *letters], letters, [*letters[1:], " "], strict=False)
    )
    return " ".join("".join(kept).split())


def answered(item: Instruction, text: str) -> bool:
    """Whether the first line of `text` that is not blank holds an accepted phrase as whole words.

    For a choice, the phrase must come before every other option. Later lines do not count, so a model
    cannot be right by rambling on. Takes time linear in the length of the text.
    """
    line = next((line for line in text.splitlines() if plain(line)), "")
    words = f" {plain(line)} "
    hits = [at for phrase in item.accept if (at := words.find(f" {phrase} ")) >= 0]
    misses = [at for phrase in item.reject if (at := words.find(f" {phrase} ")) >= 0]
    return bool(hits) and all(min(hits) < at for at in misses)

"""Suites of questions with options, of which the likeliest is the answer, as in lm-evaluation-harness.

    {"id": "arc-17", "options": [["2 + 2 =", " 4"], ["2 + 2 =", " 5"]], "gold": [0]}

An option is what stands before it, and itself. `ratchet benchmark --tasks TASK --suite FILE` writes a file.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import ConfigDict, Field

from engine.gate import arithmetic as gate
from engine.gate.sentinels.proportion import Proportion
from engine.measure.bench import Bench
from engine.models.identity import Model
from engine.models.prompts import text_ids, tokenizer_of
from engine.records import SentinelScores, Tokens

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Part = Annotated[str, Field(max_length=20_000)]
Label = Annotated[str, Field(min_length=1, max_length=200)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question with its options. Raises ValueError for an option that is empty, or not there."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    id: Label
    options: Annotated[tuple[tuple[Part, Part], ...], Field(min_length=2, max_length=100)]
    """Of each what stands before it, and the option."""
    gold: Annotated[tuple[int, ...], Field(min_length=1)]
    """Places of the options that are right."""

    def __post_init__(self) -> None:
        if not all(option for _, option in self.options):
            raise ValueError("an option must not be empty")
        if wrong := [place for place in self.gold if not 0 <= place < len(self.options)]:
            raise ValueError(f"gold names option {wrong[0]}, but there are {len(self.options)}, from 0 on")


def offers_options(path: Path) -> bool:
    """Whether a file's first row is a question with options."""
    first = next((line for line in path.read_bytes().splitlines() if line.strip()), b"")
    try:
        row = json.loads(first)
    except ValueError:
        return False
    return isinstance(row, dict) and "options" in row


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices(Proportion):
    """Questions of which hardly fewer may be answered by their right option."""

    questions: tuple[Question, ...]

    @property
    def items(self) -> list[tuple[str, str]]:
        return [(each.id, "".join(each.options[each.gold[0]])) for each in self.questions]

    def ask(self, bench: Bench, model: Model, max_new_tokens: int) -> SentinelScores:
        """The likeliest option of each question. Raises GateError for scores of other weights."""
        tokenizer = tokenizer_of(model.path)
        texts = [_tokens(tokenizer, *option) for each in self.questions for option in each.options]
        scores = bench.sampler.score(model.path, texts)
        gate.require_answered_by(scores, model.id, f"sentinel suite {self.name}")
        found = iter(score.nll if math.isfinite(score.nll) else math.inf for score in scores)
        nlls = [[next(found) for _ in each.options] for each in self.questions]
        # Where none is likely nothing is said, which is undecided.
        said = [own.index(min(own)) if min(own) < math.inf else None for own in nlls]
        return SentinelScores(
            model_id=model.id,
            suite=self.name,
            scores=tuple(
                math.nan if place is None else float(place in each.gold)
                for each, place in zip(self.questions, said, strict=True)
            ),
            replies=tuple(
                "" if place is None else each.options[place][1].strip()
                for each, place in zip(self.questions, said, strict=True)
            ),
        )


def _tokens(tokenizer: "PreTrainedTokenizerBase", before: str, option: str) -> Tokens:
    """An option as tokens after what stands before it; blanks at the seam belong to the option."""
    kept = before.rstrip()
    before, option = kept, before[len(kept) :] + option
    given = text_ids(tokenizer, before)
    if not given:
        start = tokenizer.bos_token_id
        own = tokenizer.eos_token_id if start is None else start
        return Tokens((own,), tuple(text_ids(tokenizer, option)))
    return Tokens(tuple(given), tuple(text_ids(tokenizer, before + option)[len(given) :]))

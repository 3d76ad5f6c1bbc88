"""How many tokens the models of an experiment sampled and read, from what they were asked."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.records import Answer, Likelihood
from engine.report.data import ReportError, rows_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """Tokens of some requests."""

    sampled: int = 0
    """Generated."""
    read: int = 0
    """Tokens of prompts, and of texts whose likelihood was asked."""

    def __add__(self, other: "Tokens") -> "Tokens":
        return Tokens(sampled=self.sampled + other.sampled, read=self.read + other.read)


def asked_of(given: Iterable[Answer | Likelihood]) -> Tokens:
    """The tokens of answers, or of texts that were scored."""
    total = Tokens()
    for each in given:
        if isinstance(each, Answer):
            total += Tokens(sampled=each.attempt.num_tokens, read=each.attempt.num_prompt_tokens)
        else:
            total += Tokens(read=each.num_tokens)
    return total


def asked_in(run_dir: Path) -> Tokens:
    """The tokens of what was asked to mine weaknesses and to make what trials learn.

    What trials shared counts once. Raises ReportError for a damaged file.
    """
    shared = sorted(run_dir.glob("shared/*/records.jsonl"))
    taken = {hashlib.sha256(file.read_bytes()).hexdigest() for file in shared}
    files = [*shared, run_dir / "champion/probe.jsonl"]
    for journal in sorted(run_dir.glob("material/*/journal.jsonl")):
        files += [
            journal.parent / f"{row['stage']}.jsonl" for row in rows_of(journal) if row["sha256"] not in taken
        ]
    return sum((_tokens_in(file) for file in files if file.exists()), Tokens())


def _tokens_in(file: Path) -> Tokens:
    """The tokens of a stage's records; none where they are no answers, attempts or likelihoods."""
    total = Tokens()
    records: list[Any] = rows_of(file)
    for record in records:
        if not isinstance(record, dict):
            break
        attempt = record.get("attempt", record)
        try:
            if "num_prompt_tokens" in attempt:
                total += Tokens(sampled=attempt["num_tokens"], read=attempt["num_prompt_tokens"])
            elif "nll" in attempt:
                total += Tokens(read=attempt["num_tokens"])
            else:
                break
        except (KeyError, TypeError):
            raise ReportError(f"{file} is damaged: a record does not say how many tokens it has") from None
    return total

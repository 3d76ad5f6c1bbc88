"""Proofs from a file, checked: `ratchet verify FILE.jsonl`."""

import codecs
import json
from pathlib import Path
from typing import Any, Literal, TextIO

from pydantic import BaseModel, ConfigDict, ValidationError

from configs.schema import Verify
from engine.errors import Mistake
from engine.logic.proof_check import read_problem
from engine.records import Attempt, Finish, Problem, Status, Theory, Verdict
from engine.verify.pool import VerifierPool


class _ProofRecord(BaseModel):
    """One line of a file of proofs."""

    model_config = ConfigDict(extra="forbid", strict=True)

    premises: list[str]
    question: str
    proof: str
    answer: Literal["True", "False", "Unknown"] | None = None
    """The gold answer, where it is known."""
    notation: Literal["english", "fol"] = "english"
    id: str | int | None = None
    """None: the line number is the id."""


class ProofFileError(Mistake):
    """A file of proofs that cannot be read: file, line number and reason."""


def verify_file(path: Path, out: TextIO, verifier: str = "rules + z3", limits: Verify | None = None) -> int:
    """Check a JSON-lines file of proofs; write one verdict per record to `out`, in order, as JSON lines.

    A record has ``premises``, ``question`` and ``proof``, and may have ``answer`` (gold), ``notation`` and
    ``id``. Without gold, ``answer_right`` is null. Returns how many records do not PASS. Raises
    ProofFileError for a broken line before anything is written.
    """
    limits = limits or Verify()
    records = _read_proofs(path)
    with VerifierPool(
        verifier, num_processes=limits.num_processes, seconds=limits.seconds, memory_mib=limits.memory_mib
    ) as pool:
        verdicts = pool.verify(_as_item(number, record) for number, record in records)
    for (number, record), verdict in zip(records, verdicts, strict=True):
        print(json.dumps(_as_row(number, record, verdict)), file=out)
    return sum(verdict.status is not Status.PASS for verdict in verdicts)


def _as_row(number: int, record: _ProofRecord, verdict: Verdict) -> dict[str, Any]:
    lines = [
        {"number": step.number, "text": step.text, "valid": step.valid, "reason": step.reason}
        for step in (verdict.proof.steps if verdict.proof else ())
    ]
    return {
        "id": number if record.id is None else record.id,
        "status": verdict.status,
        "answer_right": None if record.answer is None else verdict.right,
        "proof_valid": verdict.proof is not None and verdict.proof.valid,
        "verifier": verdict.verifier,
        "fault": verdict.fault,
        "reason": verdict.reason,
        "lines": lines,
    }


def _read_proofs(path: Path) -> list[tuple[int, _ProofRecord]]:
    """The records with their line numbers; blank lines are skipped."""
    try:
        rows = Path(path).read_bytes().removeprefix(codecs.BOM_UTF8).split(b"\n")
    except OSError as error:
        raise ProofFileError(f"the file {path} cannot be read: {error.strerror}") from None
    records = []
    for number, row in enumerate(rows, start=1):
        if not row.strip():
            continue
        try:
            record = _ProofRecord.model_validate_json(row)
            read_problem(record.notation, tuple(record.premises), record.question)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            field = ".".join(map(str, first["loc"]))
            raise ProofFileError(
                f"{path}, line {number}: {field + ': ' if field else ''}{first['msg']}"
            ) from None
        except ValueError as error:
            raise ProofFileError(f"{path}, line {number}: {error}") from None
        records.append((number, record))
    if not records:
        raise ProofFileError(f"{path} must hold a JSON record a line, got none")
    return records


def _as_item(number: int, record: _ProofRecord) -> tuple[Problem, Attempt]:
    problem = Problem(
        id=str(number),
        task="",
        slice="",
        turns=(),
        truth=Theory(
            premises=tuple(record.premises),
            question=record.question,
            notation=record.notation,
            answer=record.answer or "",
        ),
        gold=(),
        split="",
        origin="",
    )
    attempt = Attempt(
        problem_id=problem.id,
        model_id="",
        sample=0,
        replies=(record.proof,),
        num_prompt_tokens=0,
        num_tokens=0,
        finish=Finish.STOP,
    )
    return problem, attempt

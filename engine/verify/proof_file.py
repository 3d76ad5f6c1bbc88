"""Proofs from a file, checked: `ratchet verify FILE.jsonl`.

A record is read when it comes, and its verdict is printed when all before it are: a file may be larger than
memory, and a pipe may give the next record after it has seen a verdict. A record that cannot be read gets a
row like any other.
"""

import json
import math
import os
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TextIO

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from configs.schema import Verify
from engine.disk.jsonl import LineError, arriving_lines, object_in, whole
from engine.errors import Mistake
from engine.logic.faults import ProofFault
from engine.logic.limits import MAX_TEXT, too_many
from engine.logic.proofs import too_long
from engine.records import Attempt, Fault, Finish, Problem, Status, Theory, Verdict, fault_in
from engine.terminal import reader_left
from engine.verify import require_verifiers
from engine.verify.pool import BATCH, VerifierPool
from engine.verify.process import MAX_ITEM_BYTES

_MOST_WAITING = 1_024
"""Records that are read before the verdict on the first of them."""
_MOST_WAITING_BYTES = 2**26
_PAUSE = 0.05
"""Seconds between two looks at a pipe that has nothing to read."""


class _ProofRecord(BaseModel):
    """One line of a file of proofs."""

    model_config = ConfigDict(extra="forbid", strict=True)

    premises: Annotated[list[str], Field(fail_fast=True)]
    question: str
    proof: str
    answer: Literal["True", "False", "Unknown"] | None = None
    """The gold answer, where it is known."""
    notation: Literal["english", "fol", "first_order", "proofwriter"] = "english"
    id: str | int | None = None
    """None: the line number is the id."""


class ProofFileError(Mistake):
    """A file of proofs that cannot be read: which, and why."""


def verify_file(path: Path, out: TextIO, verifier: str = "rules + z3", limits: Verify | None = None) -> int:
    """Check a JSON-lines file of proofs; write one verdict per record to `out`, in order, as JSON lines.

    A record has ``premises``, ``question`` and ``proof``, and may have ``answer`` (gold), ``notation`` and
    ``id``. Without gold, ``answer_right`` is null. Returns how many records do not PASS, among them those
    that cannot be read. Raises PluginError for an unknown verifier, and ProofFileError for a file that cannot
    be read or holds no record.
    """
    limits = limits or Verify()
    require_verifiers([verifier])
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError as error:
        raise ProofFileError(f"the file {path} cannot be read: {error.strerror}") from None
    try:
        with VerifierPool(
            verifier, num_processes=limits.num_processes, seconds=limits.seconds, memory_mib=limits.memory_mib
        ) as pool:
            judging = _Judging(pool, out, verifier)
            for arrived in arriving_lines(descriptor, MAX_ITEM_BYTES):
                if reader_left(out):
                    return judging.num_failed
                if arrived is None:
                    judging.pause()
                else:
                    judging.take(*arrived)
            judging.finish()
    except LineError as error:
        raise ProofFileError(f"the file {path} {error}") from None
    finally:
        os.close(descriptor)
    if not judging.num_records:
        raise ProofFileError(f"{path} must hold a JSON record a line, got none")
    return judging.num_failed


@dataclass(slots=True, kw_only=True)
class _Waiting:
    """A record whose verdict is not printed yet."""

    number: int
    id: str | int
    """Its own, or the number of its line."""
    size: int
    """Bytes of its line."""
    has_gold: bool = False
    row: dict[str, Any] | None = None
    """None while it is judged."""


class _Judging:
    """Gives records to a pool, and prints verdicts in the order of the records."""

    def __init__(self, pool: VerifierPool, out: TextIO, verifier: str) -> None:
        self.num_records = 0
        self.num_failed = 0
        self._pool, self._out, self._verifier = pool, out, verifier
        self._waiting: deque[_Waiting] = deque()
        self._judged: dict[str, _Waiting] = {}
        """Records in the pool, by the id of their problem."""
        self._num_bytes = 0

    def take(self, number: int, line: bytes | None) -> None:
        """Take the next line; None is one that is too long to be read."""
        self.num_records += 1
        waiting = _Waiting(number=number, id=number, size=len(line or b""))
        self._waiting.append(waiting)
        self._num_bytes += waiting.size
        try:
            fields = _fields_in(line, number)
            waiting.id = _id_in(fields, number)  # before the rest, which may be unreadable
            record = _record_of(fields)
        except LineError as error:
            reason = f"line {number}: {error}"
            waiting.row = self._row(waiting, Status.UNDECIDED, ProofFault.UNREADABLE, reason)
        else:
            self._judge(waiting, record)
        if self.num_records % BATCH == 0:
            self._settle(0.0)
        while len(self._waiting) > _MOST_WAITING or self._num_bytes > _MOST_WAITING_BYTES:
            self._settle(1.0)

    def pause(self) -> None:
        """Nothing can be read for now."""
        if self._judged:
            self._settle(_PAUSE)
        else:
            self._settle(0.0)
            time.sleep(_PAUSE)

    def finish(self) -> None:
        """Print all that is left."""
        self._settle(0.0)
        while self._waiting:
            self._settle(1.0)

    def _judge(self, waiting: _Waiting, record: _ProofRecord) -> None:
        waiting.has_gold = record.answer is not None
        # No verifier needs to see what is too large, and none should have to hold it.
        if reason := _too_large(record):
            reason = f"the problem cannot be read: {reason}"
            waiting.row = self._row(waiting, Status.UNDECIDED, ProofFault.UNREADABLE, reason)
            return
        if reason := too_long(record.proof):
            waiting.row = self._row(waiting, Status.FAIL, Fault.TOO_LONG, reason)
            return
        problem, attempt = _as_item(waiting.number, record)
        self._judged[problem.id] = waiting
        self._pool.submit(problem, attempt)

    def _settle(self, timeout: float) -> None:
        """Print what can be printed after waiting up to `timeout` seconds for a verdict."""
        for verdict in self._pool.poll(timeout):
            waiting = self._judged.pop(verdict.problem_id)
            waiting.row = self._row_of(waiting, verdict)
        num_waiting = len(self._waiting)
        while self._waiting and (row := self._waiting[0].row) is not None:
            self._num_bytes -= self._waiting.popleft().size
            self.num_failed += row["status"] != Status.PASS
            print(json.dumps(row), file=self._out)
        if len(self._waiting) < num_waiting:
            self._out.flush()

    def _row_of(self, waiting: _Waiting, verdict: Verdict) -> dict[str, Any]:
        proof = verdict.proof
        lines = [
            {"number": step.number, "text": step.text, "valid": step.valid, "reason": step.reason}
            for step in (proof.steps if proof else ())
        ]
        row = self._row(waiting, verdict.status, verdict.fault, verdict.reason)
        return row | {
            "answer_right": verdict.right if waiting.has_gold else None,
            "proof_valid": proof is not None and proof.valid,
            "verifier": verdict.verifier,
            "lines": lines,
            "worlds": list(verdict.worlds),
        }

    def _row(self, waiting: _Waiting, status: Status, fault: str, reason: str) -> dict[str, Any]:
        """The row of a record of which no verifier has said anything."""
        return {
            "id": waiting.id,
            "status": status,
            "answer_right": False if waiting.has_gold else None,
            "proof_valid": False,
            "verifier": self._verifier,
            "fault": fault,
            "reason": reason,
            "lines": [],
            "worlds": [],
        }


def _fields_in(line: bytes | None, number: int) -> dict[str, Any]:
    """The JSON object of a line. Raises LineError."""
    if line is None:
        raise LineError(f"it has more than {MAX_ITEM_BYTES:,} bytes")
    return object_in(line, number, parse_int=whole)


def _id_in(fields: Mapping[str, Any], number: int) -> str | int:
    """The id of a record, or the number of its line where it has none. Raises LineError."""
    name = fields.get("id")
    if name is None:
        return number
    if isinstance(name, str | int) and not isinstance(name, bool):
        return name
    # `whole` makes an integer infinite that has more digits.
    got = "" if name in (math.inf, -math.inf) else f", got {json.dumps(name):.40}"
    raise LineError(f"id: must be a text, or a whole number of at most 309 digits{got}")


def _record_of(fields: Mapping[str, Any]) -> _ProofRecord:
    """The record, whose proof has line breaks of one kind. Raises LineError."""
    try:
        record = _ProofRecord.model_validate(fields)
    except ValidationError as error:
        raise LineError(fault_in(error)) from None
    try:
        "".join((record.question, record.proof, *record.premises)).encode()
    except UnicodeEncodeError as error:
        found = ascii(error.object[error.start])
        raise LineError(f"it holds the character {found}, which is no text") from None
    record.proof = record.proof.replace("\r\n", "\n")
    return record


def _too_large(record: _ProofRecord) -> str:
    """Why a problem is larger than the format allows; empty where it is not."""
    if reason := too_many(record.premises):
        return reason
    length = len(record.question)
    return f"a question has at most {MAX_TEXT:,} characters, got {length:,}" if length > MAX_TEXT else ""


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

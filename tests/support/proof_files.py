"""Files of proofs, and the rows that `ratchet verify` prints for them."""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from configs.schema import Verify
from engine.verify.proof_file import verify_file
from tests.support.proof_helpers import CHAIN, PROOF

RECORD: Mapping[str, Any] = {
    "premises": list(CHAIN),
    "question": "Max is sour.",
    "proof": PROOF,
    "answer": "False",
}
"""A record that passes both checkers."""


def write(path: Path, *records: Mapping[str, Any] | str | bytes) -> Path:
    """One line for each: a record, a text, or bytes as they are."""
    lines = [each if isinstance(each, bytes | str) else json.dumps(each) for each in records]
    path.write_bytes(b"".join((line if isinstance(line, bytes) else line.encode()) + b"\n" for line in lines))
    return path


def rows_of(path: Path, verifier: str = "rules", **limits: Any) -> list[dict[str, Any]]:
    """The rows for a file, of which as many do not pass as is said."""
    out = io.StringIO()
    num_failed = verify_file(path, out, verifier, Verify(**limits))
    rows = [json.loads(line) for line in out.getvalue().splitlines()]
    assert num_failed == sum(row["status"] != "PASS" for row in rows)
    return rows

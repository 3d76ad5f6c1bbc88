"""How many records a second `ratchet verify` judges on one core, and whether their order changes a verdict.

`python -m tests.bench.bench_verify`

Command and checker share the core, and the start of the checker counts. Records are gold proofs of PrOntoQA,
each of its own problem, and random proofs of natural deduction, which have few lines in common.
"""

import io
import json
import os
import random
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from engine.records import Fault
from engine.verify.proof_file import verify_file
from tests.bench.harness import side_by_side
from tests.support.proof_files import RECORD, write
from tests.support.proof_helpers import theory
from tests.support.soundness import derivations, written
from tests.support.suites import suite

NUM = 10_000
NUM_DEDUCED = 2_000
NUM_ORDERED = 1_000
REPEATS = 3
BOTH = "rules + z3"

Record = Mapping[str, Any]


def gold_records(num: int) -> list[Record]:
    """Fresh problems, hops 1 to 8 alike."""
    drawn = suite("prontoqa", {"hops": range(1, 9)}).draw(num, split="bench", seed=0)
    return [
        {
            "premises": theory(problem).premises,
            "question": theory(problem).question,
            "answer": theory(problem).answer,
            "proof": problem.gold[0],
        }
        for problem in drawn
    ]


def deduced_records(num: int) -> list[Record]:
    """Every line of random proofs that rests on no assumption, as the end of a record of its own."""
    records: list[Record] = []
    for premises, lines, checker in derivations(random.Random(0), num, 25):
        last = checker.known[-1]
        if last.fault is Fault.NONE and not last.open:
            proof = written(lines)
            record = {"premises": premises, "question": lines[-1].claim, "notation": "fol", "proof": proof}
            records.append({**record, "answer": "True"})
        if len(records) == num:
            break
    return records


def hostile_records() -> list[Record | str]:
    """Records that are too long, too many, unreadable, or too hard for Z3 where it must see quantifiers."""
    deep = " ".join(f"-all v{level}" for level in range(6))
    hard = {
        "premises": [f"all x {deep} R(x, v0, v1, v2, v3, v4, v5)", "all x (P(x) -> P(x))", "P(a)"],
        "question": f"{deep} R(a, v0, v1, v2, v3, v4, v5)",
        "proof": f"{deep} R(a, v0, v1, v2, v3, v4, v5) [1 ui] [4]\nAnswer: True",
        "notation": "fol",
    }
    return [
        {**RECORD, "proof": "x" * 20_000_000},
        {**RECORD, "proof": "x" * 1_000_000},
        {**RECORD, "premises": ["Max is a wumpus."] * 80_000},
        "{",
        hard,
        {**hard, "proof": f"{deep} R(a, v0, v1, v2, v3, v4, v5) [1 2 3 no] [4]\nAnswer: True"},
    ]


def rows_of(path: Path, verifier: str) -> list[dict[str, Any]]:
    out = io.StringIO()
    verify_file(path, out, verifier)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def rate(path: Path, verifier: str) -> float:
    """Records a second, of which all pass."""
    began = time.perf_counter()
    rows = rows_of(path, verifier)
    seconds = time.perf_counter() - began
    assert all(row["status"] == "PASS" for row in rows)
    return len(rows) / seconds


def compare_orders(folder: Path, verifier: str) -> None:
    """Judge the same records in several orders; fails where one gets another verdict in another order."""
    rng = random.Random(0)
    records: list[Any] = [*gold_records(NUM_ORDERED), *deduced_records(NUM_ORDERED), *hostile_records()]
    named = [each if isinstance(each, str) else {**each, "id": number} for number, each in enumerate(records)]
    expected: list[str] = []
    for _ in range(4):
        order: Sequence[Any] = rng.sample(named, len(named))
        rows = rows_of(write(folder / "ordered.jsonl", *order), verifier)
        found = sorted(json.dumps(_without_place(row)) for row in rows)
        assert expected in ([], found), "a verdict depends on the order"
        expected = found
    print(f"{len(records)} records in 4 orders, {verifier}: the same verdicts", flush=True)


def _without_place(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """A row without the number of its line, which a record without an id has for one."""
    if row["fault"] != "unreadable" or not row["reason"].startswith("line "):
        return row
    return {**row, "id": "", "reason": row["reason"].partition(": ")[2]}


def main() -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with TemporaryDirectory() as folder:
        for name, records in (
            ("PrOntoQA", gold_records(NUM)),
            ("natural deduction", deduced_records(NUM_DEDUCED)),
        ):
            path = write(Path(folder) / "proofs.jsonl", *records)
            variants: dict[str, Callable[[], float]] = {
                each: partial(rate, path, each) for each in (BOTH, "rules", "z3")
            }
            side_by_side(f"verify {name}", "records/s on a core", variants, repeats=REPEATS, least=None)
        for verifier in (BOTH, "z3"):
            compare_orders(Path(folder), verifier)


if __name__ == "__main__":
    main()

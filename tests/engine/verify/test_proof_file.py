"""Files of proofs as people bring them: every record gets its verdict, whatever stands beside it."""

import io
import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from configs.schema import Verify
from engine.logic.limits import MAX_CHARS, MAX_PREMISES
from engine.plugins import PluginError
from engine.verify import proof_file
from engine.verify.proof_file import ProofFileError, verify_file
from tests.support.proof_files import RECORD, rows_of, write
from tests.support.proof_helpers import PROOF
from tests.support.verifiers import BAD


def test_a_file_of_proofs_gets_a_verdict_a_record(tmp_path: Path) -> None:
    logic = {
        "premises": ["A -> B", "A"],
        "question": "B",
        "notation": "fol",
        "proof": "A [1 2 mp] [3]\nAnswer: True",
    }
    first, second = rows_of(
        write(tmp_path / "proofs.jsonl", {**RECORD, "id": "first"}, "", logic), "rules + z3"
    )
    assert (first["id"], first["status"], first["answer_right"], first["proof_valid"]) == (
        "first",
        "PASS",
        True,
        True,
    )
    assert [line["number"] for line in first["lines"]] == [5, 6]
    assert (second["id"], second["status"], second["answer_right"]) == (3, "FAIL", None)
    assert second["fault"] == "no_progress" and second["reason"] == "line 3: the claim was already there"
    assert second["lines"] == [
        {"number": 3, "text": "A [1 2 mp] [3]", "valid": False, "reason": "the claim was already there"}
    ]
    assert first["worlds"] == second["worlds"] == []


def test_an_answer_unknown_is_shown_with_its_worlds(tmp_path: Path) -> None:
    asked = {
        "premises": ["P(a)"],
        "question": "Q(a)",
        "notation": "first_order",
        "proof": "Answer: Unknown",
        "answer": "Unknown",
    }
    (row,) = rows_of(write(tmp_path / "proofs.jsonl", asked), "rules + z3")
    assert row["status"] == "PASS" and [world.split("\n")[1] for world in row["worlds"]] == [
        "True: P(a), Q(a); nothing else.",
        "True: P(a); nothing else.",
    ]


TWICE = '{"proof": 5, ' + json.dumps(RECORD)[1:]
UNREADABLE: list[tuple[Any, str]] = [
    ("{", "not valid JSON"),
    ("[]", "must be a JSON object, got []"),
    ("[" * 100_000, "nested too deeply"),
    (b"\xff", "not valid UTF-8"),
    (TWICE, "the key 'proof' is given twice"),
    ({**RECORD, "answer": "Maybe"}, "answer: Input should be 'True', 'False' or 'Unknown'"),
    ({k: v for k, v in RECORD.items() if k != "proof"}, "proof: Field required"),
    ({**RECORD, "prof": ""}, "prof: Extra inputs are not permitted"),
    ({**RECORD, "premises": [1, 2]}, "premises.0: Input should be a valid string"),
    ({**RECORD, "premises": ["Max wumpus."]}, "not a statement: 'Max wumpus.'"),
    ({**RECORD, "question": "Rex is sour."}, "'Rex' is not a name of this problem"),
    (
        {**RECORD, "notation": "latin"},
        "notation: Input should be 'english', 'fol', 'first_order' or 'proofwriter'",
    ),
    ({**RECORD, "proof": "\ud800"}, "it holds the character '\\ud800', which is no text"),
    ({**RECORD, "id": 1.5}, "id: must be a text, or a whole number of at most 309 digits, got 1.5"),
    ({**RECORD, "id": [1] * 50}, "a whole number of at most 309 digits, got [1, 1, 1"),
    ('{"id": ' + "9" * 5_000 + ", " + json.dumps(RECORD)[1:], "whole number of at most 309 digits"),
]


def test_a_record_that_cannot_be_read_is_one_of_the_verdicts(tmp_path: Path) -> None:
    records = [each for broken, _ in UNREADABLE for each in (RECORD, broken)]
    rows = rows_of(write(tmp_path / "proofs.jsonl", *records, RECORD))
    assert [row["id"] for row in rows] == list(range(1, len(records) + 2))
    assert {row["status"] for row in rows[::2]} == {"PASS"}
    for row, (_, reason) in zip(rows[1::2], UNREADABLE, strict=True):
        assert (row["status"], row["fault"]) == ("UNDECIDED", "unreadable"), row
        assert reason in row["reason"] and "\n" not in row["reason"]
        assert row["lines"] == [] and not row["proof_valid"] and not row["answer_right"]


def test_a_record_that_cannot_be_read_keeps_its_id_where_it_has_one(tmp_path: Path) -> None:
    """Numbers of lines would be taken for the ids of other records."""
    broken = {**RECORD, "answer": "Maybe"}
    records = [{**broken, "id": name} for name in ("mine", 0, -7, True, None, 1.5)]
    rows = rows_of(write(tmp_path / "proofs.jsonl", *records, "{"))
    assert [row["id"] for row in rows] == ["mine", 0, -7, 4, 5, 6, 7]
    assert {row["fault"] for row in rows} == {"unreadable"}
    assert rows[0]["reason"].startswith("line 1: answer: ")


def test_crlf_is_a_line_break_between_records_and_inside_a_proof(tmp_path: Path) -> None:
    dos = {**RECORD, "proof": PROOF.replace("\n", "\r\n")}
    rows = rows_of(
        write(tmp_path / "proofs.jsonl", "\ufeff" + json.dumps(dos) + "\r", "\r", {**dos, "id": 7})
    )
    assert [(row["id"], row["status"]) for row in rows] == [(1, "PASS"), (7, "PASS")]
    assert [line["text"] for line in rows[0]["lines"]] == PROOF.split("\n")[:-1]


def test_a_proof_that_is_too_long_fails_and_is_shown_to_no_verifier(tmp_path: Path) -> None:
    long = {**RECORD, "proof": "exit 1" + " " * MAX_CHARS, "id": "long"}
    rows = rows_of(write(tmp_path / "proofs.jsonl", RECORD, long, RECORD), BAD)
    assert [row["status"] for row in rows] == ["PASS", "FAIL", "PASS"]
    assert (rows[1]["id"], rows[1]["fault"], rows[1]["answer_right"]) == ("long", "too_long", False)
    assert rows[1]["reason"] == (
        f"a completion has at most {MAX_CHARS} characters and 256 proof lines, "
        f"got {MAX_CHARS + 6} characters and 1 lines"
    )


@pytest.mark.parametrize(
    ("large", "reason"),
    [
        (
            {"premises": ["A"] * (MAX_PREMISES + 1)},
            "10,000 premises and 262,144 characters in them, got 10,001",
        ),
        ({"premises": ["A" * 300_000]}, "10,000 premises and 262,144 characters in them, got 1 and 300,000"),
        ({"question": "A" * 2_001}, "a question has at most 2,000 characters, got 2,001"),
    ],
)
def test_a_problem_that_is_too_large_is_unreadable_and_shown_to_no_verifier(
    tmp_path: Path, large: dict[str, Any], reason: str
) -> None:
    record = {**RECORD, **large, "proof": "exit 1", "id": "large"}
    rows = rows_of(write(tmp_path / "proofs.jsonl", RECORD, record, record, RECORD), BAD)
    assert [row["status"] for row in rows] == ["PASS", "UNDECIDED", "UNDECIDED", "PASS"]
    assert rows[1] == rows[2] and (rows[1]["id"], rows[1]["fault"]) == ("large", "unreadable")
    assert rows[1]["reason"].startswith("the problem cannot be read: a ") and reason in rows[1]["reason"]


def test_a_blank_line_is_named_by_its_place(tmp_path: Path) -> None:
    (row,) = rows_of(write(tmp_path / "proofs.jsonl", {**RECORD, "proof": f" \n{PROOF}"}))
    assert (row["status"], row["reason"]) == ("FAIL", "row 1 of the proof is blank")


def test_of_a_line_that_is_too_long_nothing_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof_file, "MAX_ITEM_BYTES", 1_000)
    huge = {**RECORD, "proof": "x" * 5_000_000}
    rows = rows_of(write(tmp_path / "proofs.jsonl", RECORD, huge, RECORD))
    assert [row["status"] for row in rows] == ["PASS", "UNDECIDED", "PASS"]
    assert rows[1]["reason"] == "line 2: it has more than 1,000 bytes"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "must hold a JSON record a line, got none"),
        (b"\n \r\n", "must hold a JSON record a line, got none"),
        (json.dumps(RECORD).encode("utf-16"), "is not in UTF-8 but in UTF-16"),
        (json.dumps(RECORD).encode("utf-16-be"), "is not in UTF-8 but in UTF-16"),
        (json.dumps(RECORD).encode("utf-32"), "is not in UTF-8 but in UTF-16 or UTF-32"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, content: bytes, reason: str) -> None:
    path, out = tmp_path / "proofs.jsonl", io.StringIO()
    path.write_bytes(content)
    with pytest.raises(ProofFileError, match=reason) as error:
        verify_file(path, out, "rules")
    assert str(path) in str(error.value) and "\n" not in str(error.value) and out.getvalue() == ""


def test_a_file_that_cannot_be_opened_or_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProofFileError, match="cannot be read: No such file or directory"):
        verify_file(tmp_path / "absent.jsonl", io.StringIO())
    with pytest.raises(ProofFileError, match="cannot be read: Is a directory"):
        verify_file(tmp_path, io.StringIO(), "rules")


@pytest.mark.parametrize(
    ("verifier", "reason"),
    [
        ("rules + ", "a verifier is missing in 'rules \\+ '"),
        ("+ z3", "a verifier is missing in '\\+ z3'"),
        ("", "a verifier is missing in ''"),
        ("rules + guess", "no verifier is called 'guess', allowed are rules, z3"),
        ("nowhere.py:act", "verifier file nowhere.py does not exist"),
    ],
)
def test_a_verifier_that_is_none_is_named_before_anything_starts(verifier: str, reason: str) -> None:
    with pytest.raises(PluginError, match=reason):
        verify_file(Path("absent.jsonl"), io.StringIO(), verifier)


def test_blanks_around_the_plus_do_not_matter(tmp_path: Path) -> None:
    (row,) = rows_of(write(tmp_path / "proofs.jsonl", RECORD), " rules  + z3 ")
    assert (row["status"], row["verifier"]) == ("PASS", "rules + z3 5.4.0")


def test_a_pipe_sees_a_verdict_before_it_gives_the_next_record(tmp_path: Path) -> None:
    """As `ratchet verify <(program)`: the next record is written when the verdict is there."""
    path, line = tmp_path / "pipe", json.dumps(RECORD).encode() + b"\n"
    os.mkfifo(path)
    answered, seen = threading.Event(), list[bool]()

    class Reader(io.StringIO):
        def flush(self) -> None:
            answered.set()

    def give() -> None:
        with open(path, "wb", buffering=0) as pipe:
            for _ in range(3):
                answered.clear()
                pipe.write(line[:40])
                pipe.write(line[40:])
                seen.append(answered.wait(20))

    giver, out = threading.Thread(target=give, daemon=True), Reader()
    giver.start()
    assert verify_file(path, out, "rules") == 0
    giver.join()
    assert seen == [True] * 3 and len(out.getvalue().splitlines()) == 3


def test_only_some_records_wait_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof_file, "_MOST_WAITING", 5)
    records = [{**RECORD, "id": number, "proof": PROOF if number % 3 else "no"} for number in range(100)]
    rows = rows_of(write(tmp_path / "proofs.jsonl", *records), num_processes=2)
    assert [(row["id"], row["status"]) for row in rows] == [
        (number, "PASS" if number % 3 else "FAIL") for number in range(100)
    ]


@pytest.mark.slow
def test_a_record_that_is_slow_huge_or_fatal_changes_no_other_verdict_in_any_order(tmp_path: Path) -> None:
    """Some seconds: each of these costs the time limit, or the start of two processes."""
    texts = [PROOF, "sleep 60", PROOF, "x" * 2_000_000, "exit 1", "no proof", "eat", PROOF, PROOF]
    records: list[Any] = [{**RECORD, "proof": text, "id": text[:9]} for text in texts]
    orders = []
    for order in (records, records[::-1]):
        rows = rows_of(write(tmp_path / "proofs.jsonl", *order), BAD, seconds=6, memory_mib=512)
        assert [row["id"] for row in rows] == [record["id"] for record in order]
        orders.append(rows)
    assert orders[0] == orders[1][::-1]
    found = {row["id"]: (row["status"], row["reason"]) for row in orders[0]}
    assert found["sleep 60"] == ("UNDECIDED", "the checker ran longer than 6 s")
    assert found["exit 1"] == ("UNDECIDED", "the checker died (exit code 1)")
    assert found["eat"] == ("UNDECIDED", "the checker ran out of memory")
    assert found["xxxxxxxxx"][0] == found["no proof"][0] == "FAIL"
    assert found[PROOF[:9]] == ("PASS", "")


def test_many_premises_are_read_in_the_checker_and_not_for_ever(tmp_path: Path) -> None:
    """Reading takes time that grows with their number; more than the format allows are not read at all."""
    kinds = [f"Each {'a' * (n % 26 + 1)}{chr(97 + n // 26 % 26)}us is red." for n in range(676)]
    many = {**RECORD, "premises": [*RECORD["premises"], *kinds, *["Max is a wumpus."] * 3_400]}
    facts = [f"P{n}(a{n})" for n in range(4_000)]
    logic = {
        "premises": ["A -> B", "A", *facts],
        "question": "B",
        "proof": f"B [1 2 mp] [{len(facts) + 3}]\nAnswer: True",
        "notation": "fol",
    }
    number = len(many["premises"])
    many["proof"] = (
        PROOF.replace("[6]", f"[{number + 2}]")
        .replace("[5]", f"[{number + 1}]")
        .replace("2 5", f"2 {number + 1}")
    )
    too_many = {**RECORD, "premises": ["Max is a wumpus."] * 80_000}
    rows = rows_of(write(tmp_path / "proofs.jsonl", many, logic, too_many, RECORD), "rules + z3")
    assert [row["status"] for row in rows] == ["PASS", "PASS", "UNDECIDED", "PASS"], rows[0]["reason"]
    assert rows[2]["reason"] == (
        "the problem cannot be read: a problem has at most 10,000 premises and 262,144 characters in them, "
        "got 80,000 and 1,280,000"
    )


def test_more_than_one_process_keeps_the_order(tmp_path: Path) -> None:
    texts = ["sleep 0.5", *["no"] * 50, PROOF]
    records: list[Any] = [{**RECORD, "proof": text, "id": number} for number, text in enumerate(texts)]
    out = io.StringIO()
    path = write(tmp_path / "proofs.jsonl", *records)
    assert verify_file(path, out, BAD, Verify(num_processes=3)) == len(texts) - 1
    assert [json.loads(line)["id"] for line in out.getvalue().splitlines()] == list(range(len(texts)))

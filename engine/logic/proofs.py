r"""The grammar of a completion: proof lines, then the answer, and nothing else.

    Max is a tumpus. [1 7 mp] [8]
    Max is not sour. [3 8 mp] [9]
    Answer: False

A line is ``CLAIM [CITATIONS RULE] [NUMBER]``: the justification as in Lemmon's textbook, and the number last.
The premises are lines 1..n of the prompt, also with their numbers last, and the proof goes on from n+1.
Claims are in the problem's notation; rules are in `engine.logic.rules`. The last line is ``Answer: True``,
``Answer: False`` or ``Answer: Unknown``. One newline at the very end is allowed.

The number stands last because a model finds it by looking at what follows the words it has just repeated:
after the same 200 proofs and steps, 91 % of the digits were right, and 76 % with numbers first.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from engine.logic.faults import AnyFault, ProofFault
from engine.logic.limits import MAX_CHARS, MAX_LINES
from engine.records import Fault

ANSWERS = ("True", "False", "Unknown")

# [0-9], not \d: other scripts' digits are no citations. No leading zero, so a number has one spelling.
_NUMBER = re.compile(r"[1-9][0-9]{0,5}")
_LINE = re.compile(r"(.+) \[([^\[\]]*)\] \[([^\[\]]*)\]")
_ANSWER = re.compile(r"Answer: (True|False|Unknown)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One proof line as written. It does not match the grammar where `fault` is not NONE."""

    text: str
    number: int
    """0 where it cannot be read."""
    claim: str = ""
    rule: str = ""
    citations: tuple[int, ...] = ()
    fault: AnyFault = Fault.NONE
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """A whole completion as written."""

    lines: tuple[Line, ...]
    answer: str
    """One of `ANSWERS`, or empty where the completion does not end in exactly one answer."""
    fault: Fault
    """A fault of the completion as a whole; each line holds its own."""
    reason: str


def too_long(text: str) -> str:
    """Why a completion is longer than the format allows; empty where it is not. Nothing of it is read."""
    num_lines = text.count("\n") + 1
    if len(text) <= MAX_CHARS and num_lines <= MAX_LINES + 2:
        return ""
    return (
        f"a completion has at most {MAX_CHARS} characters and {MAX_LINES} proof lines, "
        f"got {len(text)} characters and {num_lines} lines"
    )


def read_completion(text: str) -> Completion:
    """Split a completion by the grammar. It never raises: a part that does not match carries its fault."""
    if reason := too_long(text):
        return Completion(lines=(), answer="", fault=Fault.TOO_LONG, reason=reason)
    rows = text.removesuffix("\n").split("\n")
    ending = _ANSWER.fullmatch(rows[-1])
    lines = [read_line(row) for row in rows[:-1]]
    if ending is None:
        reason = f"the completion ends without an answer line (Answer: {', '.join(ANSWERS)})"
        last = read_line(rows[-1])
        # A last row that is not a line either was cut off, and is not a step.
        lines += [last] if last.fault is Fault.NONE or _ANSWER.match(rows[-1]) else []
        return Completion(lines=tuple(lines), answer="", fault=Fault.NO_ANSWER, reason=reason)
    if len(lines) > MAX_LINES:
        reason = f"a completion has at most {MAX_LINES} proof lines, got {len(lines)}"
        return Completion(lines=(), answer="", fault=Fault.TOO_LONG, reason=reason)
    num_answers = sum(row.startswith("Answer:") for row in rows)
    answer = ending[1] if num_answers == 1 else ""
    return Completion(lines=tuple(lines), answer=answer, fault=Fault.NONE, reason="")


def write_completion(lines: Sequence[tuple[int, str, str, Sequence[int]]], answer: str) -> str:
    """The text of a proof, without a newline at the end.

    `lines` are (number, claim, rule, citations). `read_completion` reads them back.
    """
    rows = [
        f"{claim} [{' '.join([*map(str, cited), rule])}] [{number}]" for number, claim, rule, cited in lines
    ]
    return "\n".join([*rows, f"Answer: {answer}"])


def read_line(row: str) -> Line:
    """A row of a completion as a proof line. It never raises: what does not match carries its fault."""
    if _ANSWER.match(row):
        return Line(text=row, number=0, fault=Fault.UNPARSED, reason="there is text after the answer")
    match = _LINE.fullmatch(row)
    if match is None:
        reason = "not of the form 'CLAIM [CITATIONS RULE] [NUMBER]'"
        return Line(text=row, number=0, fault=Fault.UNPARSED, reason=reason)
    claim, justification, number = match.groups()
    *citations, rule = justification.split(" ")
    fault: AnyFault = Fault.NONE
    reason = ""
    wrong = next((token for token in citations if not _NUMBER.fullmatch(token)), None)
    if not _NUMBER.fullmatch(number):
        fault, reason = ProofFault.BAD_LINE_NUMBER, f"'{number[:20]}' is not a line number"
    elif wrong is not None:
        fault, reason = ProofFault.BAD_CITATION, f"'{wrong[:20]}' is not a line number"
    return Line(
        text=row,
        number=int(number) if _NUMBER.fullmatch(number) else 0,
        claim=claim,
        rule=rule,
        citations=() if fault is not Fault.NONE else tuple(map(int, citations)),
        fault=fault,
        reason=reason,
    )


def number_premises(premises: Sequence[str]) -> str:
    """The premises as the lines 1..n of a prompt."""
    return "\n".join(f"{text} [{number}]" for number, text in enumerate(premises, 1))

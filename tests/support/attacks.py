"""Completions that try to pass for proofs, and the verdict that each must get."""

from dataclasses import dataclass

from engine.logic.faults import AnyFault, ProofFault
from engine.logic.limits import MAX_LINES
from engine.records import Fault
from tests.support.proof_helpers import CHAIN, PROOF

FIRST, SECOND, ANSWER = PROOF.split("\n")


LOGIC = ("A -> B", "A", "B -> C", "-D", "A | D")


@dataclass(frozen=True)
class Attack:
    """A completion that must not pass. English attacks aim at 'Max is sour.', which is False; others at C."""

    text: str
    fault: AnyFault
    reason: str
    notation: str = "english"
    premises: tuple[str, ...] = CHAIN
    question: str = "Max is sour."
    gold: str = "False"


def fol(
    text: str, fault: AnyFault, reason: str, *, premises: tuple[str, ...] = LOGIC, question: str = "C"
) -> Attack:
    return Attack(text, fault, reason, notation="fol", premises=premises, question=question, gold="True")


def last_line(row: str) -> str:
    return f"{FIRST}\n{row}\n{ANSWER}"


DEEP = "(" * 5_000 + "A" + ")" * 5_000


ATTACKS = {
    "wrong citation": Attack(
        last_line("Max is not sour. [3 5 mp] [6]"), ProofFault.WRONG_CLAIM, "'Max is a vumpus.'"
    ),
    "citation of the wrong fact": Attack(
        last_line("Max is not sour. [2 4 mp] [6]"),
        ProofFault.WRONG_RULE,
        "line 4 is not what line 2 asks for",
    ),
    "negative citation": Attack(
        last_line("Max is not sour. [2 -1 mp] [6]"), ProofFault.BAD_CITATION, "'-1' is not"
    ),
    "duplicate citation": Attack(
        last_line("Max is not sour. [2 5 5 mp] [6]"), ProofFault.BAD_CITATION, "superfluous"
    ),
    "duplicate citation of one line for two places": fol(
        "B [1 2 mp] [6]\nB & B [6 6 and_i] [7]\nC [3 6 mp] [8]\nAnswer: True",
        ProofFault.BAD_CITATION,
        "cited twice",
    ),
    "huge citation": Attack(
        last_line(f"Max is not sour. [2 {'9' * 4_000} mp] [6]"), ProofFault.BAD_CITATION, "is not a"
    ),
    "citation beyond the end": Attack(
        last_line("Max is not sour. [2 999999 mp] [6]"), ProofFault.BAD_CITATION, "cited before it is there"
    ),
    "citation with digits of another script": Attack(
        last_line("Max is not sour. [2 \u0665 mp] [6]"), ProofFault.BAD_CITATION, "is not a line number"
    ),
    "citation with an underscore": Attack(
        last_line("Max is not sour. [2 1_0 mp] [6]"), ProofFault.BAD_CITATION, "'1_0' is not a line number"
    ),
    "citation with a leading zero": Attack(
        last_line("Max is not sour. [2 05 mp] [6]"), ProofFault.BAD_CITATION, "'05'"
    ),
    "citation of line zero": Attack(
        last_line("Max is not sour. [2 0 mp] [6]"), ProofFault.BAD_CITATION, "'0' is not"
    ),
    "circular citation": Attack(
        "Max is not sour. [2 6 mp] [5]\nMax is a tumpus. [1 5 mp] [6]\n" + ANSWER,
        ProofFault.BAD_CITATION,
        "line 6 is cited before it is there",
    ),
    "citation of itself": Attack(
        "Max is not sour. [2 5 mp] [5]\n" + ANSWER, ProofFault.BAD_CITATION, "before it is there"
    ),
    "forward citation": Attack(
        "Max is not sour. [2 6 mp] [5]\n" + ANSWER, ProofFault.BAD_CITATION, "line 6 is cited"
    ),
    "no citation": Attack(
        "Max is not sour. [mp] [5]\n" + ANSWER, ProofFault.BAD_CITATION, "a citation is missing"
    ),
    "line number that shadows a premise": Attack(
        f"Max is a tumpus. [1 4 mp] [2]\nMax is not sour. [2 4 mp] [5]\n{ANSWER}",
        ProofFault.BAD_LINE_NUMBER,
        "numbered 2 where 5 comes next",
    ),
    "line number taken twice": Attack(
        f"{FIRST}\nMax is not sour. [2 5 mp] [5]\n{ANSWER}",
        ProofFault.BAD_LINE_NUMBER,
        "numbered 5 where 6 comes next",
    ),
    "line number in another script": Attack(
        last_line("Max is not sour. [2 5 mp] [\u0666]"), ProofFault.BAD_LINE_NUMBER, "is not a line number"
    ),
    "superfluous citation": Attack(
        last_line("Max is not sour. [2 5 4 mp] [6]"), ProofFault.BAD_CITATION, "a citation is superfluous"
    ),
    "wrong rule": Attack(
        last_line("Max is not sour. [2 5 mt] [6]"), ProofFault.WRONG_RULE, "line 5 does not deny"
    ),
    "no such rule": Attack(
        last_line("Max is not sour. [obvious] [6]"), ProofFault.WRONG_RULE, "no rule 'obvious'"
    ),
    "no rule": Attack(last_line("Max is not sour. [6]"), Fault.UNPARSED, "not of the form"),
    "several steps in one": Attack(
        "Max is not sour. [1 2 4 mp] [5]\n" + ANSWER, ProofFault.BAD_CITATION, "line 1 has 1 conditions"
    ),
    "premise restated as progress": Attack(
        "Max is a wumpus. [1 4 mp] [5]\nMax is a tumpus. [1 5 mp] [6]\n"
        f"Max is not sour. [2 6 mp] [7]\n{ANSWER}",
        ProofFault.NO_PROGRESS,
        "line 5: the claim was already there",
    ),
    "premise restated by assuming it": Attack(
        "Max is a wumpus. [assume] [5]\nMax is a tumpus. [1 4 mp] [6]\n"
        f"Max is not sour. [2 6 mp] [7]\n{ANSWER}",
        ProofFault.NO_PROGRESS,
        "already there",
    ),
    "premise restated as the whole proof": Attack(
        "Max is a wumpus. [1 4 mp] [5]\nAnswer: True",
        ProofFault.NO_PROGRESS,
        "already there",
        question="Max is a wumpus.",
        gold="True",
    ),
    "claim repeated": Attack(
        f"{FIRST}\nMax is a tumpus. [1 4 mp] [6]\nMax is not sour. [2 6 mp] [7]\n{ANSWER}",
        ProofFault.NO_PROGRESS,
        "line 6: the claim was already there",
    ),
    "claim repeated in other letters": Attack(
        f"{FIRST}\nMax  is a TUMPUS. [1 4 mp] [6]\nMax is not sour. [2 6 mp] [7]\n{ANSWER}",
        ProofFault.NO_PROGRESS,
        "already there",
    ),
    "negation flipped": Attack(
        last_line("Max is sour. [2 5 mp] [6]"),
        ProofFault.WRONG_POLARITY,
        "the cited lines give 'Max is not sour.'",
    ),
    "negation flipped with the answer": Attack(
        f"{FIRST}\nMax is sour. [2 5 mp] [6]\nAnswer: True",
        ProofFault.WRONG_POLARITY,
        "the negation is wrong",
    ),
    "answer flipped": Attack(
        PROOF.replace("False", "True"), Fault.WRONG_ANSWER, "the answer is False, got True"
    ),
    "right answer from an invalid proof": Attack(
        "Max is not sour. [2 4 mp] [5]\n" + ANSWER,
        ProofFault.WRONG_RULE,
        "line 4 is not what line 2 asks for",
    ),
    "valid proof of another claim": Attack(
        f"Max is a tumpus. [1 4 mp] [5]\nMax is a vumpus. [3 5 mp] [6]\n{ANSWER}",
        ProofFault.UNSETTLED,
        "the last line does not show that the question is False",
    ),
    "valid proof that goes on past the claim": Attack(
        f"{FIRST}\n{SECOND}\nMax is a vumpus. [3 5 mp] [7]\n{ANSWER}",
        ProofFault.UNSETTLED,
        "the last line does not show",
    ),
    "answer after the answer": Attack(
        f"{PROOF}\nAnswer: True", Fault.UNPARSED, "there is text after the answer"
    ),
    "same answer twice": Attack(f"{PROOF}\n{ANSWER}", Fault.UNPARSED, "there is text after the answer"),
    "talk after the answer": Attack(f"{PROOF}\nI am sure.", Fault.UNPARSED, "there is text after the answer"),
    "talk on the answer's line": Attack(
        f"{PROOF} Trust me.", Fault.UNPARSED, "there is text after the answer"
    ),
    "blank line after the answer": Attack(f"{PROOF}\n\n", Fault.UNPARSED, "there is text after the answer"),
    "text between steps": Attack(
        f"{FIRST}\nSo it goes.\n{SECOND}\n{ANSWER}", Fault.UNPARSED, "'So it goes.': not of"
    ),
    "blank line between steps": Attack(
        f"{FIRST}\n\n{SECOND}\n{ANSWER}", Fault.UNPARSED, "row 2 of the proof is blank"
    ),
    "text before the proof": Attack(f"Let us see.\n{PROOF}", Fault.UNPARSED, "not of the form"),
    "text after a citation": Attack(last_line(SECOND + " # so"), Fault.UNPARSED, "not of the form"),
    "two brackets": Attack(
        last_line("Max is not sour. [2 5 mp] [1 4 mp] [6]"), ProofFault.UNKNOWN_SYMBOL, "not a statement"
    ),
    "carriage return": Attack(PROOF.replace("\n", "\r\n"), Fault.UNPARSED, "not of the form"),
    "line separator": Attack(
        f"{FIRST}\u2028{SECOND}\n{ANSWER}", ProofFault.UNKNOWN_SYMBOL, "not printable ASCII"
    ),
    "truncated proof": Attack(f"{FIRST}\n{SECOND}", Fault.NO_ANSWER, "ends without an answer line"),
    "truncated line": Attack(
        f"{FIRST}\nMax is not sour. [2 5", Fault.NO_ANSWER, "ends without an answer line"
    ),
    "truncated answer": Attack(
        f"{FIRST}\n{SECOND}\nAnswer: Fal", Fault.NO_ANSWER, "ends without an answer line"
    ),
    "nothing": Attack("", Fault.NO_ANSWER, "ends without an answer line"),
    "empty proof with an answer": Attack(
        ANSWER, ProofFault.UNSETTLED, "there is no proof of the answer False"
    ),
    "unknown to avoid a proof": Attack(
        "Answer: Unknown", Fault.WRONG_ANSWER, "the answer is False, got Unknown"
    ),
    "undischarged assumption": Attack(
        "Max is not sour. [assume] [5]\n" + ANSWER,
        ProofFault.OPEN_ASSUMPTION,
        "(line 5) that is not discharged",
    ),
    "undischarged assumption beneath": Attack(
        f"Max is a tumpus. [assume] [5]\nMax is not sour. [2 5 mp] [6]\n{ANSWER}",
        ProofFault.OPEN_ASSUMPTION,
        "rests on an assumption (line 5)",
    ),
    "another assumption discharged": fol(
        "B [assume] [6]\nD [assume] [7]\nC [3 6 mp] [8]\nD -> C [7 8 cp] [9]\n"
        "-(D -> C) -> C [9 8 cp] [10]\nAnswer: True",
        ProofFault.WRONG_RULE,
        "line 9 is not an assumption",
    ),
    "citation into a closed sub-proof": fol(
        "B [assume] [6]\nC [3 6 mp] [7]\nB -> C [6 7 cp] [8]\nC & C [7 3 and_i] [9]\n"
        "C [9 and_e] [10]\nAnswer: True",
        ProofFault.NO_PROGRESS,
        "line 8",
    ),
    "citation of a closed sub-proof's line": fol(
        "-B [assume] [6]\n-B | C [6 or_i] [7]\n-B -> -B | C [6 7 cp] [8]\n"
        "A & (-B | C) [2 7 and_i] [9]\nAnswer: True",
        ProofFault.BAD_CITATION,
        "line 7 is in a sub-proof that was closed",
    ),
    "citation of a closed assumption": fol(
        "-B [assume] [6]\n-B | C [6 or_i] [7]\n-B -> -B | C [6 7 cp] [8]\nA & -B [2 6 and_i] [9]\n"
        "Answer: True",
        ProofFault.BAD_CITATION,
        "line 6 is in a sub-proof that was closed",
    ),
    "discharge of an assumption that was not made": fol(
        "B [1 2 mp] [6]\nC [3 6 mp] [7]\n-A [2 6 7 raa] [8]\nAnswer: True",
        ProofFault.WRONG_RULE,
        "line 2 is not an assumption",
    ),
    "contradictory citations": fol(
        "C [1 2 mp] [4]\nAnswer: True",
        ProofFault.WRONG_RULE,
        "line 1 is not a rule",
        premises=("A", "-A", "C -> C"),
    ),
    "contradictory citations under an idle assumption": fol(
        "-C [assume] [4]\nC [4 1 2 raa] [5]\nAnswer: True",
        ProofFault.BAD_CITATION,
        "line 4 is superfluous",
        premises=("A", "-A", "C | -C"),
    ),
    "or-introduction padding": fol(
        "\n".join(
            [
                "A | C [2 or_i] [6]",
                *(f"{'A | C' + ' | C' * (n - 6)} [{n - 1} or_i] [{n}]" for n in range(7, 20)),
            ]
        )
        + "\nAnswer: True",
        ProofFault.UNSETTLED,
        "the last line does not show",
    ),
    "or-introduction for the claim": fol(
        "A | C [2 or_i] [6]\nC [6 2 ds] [7]\nAnswer: True",
        ProofFault.WRONG_RULE,
        "line 2 does not deny a side of line 6",
    ),
    "look-alike letter": Attack(
        last_line("M\u0430x is not sour. [2 5 mp] [6]"), ProofFault.UNKNOWN_SYMBOL, "not printable ASCII"
    ),
    "look-alike in the answer": Attack(
        PROOF.replace("False", "F\u0430lse"), Fault.NO_ANSWER, "without an answer"
    ),
    "invisible letter": Attack(
        last_line("Max is\u200b not sour. [2 5 mp] [6]"), ProofFault.UNKNOWN_SYMBOL, "ASCII"
    ),
    "control letter": Attack(
        last_line("Max is not sour.\x1c [2 5 mp] [6]"), ProofFault.UNKNOWN_SYMBOL, "ASCII"
    ),
    "name of no premise": Attack(
        last_line("Rex is not sour. [2 5 mp] [6]"), ProofFault.UNKNOWN_SYMBOL, "'Rex' is not"
    ),
    "word of no premise": Attack(
        last_line("Max is not blue. [2 5 mp] [6]"), ProofFault.UNKNOWN_SYMBOL, "'blue' is not"
    ),
    "formula not as it is printed": fol(
        "(B) [1 2 mp] [6]\nC [3 6 mp] [7]\nAnswer: True",
        ProofFault.UNKNOWN_SYMBOL,
        "the claim is written 'B', got '(B)'",
    ),
    "ten thousand steps": Attack(
        "\n".join([*(f"Max is a tumpus. [1 4 mp] [{n}]" for n in range(5, 10_005)), ANSWER]),
        Fault.TOO_LONG,
        "at most",
    ),
    "one line more than allowed": Attack("x\n" * (MAX_LINES + 1) + ANSWER, Fault.TOO_LONG, "256 proof lines"),
    "a million letters": Attack("x" * 1_000_000, Fault.TOO_LONG, "at most 32768 characters"),
    "many brackets": Attack("Max" + " [" * 16_000 + "\n" + ANSWER, Fault.UNPARSED, "not of the form"),
    "deep nesting": fol(
        f"{DEEP} [1 2 mp] [6]\nAnswer: True", ProofFault.UNKNOWN_SYMBOL, "at most 2000 characters"
    ),
    "deep nesting in little room": fol(
        f"{'(' * 400}B{')' * 400} [1 2 mp] [6]\nAnswer: True", ProofFault.UNKNOWN_SYMBOL, "deep"
    ),
    "many negations": fol(f"{'-' * 900}B [1 2 mp] [6]\nAnswer: True", ProofFault.UNKNOWN_SYMBOL, "deep"),
    "code": Attack(
        "__import__('os').system('true') [1 4 mp] [5]\n" + ANSWER,
        ProofFault.UNKNOWN_SYMBOL,
        "not a statement",
    ),
}

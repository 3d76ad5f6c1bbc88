"""What tasks about proofs measure, whatever their problems are about."""

from engine.logic.faults import ProofFault
from engine.logic.first_order.notation import parse
from engine.logic.notation import NotationError
from engine.records import Problem, Status, StepVerdict, Theory, Verdict
from engine.tasks.suite import Ratio, Share


def _lines(verdict: Verdict) -> tuple[float, float]:
    return (verdict.proof.num_valid, len(verdict.proof.steps)) if verdict.proof else (0, 0)


def _lines_and_answer(verdict: Verdict) -> tuple[float, float]:
    num_valid, num_lines = _lines(verdict)
    return num_valid + verdict.right, num_lines + 1


def _is_unknown(problem: Problem) -> bool:
    return isinstance(problem.truth, Theory) and problem.truth.answer == "Unknown"


def _passed(verdict: Verdict) -> bool:
    return verdict.status is Status.PASS


FIGURES = (
    Share(
        key="accuracy",
        title="right answer",
        holds=lambda verdict: verdict.right,
        note="Right answers, whatever their proofs are: comparable with published figures.",
    ),
    Share(
        key="strict",
        title="right answer and valid proof",
        holds=_passed,
        note="Right answers whose proofs are valid in every line.",
    ),
    Ratio(
        key="step_validity",
        title="valid proof lines",
        parts=_lines,
        note="Distinct valid lines over all proof lines; the answer line is not counted.",
    ),
    Ratio(
        key="step_validity_with_answer",
        title="valid lines with the answer",
        parts=_lines_and_answer,
        note="Valid lines over all lines, the answer line among them and valid if right, as SOKRATES counts.",
    ),
)
HEADLINE = "strict"
FIGURES_WITH_UNKNOWN = (
    *FIGURES[:2],
    Share(
        key="strict_decided",
        title="the same, where the premises decide",
        holds=_passed,
        note="Right answers with valid proofs, of the problems whose answer is True or False.",
        among=lambda problem: not _is_unknown(problem),
    ),
    Share(
        key="strict_unknown",
        title="the same, where the answer is Unknown",
        holds=_passed,
        note="Of the problems whose answer is Unknown, which needs no proof; any lines are valid.",
        among=_is_unknown,
    ),
    *FIGURES[2:],
)
"""For tasks some of whose problems the premises leave open."""


def _is_formalized(problem: Problem) -> bool:
    return isinstance(problem.truth, Theory) and problem.truth.notation == "formalized"


def _formulas(verdict: Verdict) -> list[StepVerdict]:
    """The lines of a reply that formalize the sentences and the question: one for each, given or missing."""
    return list(verdict.steps[: verdict.proof.num_formulas]) if verdict.proof else []


def _all_formalized(verdict: Verdict) -> bool:
    """Each formula may be right by itself, and still all of them use a name in two senses: a fault."""
    formulas = _formulas(verdict)
    is_right = bool(formulas) and all(step.valid for step in formulas)
    return is_right and verdict.fault != ProofFault.MISFORMALIZED


def _right_formulas(verdict: Verdict) -> tuple[float, float]:
    formulas = _formulas(verdict)
    return sum(step.valid for step in formulas), len(formulas)


def _parsed_formulas(verdict: Verdict) -> tuple[float, float]:
    formulas = _formulas(verdict)
    return sum(_is_formula(step.text.rpartition(" [")[0]) for step in formulas), len(formulas)


def _is_formula(text: str) -> bool:
    try:
        parse(text)
    except NotationError:
        return False
    return True


FIGURES_OF_FORMULAS = (
    *FIGURES_WITH_UNKNOWN,
    Share(
        key="formalized",
        title="all sentences formalized",
        holds=_all_formalized,
        note="Replies whose formulas all say what the sentences do, whatever the proof is worth.",
        among=_is_formalized,
    ),
    Share(
        key="formulas_consistent",
        title="sentences' formulas can hold together",
        holds=lambda verdict: verdict.proof is not None and verdict.proof.consistent,
        note="Replies whose own premises can be read and do not contradict each other, right or wrong.",
        among=_is_formalized,
    ),
    Ratio(
        key="formulas_right",
        title="formulas equivalent to the gold ones",
        parts=_right_formulas,
        note="Sentences and questions whose line says what they do; one without a line counts as wrong.",
        among=_is_formalized,
    ),
    Ratio(
        key="formulas_parsed",
        title="formulas that are any",
        parts=_parsed_formulas,
        note="Sentences and questions whose line can be read as a formula; a missing line counts as none.",
        among=_is_formalized,
    ),
)
"""For tasks of first-order logic, whose sentences a model may have to formalize."""

"""What tasks about proofs measure, whatever their problems are about."""

from engine.records import Status, Verdict
from engine.tasks.suite import Ratio, Share


def _lines(verdict: Verdict) -> tuple[float, float]:
    return (verdict.proof.num_valid, len(verdict.proof.steps)) if verdict.proof else (0, 0)


def _lines_and_answer(verdict: Verdict) -> tuple[float, float]:
    num_valid, num_lines = _lines(verdict)
    return num_valid + verdict.right, num_lines + 1


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
        holds=lambda verdict: verdict.status is Status.PASS,
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

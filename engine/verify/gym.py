"""The scorers of reasoning-gym: a reply passes where its dataset's scorer gives full marks.

Some scorers give full marks to wrong replies as well, or a reply to `eval`. `engine.gym.served` says which,
and what a reply must look like for such a scorer to see it.
"""

from dataclasses import replace

from engine.gym.entries import FULL, Entry, Unreadable, score
from engine.gym.package import datasets
from engine.records import Attempt, Fault, Finish, Problem, Reference, Verdict
from engine.verify.verdicts import verdict_on

NAME = "gym"
FAULTS = {"nearly_right": "The scorer gives at least half of the marks, but not all."}
_OPEN, _CLOSE = "<answer>", "</answer>"
_SHOWN = 80
"""Letters of an answer in a reason."""

datasets()
"""The import takes seconds, which the first reply would otherwise pay for with its time."""


def verify(problem: Problem, attempt: Attempt) -> Verdict:
    """Judge one reply. PASS: full marks. `grade` is the score, where the scorer was asked and gave a share.

    Raises ValueError for a problem of another task.
    """
    truth = problem.truth
    if not isinstance(truth, Reference) or "facts" not in truth.extra:
        raise ValueError(f"a problem of the task gym is needed, got one of '{problem.task}'")
    (wanted,), known = truth.accepted, truth.extra
    tagged = known["reply"] == "tags"
    answer = _answer_in(attempt.text, tagged=tagged)
    grade: float | None = None
    fault: str = Fault.NONE
    if not answer:
        fault = Fault.NO_ANSWER
        reason = f"there is no {_OPEN}…{_CLOSE}" if tagged else "there is no answer"
    else:
        entry = Entry(question=problem.turns[0], answer=wanted, facts=known["facts"])
        try:
            marks = score(known["dataset"], known["settings"], entry, answer)
        except Unreadable as error:
            fault, reason = Fault.UNPARSED, str(error)
        else:
            grade = marks if 0 <= marks <= FULL else None
            reason = f"a right answer is '{_short(wanted)}', got '{_short(answer)}' ({marks:.3g} of 1)"
            if marks != FULL:
                fault = "nearly_right" if grade is not None and grade >= FULL / 2 else Fault.WRONG_ANSWER
    # Without tags the answer could have gone on: 4 becomes 42.
    if attempt.finish is Finish.LENGTH and (fault != Fault.NONE or not tagged):
        why = reason if fault != Fault.NONE else "it may not have ended with this answer"
        fault, reason = Fault.TOO_LONG, f"the reply was cut off: {why}"
    return replace(
        verdict_on(problem, attempt, verifier=NAME, answer=answer, fault=fault, reason=reason), grade=grade
    )


def _answer_in(reply: str, *, tagged: bool) -> str:
    """The whole reply, or what its last pair of tags encloses; empty where there is none."""
    if not tagged:
        return reply.strip()
    before, closed, _ = reply.rpartition(_CLOSE)
    _, opened, answer = before.rpartition(_OPEN)
    return answer.strip() if opened and closed else ""


def _short(text: str) -> str:
    return " ".join(text.split())[:_SHOWN]

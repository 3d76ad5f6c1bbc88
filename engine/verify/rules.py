"""The rule checker: is every line of a proof one rule applied to exactly the lines that it cites?

Fast, and the judge of training data. It accepts less than logic would: a sound line is refused where its
rule is misnamed, a citation is superfluous, nothing new is said, or several steps are made in one.
"""

from engine.logic.proof_check import _check, _first_fault, _num_distinct, _unsettled, read_problem
from engine.logic.proofs import read_completion
from engine.records import Attempt, Fault, Problem, Status, Verdict

NAME = "rules"


def verify(problem: Problem, attempt: Attempt) -> Verdict:
    """Judge one completion. PASS: the answer is gold's, every line is valid, the last settles the question.

    Without a gold answer (empty) a valid proof is its own evidence: it PASSes, and `answer_right` repeats
    `proof_valid`; an answer Unknown is then UNDECIDED. Raises ValueError for a problem that cannot be read.
    """
    notation, question = read_problem(problem.notation, problem.premises, problem.question)
    completion = read_completion(attempt.text)
    answer, gold = completion.answer, problem.gold_answer
    checker, steps, checked = _check(notation, completion)
    fault, fault_step, reason = _first_fault(completion, checked)
    unsettled = _unsettled(answer, question, checked)
    valid = fault is Fault.NONE and not unsettled and (answer != "Unknown" or gold == "Unknown")
    right = answer == gold if gold else valid
    status = Status.PASS if right and valid else Status.FAIL
    if fault is Fault.NONE and status is Status.FAIL:
        if checked and checked[-1].open and answer != "Unknown":
            fault, fault_step = Fault.OPEN_ASSUMPTION, len(checked)
            reason = (
                f"the last line rests on an assumption (line {min(checked[-1].open)}) that is not discharged"
            )
        elif gold and not right:
            fault, reason = Fault.WRONG_ANSWER, f"the answer is {gold}, got {answer}"
        elif unsettled:
            fault, reason = Fault.UNSETTLED, unsettled
        else:
            status, reason = Status.UNDECIDED, "an answer Unknown cannot be judged without the gold answer"
    return Verdict(
        problem_id=problem.id,
        sample=attempt.sample,
        status=status,
        answer_right=right,
        proof_valid=valid,
        answer=answer,
        steps=steps,
        num_valid_steps=_num_distinct(checker, checked),
        fault=fault,
        fault_step=fault_step,
        verifier=NAME,
        reason=reason,
    )

"""Problems and answers of which only the ids and the verdicts matter."""

from engine.records import Answer, Attempt, Finish, Problem, Reference, Status, Verdict


def problem(name: str) -> Problem:
    return Problem(
        id=name,
        task="t",
        slice="",
        turns=(name,),
        truth=Reference(accepted=()),
        gold=(),
        split="",
        origin="",
    )


def answer(name: str, sample: int, status: Status) -> Answer:
    return Answer(
        attempt=Attempt(
            problem_id=name,
            model_id="m",
            sample=sample,
            replies=("x",),
            num_prompt_tokens=1,
            num_tokens=1,
            finish=Finish.STOP,
        ),
        verdict=Verdict(
            problem_id=name,
            sample=sample,
            status=status,
            right=False,
            answer="",
            fault="none",
            verifier="v",
            reason="",
        ),
    )

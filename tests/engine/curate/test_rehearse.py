"""Rehearsal rows are the base's own text, as many as requested, and a text that was cut off does not end."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from engine.curate.rehearse import num_rows, openings, rehearsal, requests
from engine.records import Attempt, Finish, Role, TrainingRow
from engine.sample.protocol import Request, Sampling


class Base:
    """A sampler that answers every chat and never ends a plain text."""

    def __init__(self) -> None:
        self.asked: list[tuple[Request, Sampling]] = []

    def sample(self, model: Path, asks: Sequence[Request], sampling: Sampling) -> Iterator[Attempt]:
        assert model == Path("base")
        self.asked += [(request, sampling) for request in asks]
        for request in reversed(asks):  # in any order
            chat = not isinstance(request.messages, str)
            yield Attempt(
                problem_id=request.problem_id,
                model_id="base",
                sample=0,
                replies=(f" {request.problem_id}",),
                num_prompt_tokens=1,
                num_tokens=1,
                finish=Finish.STOP if chat else Finish.LENGTH,
            )

    def score(self, model: Path, texts: Sequence[str]) -> list:
        raise NotImplementedError

    def sleep(self) -> None:
        raise NotImplementedError


def prompt(row: TrainingRow) -> str:
    """The one turn of a chat."""
    (turn,) = row.chat
    assert turn.role == "user"
    return turn.text


def test_rows_are_answers_and_texts_of_the_base_at_temperature_1() -> None:
    base = Base()
    rows = rehearsal(base, Path("base"), 70, seed=3)
    assert len(rows) == 70 and all(sampling.temperature == 1.0 for _, sampling in base.asked)
    answers, texts = rows[:60], rows[60:]
    assert {row.role for row in rows} == {Role.HOLD}
    assert all(prompt(row) in requests() and row.ends for row in answers)
    assert len({prompt(row) for row in answers}) == 60
    assert [row.chosen for row in answers] == [f" rehearsal-{i}" for i in range(60)]
    assert all(not row.chat and not row.ends for row in texts)
    assert all(any(row.chosen.startswith(f"{text} rehearsal-") for text in openings()) for row in texts)


def test_another_seed_asks_for_something_else_and_more_than_there_are_is_drawn_again() -> None:
    first, second = (rehearsal(Base(), Path("base"), 70, seed=seed) for seed in (0, 1))
    assert not {prompt(row) for row in first if row.chat} & {prompt(row) for row in second if row.chat}
    many = Base()
    assert len(rehearsal(many, Path("base"), 700, seed=0)) == 700
    # An answer is drawn by its request's id: the same prompt under two ids is answered twice.
    assert len({(request.problem_id, str(request.messages)) for request, _ in many.asked}) == 700


def test_the_share_is_of_all_rows() -> None:
    assert num_rows(95, 0.05) == 5
    assert num_rows(240, 0.0) == 0

"""Training data from verified attempts: scores, pairs, kept proofs, and where every completion went."""

import itertools
import random
from dataclasses import replace

import pytest

from configs.loops import OakDpo
from configs.training import Dpo, Sft
from engine.curate.preferences import build, score
from engine.logic.proof_check import prune
from engine.records import Answer, Funnel, Problem, Reference, Status, TrainingRow, TrainingSet, Turn
from engine.verify import rules
from tests.support.proof_helpers import CHAIN, PROOF, attempt, problem

ASKED = problem(CHAIN, "Max is sour.", "False", notation="english")
HALF = PROOF.replace("Max is not sour. [2 5 mp]", "Max is sour. [2 5 mp]")
"""A proof with one valid step of two and the right answer: 0.5 + 1."""
DETOUR = PROOF.replace(
    "Max is not sour. [2 5 mp] [6]", "Max is a vumpus. [3 5 mp] [6]\nMax is not sour. [2 5 mp] [7]"
)
WRONG_SIDE = PROOF.replace("Answer: False", "Answer: True")
GARBAGE = "I think that Max is sour."
NO_ANSWER = "Max is a tumpus. [1 4 mp] [5]"
ONLY_ANSWER = "Answer: False"
STATIONS = ["sampled", "not leaked", "decided", "distinct", "parsed", "passed", "solved", "contrast", "rows"]


def judged(text: str, asked: Problem = ASKED, sample: int = 0) -> Answer:
    given = attempt(text, problem_id=asked.id, sample=sample)
    return Answer(attempt=given, verdict=rules.verify(asked, given))


def undecided(text: str) -> Answer:
    """An undecided answer whose figures are those of the best answer of all."""
    good = judged(text)
    return replace(good, verdict=replace(good.verdict, status=Status.UNDECIDED))


METHODS = {"dpo": Dpo(), "rft": Sft()}


def train_on(
    *texts: str | Answer, method: str = "dpo", seen: frozenset[str] = frozenset(), **settings
) -> TrainingSet:
    answers = [judged(each, sample=i) if isinstance(each, str) else each for i, each in enumerate(texts)]
    return build(
        [ASKED],
        answers,
        config=OakDpo(samples=len(texts), train=METHODS[method], **settings),
        system="Prove.",
        seen_by_judges=seen,
        target=prune,
    )


def lost(funnel: Funnel | None, name: str) -> int:
    """How many a station drops."""
    assert funnel is not None
    station = funnel.station(name)
    return station.num_in - station.num_out


def pairs(data: TrainingSet) -> list[tuple[str, str]]:
    return [(row.chosen, row.rejected) for row in data.rows]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (PROOF, 2.5),
        (DETOUR, 2.5),
        (HALF, 1.5),
        (WRONG_SIDE, 1.0),
        (NO_ANSWER, 1.0),
        (ONLY_ANSWER, 1.0),
        (GARBAGE, 0.0),
        ("", 0.0),
    ],
)
def test_the_score_is_that_of_sokrates(text: str, expected: float) -> None:
    assert score(judged(text).verdict) == expected


def test_repeating_a_step_raises_no_score() -> None:
    padded = PROOF.replace(
        "\nAnswer", "\nMax is a tumpus. [1 4 mp] [7]\nMax is a tumpus. [1 4 mp] [8]\nAnswer"
    )
    assert score(judged(padded).verdict) == pytest.approx(2 / 4 + 1)


def test_the_best_is_paired_with_every_worse_one() -> None:
    data = train_on(GARBAGE, HALF, PROOF, WRONG_SIDE)
    assert pairs(data) == [(PROOF, HALF), (PROOF, WRONG_SIDE), (PROOF, GARBAGE)]
    assert data.funnel and data.funnel.station("rows").num_out == 3 and data.num_held == 0
    assert data.rows[0].chat == (Turn(role="system", text="Prove."), Turn(role="user", text=ASKED.turns[0]))


def test_equally_good_answers_make_no_pair() -> None:
    data = train_on(PROOF, DETOUR)
    assert data.rows == () and lost(data.funnel, "contrast") == 1


def test_the_gap_must_be_reached() -> None:
    assert pairs(train_on(PROOF, HALF, GARBAGE, min_gap=1.01)) == [(PROOF, GARBAGE)]
    assert pairs(train_on(PROOF, HALF, GARBAGE, min_gap=1.0)) == [(PROOF, HALF), (PROOF, GARBAGE)]


def test_what_did_not_pass_is_never_chosen() -> None:
    data = train_on(HALF, GARBAGE, WRONG_SIDE)
    assert data.rows == () and lost(data.funnel, "solved") == 1


def test_the_chosen_proof_is_pruned_to_what_it_needs() -> None:
    assert pairs(train_on(DETOUR, GARBAGE)) == [(PROOF, GARBAGE)]


def test_answer_only_is_the_ablation_that_looks_at_answers_alone() -> None:
    data = train_on(GARBAGE, ONLY_ANSWER, HALF, WRONG_SIDE, preference="answer_only")
    assert pairs(data) == [(ONLY_ANSWER, GARBAGE), (ONLY_ANSWER, WRONG_SIDE)]
    assert train_on(GARBAGE, WRONG_SIDE, preference="answer_only").rows == ()


def test_flip_swaps_chosen_and_rejected() -> None:
    assert pairs(train_on(PROOF, GARBAGE, flip=True)) == [(GARBAGE, PROOF)]


@pytest.mark.parametrize("method", ["dpo", "rft"])
@pytest.mark.parametrize("preference", ["sokrates", "answer_only"])
def test_undecided_is_never_a_label(method: str, preference: str) -> None:
    data = train_on(undecided(PROOF), undecided(GARBAGE), HALF, method=method, preference=preference)
    assert data.rows == ()
    assert lost(data.funnel, "decided") == 2
    assert data.funnel and data.funnel.station("passed").num_out == 0


@pytest.mark.parametrize("method", ["dpo", "rft"])
def test_problems_of_the_judges_are_not_trained_on(method: str) -> None:
    data = train_on(PROOF, GARBAGE, method=method, seen=frozenset({ASKED.id}))
    assert data.rows == () and lost(data.funnel, "not leaked") == 2
    assert lost(data.funnel, "solved") == lost(data.funnel, "contrast") == 0


def test_rft_keeps_distinct_verified_proofs_pruned() -> None:
    other = problem(
        [*CHAIN[:3], "Each wumpus is not sour.", CHAIN[3]], "Max is sour.", "False", notation="english"
    )
    short = "Max is not sour. [4 5 mp] [6]\nAnswer: False"
    long = "Max is a tumpus. [1 5 mp] [6]\nMax is not sour. [2 6 mp] [7]\nAnswer: False"
    padded = "Max is a tumpus. [1 5 mp] [6]\nMax is not sour. [4 5 mp] [7]\nAnswer: False"
    answers = [judged(text, other, i) for i, text in enumerate([GARBAGE, padded, short, long])]
    for limit, kept in ((1, [short]), (5, [short, long])):
        data = build(
            [other],
            answers,
            config=OakDpo(samples=4, proofs_per_problem=limit, train=METHODS["rft"]),
            system="",
            seen_by_judges=frozenset(),
            target=prune,
        )
        assert [row.chosen for row in data.rows] == kept
        assert all(row.rejected == "" for row in data.rows)
        assert data.funnel and data.funnel.station("passed").num_out == 3
        assert data.funnel.station("rows").num_in == 3
        assert data.funnel.station("rows").num_out == len(data.rows)


def test_every_completion_is_counted_once() -> None:
    rng = random.Random(0)
    texts = [PROOF, DETOUR, HALF, WRONG_SIDE, GARBAGE, NO_ANSWER, ONLY_ANSWER, ""]
    problems = [replace(ASKED, id=f"p{i}") for i in range(60)]
    answers = []
    for asked in problems:
        for sample in range(5):
            answer = judged(rng.choice(texts), asked, sample)
            if rng.random() < 0.1:
                answer = replace(answer, verdict=replace(answer.verdict, status=Status.UNDECIDED))
            answers.append(answer)
    for method in ("dpo", "rft"):
        funnel = build(
            problems,
            answers,
            config=OakDpo(samples=5, train=METHODS[method]),
            system="",
            seen_by_judges=frozenset({"p3", "p4"}),
            target=prune,
        ).funnel
        assert funnel
        sampled, kept = funnel.station("sampled"), funnel.station("passed").num_out
        leaked = lost(funnel, "not leaked")
        assert (sampled.num_in, sampled.num_out, leaked) == (60, 300, 10)
        parts = [lost(funnel, part) for part in ("parsed", "distinct", "decided", "passed")] + [kept]
        assert min(parts) > 0 and sum(parts) + leaked == sampled.num_out
        assert [station.name for station in funnel.stations] == STATIONS
        for before, after in itertools.pairwise(funnel.stations[:6]):
            assert before.num_out == after.num_in
        assert funnel.station("solved").num_in == funnel.station("contrast").num_in == 58
        assert funnel.station("rows").num_in == kept and all(station.why for station in funnel.stations)


def test_the_id_is_that_of_the_rows() -> None:
    rows = [TrainingRow(problem_id="p", chat=(Turn(role="user", text="q"),), chosen=text) for text in "ab"]
    assert TrainingSet.of(rows).id == TrainingSet.of(tuple(rows), Funnel(stations=())).id
    assert TrainingSet.of(rows).id != TrainingSet.of(rows[::-1]).id


def test_what_passes_without_a_proof_scores_as_valid() -> None:
    """A task without proofs has no steps to count: right and passed is 1.5, anything else less."""
    verdict = replace(judged(PROOF).verdict, proof=None)
    assert score(verdict) == 1.5
    assert score(replace(verdict, status=Status.FAIL, right=False)) == 0.0
    assert score(replace(verdict, status=Status.FAIL)) == 1.0


TALK = Problem(
    id="talk",
    task="talk",
    slice="",
    turns=("Hi.", "And now?"),
    truth=Reference(accepted=("Bye.",)),
    gold=("Hello.", "Bye."),
    split="",
    origin="",
)


def talked(*replies: str, status: Status, sample: int) -> Answer:
    given = replace(attempt("", problem_id="talk", sample=sample), replies=replies)
    right = status is Status.PASS
    verdict = replace(judged(PROOF).verdict, problem_id="talk", status=status, right=right, proof=None)
    return Answer(attempt=given, verdict=verdict)


def talks(method: str) -> TrainingSet:
    return build(
        [TALK],
        [
            talked("Hello.", "Bye.", status=Status.PASS, sample=0),
            talked("Hello.", "What?", status=Status.FAIL, sample=1),
            talked("Who?", "Bye.", status=Status.FAIL, sample=2),
        ],
        config=OakDpo(samples=3, train=METHODS[method]),
        system="",
        seen_by_judges=frozenset(),
        target=lambda problem, given: given.replies,
    )


def test_a_dialogue_is_learnt_turn_by_turn() -> None:
    first, second = talks("rft").rows
    assert (first.chat, first.chosen) == ((Turn(role="user", text="Hi."),), "Hello.")
    assert second.chosen == "Bye."
    assert [(turn.role, turn.text) for turn in second.chat] == [
        ("user", "Hi."),
        ("assistant", "Hello."),
        ("user", "And now?"),
    ]


def test_two_dialogues_are_compared_where_they_part() -> None:
    """Beyond that turn they are different chats, and their replies no alternatives."""
    assert [(len(row.chat), row.chosen, row.rejected) for row in talks("dpo").rows] == [
        (3, "Bye.", "What?"),
        (1, "Hello.", "Who?"),
    ]

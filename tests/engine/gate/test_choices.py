"""Suites of questions with options: how they are read, and which option counts as the answer."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from configs.schema import Sentinels
from engine.disk.jsonl import RowError
from engine.gate.arithmetic import GateError
from engine.gate.sentinels import choices, suite_of_name
from engine.gate.sentinels.choices import Choices
from engine.measure.bench import Bench
from engine.models.identity import Model
from engine.records import Score, Tokens
from engine.verify.pool import VerifierPool

pytestmark = pytest.mark.slow

MODEL = Model(id="m0", path=Path("m0"))
ROWS = [
    {"id": f"q{number}", "options": [["2 + 2 =", " 4"], ["2 + 2 =", " 5"]], "gold": [0]}
    for number in range(3)
]
_END = 3


def tokenizer(_: Path) -> Any:
    """One token a character."""
    return SimpleNamespace(
        bos_token_id=None, eos_token_id=_END, encode=lambda text, add_special_tokens: list(map(ord, text))
    )


class Likes:
    """A sampler by script: the nats of each scored text, and whose weights it reports."""

    def __init__(self, nats: dict[str, float], model_id: str = "m0") -> None:
        self.nats, self.model_id = nats, model_id
        self.asked: list[Tokens] = []

    def score(self, model: Path, texts: Sequence[Any]) -> list[Score]:
        self.asked += texts
        nats = [self.nats["".join(map(chr, text.scored))] for text in texts]
        return [Score(each, len(text.scored), self.model_id) for each, text in zip(nats, texts, strict=True)]


@pytest.fixture(autouse=True)
def characters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choices, "tokenizer_of", tokenizer)


def suite(tmp_path: Path, rows: list[dict[str, Any]]) -> Any:
    file = tmp_path / "sums.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return suite_of_name(str(file))


def bench(sampler: Any) -> Bench:
    pool: VerifierPool | None = None
    return Bench(sampler, pool, "", 0.05)


def test_the_likeliest_option_is_the_answer(tmp_path: Path) -> None:
    made = suite(tmp_path, ROWS)
    assert isinstance(made, Choices) and (made.name, made.kind, made.size) == ("sums", "proportion", 3)
    right = made.ask(bench(Likes({" 4": 1.0, " 5": 2.0})), MODEL, 8)
    wrong = made.ask(bench(Likes({" 4": 2.0, " 5": 1.0})), MODEL, 8)
    assert (right.scores, wrong.scores) == ((1.0,) * 3, (0.0,) * 3)
    assert (right.replies, wrong.replies) == (("4",) * 3, ("5",) * 3)
    assert not made.check(Sentinels(), before=right, after=wrong, base=right).passed


def test_what_has_no_finite_likelihood_is_the_least_likely(tmp_path: Path) -> None:
    found = suite(tmp_path, ROWS).ask(bench(Likes({" 4": math.nan, " 5": 9.0})), MODEL, 8)
    assert found.scores == (0.0,) * 3
    none = suite(tmp_path, ROWS).ask(bench(Likes({" 4": math.nan, " 5": math.inf})), MODEL, 8)
    assert all(map(math.isnan, none.scores)) and none.replies == ("",) * 3
    assert not suite(tmp_path, ROWS).glance(Sentinels(), before=none, after=none).passed


def test_blanks_at_the_seam_and_an_empty_beginning(tmp_path: Path) -> None:
    sampler = Likes({" 4": 1.0, " 5": 2.0, "4": 1.0, "5": 2.0})
    rows = [
        {"id": "blank", "options": [["2 + 2 = ", "4"], ["2 + 2 = ", "5"]], "gold": [0]},
        {"id": "alone", "options": [["", "4"], ["", "5"]], "gold": [0]},
    ]
    suite(tmp_path, rows).ask(bench(sampler), MODEL, 8)
    assert sampler.asked[0] == Tokens(tuple(map(ord, "2 + 2 =")), tuple(map(ord, " 4")))
    assert sampler.asked[2] == Tokens((_END,), tuple(map(ord, "4")))


def test_scores_of_other_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(GateError, match="sentinel suite sums was answered by m1, on trial is m0"):
        suite(tmp_path, ROWS).ask(bench(Likes({" 4": 1.0, " 5": 2.0}, "m1")), MODEL, 8)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"gold": [2]}, "gold names option 2, but there are 2, from 0 on"),
        ({"gold": []}, "field 'gold' must not be empty"),
        ({"options": [["a", "b"]]}, "field 'options'"),
        ({"options": [["a", ""], ["a", "b"]]}, "an option must not be empty"),
        ({"answer": 1}, "unknown field 'answer'"),
    ],
)
def test_a_row_that_is_no_question_is_refused_with_its_line(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(RowError, match=f"line 2: .*{message}"):
        suite(tmp_path, [ROWS[0], {**ROWS[1], **change}])

"""What a model has answered is kept as it answers, and found again by what was asked and by whom."""

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engine.benchmark.package import BenchmarkError

pytest.importorskip("lm_eval")

from engine.benchmark import remembered
from engine.benchmark.remembered import Remembered

DRAWN = {"do_sample": True, "temperature": 0.8, "until": []}
GREEDY = {"do_sample": False, "until": []}


class Model:
    """Answers with the number of prompts that it has been asked, and can die on one of them."""

    tokenizer_name = "m0"

    def __init__(self, dies_at: str = "") -> None:
        self.asked: list[str] = []
        self.dies_at = dies_at

    def _each(self, requests: Sequence[Any]) -> list[int]:
        numbers = []
        for request in requests:
            if request.args[0] == self.dies_at:
                raise RuntimeError("killed")
            self.asked.append(request.args[0])
            numbers.append(len(self.asked))
        return numbers

    def loglikelihood(self, requests: Sequence[Any], disable_tqdm: bool) -> list[tuple[float, bool]]:
        return [(-float(number), number % 2 == 0) for number in self._each(requests)]

    def loglikelihood_rolling(self, requests: Sequence[Any], disable_tqdm: bool) -> list[float]:
        return [-float(number) for number in self._each(requests)]

    def generate_until(self, requests: Sequence[Any], disable_tqdm: bool) -> list[str]:
        pairs = zip(requests, self._each(requests), strict=True)
        return [f"{request.args[0]}{number}" for request, number in pairs]


def asked(*args: Any) -> Any:
    return SimpleNamespace(args=args)


def over(answers: Any, file: Path, *, again: bool = False, **about: Any) -> Remembered:
    return Remembered(answers, file, {"model": "m0", "seed": 7, **about}, again=again)


def test_every_kind_of_answer_is_kept_and_not_asked_twice(tmp_path: Path) -> None:
    first, second, file = Model(), Model(), tmp_path / "answers.jsonl"
    for model in (first, second):
        lm = over(model, file)
        assert lm.loglikelihood([asked("a", " b"), asked("a", " c")]) == [(-1.0, False), (-2.0, True)]
        assert lm.loglikelihood_rolling([asked("a")]) == [-3.0]
        assert lm.generate_until([asked("a", GREEDY)]) == ["a4"]
        assert (lm.num_asked, lm.num_kept) == (4, 0 if model is first else 4)
    assert (len(first.asked), second.asked) == (4, [])
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("other", [{"model": "m1"}, {"seed": 8}, {"again": True}])
def test_what_another_model_answered_or_is_asked_again_does_not_count(
    tmp_path: Path, other: dict[str, Any]
) -> None:
    file, model, prompt = tmp_path / "answers.jsonl", Model(), asked("a", GREEDY)
    assert over(model, file).generate_until([prompt]) == ["a1"]
    lm = over(model, file, **other)
    assert lm.generate_until([prompt]) == ["a2"] and lm.num_kept == 0
    # Next time the newest answer is found, and the others are where they were.
    assert over(model, file, **{**other, "again": False}).generate_until([prompt]) == ["a2"]
    assert over(model, file).generate_until([prompt]) == ["a2" if "again" in other else "a1"]


def test_a_kill_loses_at_most_the_chunk_that_was_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remembered, "_CHUNK", 2)
    file, prompts = tmp_path / "answers.jsonl", [asked(each, GREEDY) for each in "abcde"]
    with pytest.raises(RuntimeError, match="killed"):
        over(Model(dies_at="d"), file).generate_until(prompts)
    whole = file.read_bytes()
    file.write_bytes(whole + b'{"key": "cut o')
    model = Model()
    lm = over(model, file)
    assert lm.generate_until(prompts) == ["a1", "b2", "c1", "d2", "e3"]
    assert (model.asked, lm.num_kept) == (["c", "d", "e"], 2)
    assert all(json.loads(line) for line in file.read_bytes().splitlines()), "the torn line is gone"


def test_draws_of_one_prompt_belong_together(tmp_path: Path) -> None:
    file, model = tmp_path / "answers.jsonl", Model()
    three = [asked("a", DRAWN), asked("b", DRAWN), asked("a", DRAWN)]
    assert over(model, file).generate_until(three) == ["a1", "b3", "a2"]
    assert over(model, file).generate_until(three) == ["a1", "b3", "a2"] and len(model.asked) == 3
    # A prompt that is drawn once has other draws than one that is drawn twice; a greedy one is asked once.
    assert over(model, file).generate_until([asked("a", DRAWN)]) == ["a4"]
    assert over(model, file).generate_until([asked("a", GREEDY)] * 3) == ["a5"] * 3


@pytest.mark.parametrize("content", ['{"key": 1}\n{}\n', "no json\n{}\n", '["a"]\n'])
def test_a_damaged_file_is_named(tmp_path: Path, content: str) -> None:
    file = tmp_path / "answers.jsonl"
    file.write_text(content)
    with pytest.raises(BenchmarkError, match=f"{file} is damaged: remove it"):
        over(Model(), file)

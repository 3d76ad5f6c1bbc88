"""The sampler of a GGUF file, with llama.cpp played by a small server on the same kind of socket."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.export.gguf import file_id
from engine.export.sampler import LlamaSampler
from engine.records import Finish, Tokens, Turn
from engine.sample.protocol import Request, SamplerError, Sampling
from tests.support.llama import PlayedLlama, tokens_of

CHAT = (Turn(role="system", text="Add."), Turn(role="user", text="2 + 3?"))
REQUESTS = [Request(problem_id=name, messages=CHAT) for name in ("p", "q", "r")]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "m.gguf").write_bytes(b"weights")
    return tmp_path / "m.gguf"


@pytest.fixture
def llama(file: Path) -> Iterator[PlayedLlama]:
    with PlayedLlama(file, lambda body: f"to {body['prompt']}") as played:
        yield played


def test_each_request_is_answered_with_the_template_of_the_file(llama: PlayedLlama, file: Path) -> None:
    attempts = list(LlamaSampler(llama).sample(file, REQUESTS, Sampling(max_new_tokens=7)))
    assert sorted(attempt.problem_id for attempt in attempts) == ["p", "q", "r"]
    prompt = "<system>Add.<user>2 + 3?<assistant>"
    for attempt in attempts:
        assert attempt.text == f"to {prompt}" and attempt.finish is Finish.STOP
        assert attempt.model_id == file_id(file)[:16]
        assert (attempt.num_prompt_tokens, attempt.num_tokens) == (len(prompt), len(attempt.text.split()))
    asked = llama.asked[0]
    # Greedy means the likeliest token of all, and nothing is cut before it.
    assert (asked["temperature"], asked["top_k"], asked["min_p"], asked["max_tokens"]) == (0.0, 0, 0.0, 7)


def test_samples_have_seeds_of_their_own_and_the_same_when_asked_again(
    llama: PlayedLlama, file: Path
) -> None:
    def seeds(seed: int) -> set[int]:
        llama.asked.clear()
        drawn = Sampling(samples=3, temperature=1.0, seed=seed)
        assert {a.sample for a in LlamaSampler(llama).sample(file, REQUESTS, drawn)} == {0, 1, 2}
        return {body["seed"] for body in llama.asked}

    first = seeds(1)
    assert len(first) == 9 and all(0 <= seed < 2**31 for seed in first)
    assert seeds(1) == first and not seeds(2) & first


def test_plain_text_is_continued_as_it_stands(llama: PlayedLlama, file: Path) -> None:
    (attempt,) = LlamaSampler(llama).sample(file, [Request(problem_id="p", messages="Max is")], Sampling())
    assert attempt.text == "to Max is"


def test_tokens_are_continued_as_they_are_and_end_before_a_stop(llama: PlayedLlama, file: Path) -> None:
    request = Request(problem_id="p", messages=Tokens((5, 6)))
    (attempt,) = LlamaSampler(llama).sample(file, [request], Sampling(stop=("\n\n",)))
    assert attempt.text == "to [5, 6]" and llama.asked[0]["stop"] == ["\n\n"]


def test_prompts_are_told_with_their_tokens(llama: PlayedLlama) -> None:
    sampler = LlamaSampler(llama)
    assert sampler.prompt(CHAT) == "<system>Add.<user>2 + 3?<assistant>"
    assert sampler.tokens("ab") == tokens_of("ab")


def test_time_is_counted_while_answers_are_generated(llama: PlayedLlama, file: Path) -> None:
    sampler = LlamaSampler(llama)
    list(sampler.sample(file, REQUESTS, Sampling()))
    assert sampler.seconds > 0


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (400, "llama.cpp refused a request: it was refused"),
        (500, "llama.cpp refused a request: it was refused"),
        (None, "llama.cpp did not answer"),
    ],
)
def test_what_llama_refuses_is_said(file: Path, reply: Any, message: str) -> None:
    with PlayedLlama(file, lambda body: reply) as llama, pytest.raises(SamplerError, match=message):
        list(LlamaSampler(llama).sample(file, REQUESTS, Sampling()))


def test_a_lost_process_is_named_with_its_last_words(llama: PlayedLlama, file: Path) -> None:
    llama.lose()
    with pytest.raises(SamplerError, match=r"llama.cpp did not answer \(ConnectError\): loaded"):
        list(LlamaSampler(llama).sample(file, REQUESTS, Sampling()))
    llama.start()
    assert len(list(LlamaSampler(llama).sample(file, REQUESTS, Sampling()))) == 3


def test_what_llama_cannot_do_is_refused(llama: PlayedLlama, file: Path) -> None:
    sampler = LlamaSampler(llama)
    with pytest.raises(SamplerError, match="tells no likelihood of a given text"):
        sampler.score(file, ["text"])
    with pytest.raises(SamplerError, match="free text only"):
        list(sampler.sample(file, REQUESTS, Sampling(pattern="[0-9]+")))

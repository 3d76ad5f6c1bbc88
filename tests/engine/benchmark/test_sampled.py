"""Our samplers as a model of the harness: what they are asked in tokens, and what is refused."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.benchmark.package import BenchmarkError
from engine.gate.arithmetic import GateError
from engine.models.identity import Model
from engine.records import Tokens
from engine.sample.protocol import Sampling
from tests.support.benchmarks import END, START, TASKS, Characters, Scripted, text_of

pytest.importorskip("lm_eval")

from engine.benchmark import sampled
from engine.benchmark.sampled import Sampled, sampling_of

MODEL = Model(id="m0", path=TASKS)


@pytest.fixture(autouse=True)
def characters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampled, "tokenizer_of", lambda path: Characters())


def asked(*args: Any, task: str = "sums") -> Any:
    return SimpleNamespace(args=args, task_name=task)


def made(sampler: Scripted, max_length: int = 400) -> Sampled:
    return Sampled(sampler, MODEL, max_length, seed=7)


def test_a_continuation_is_scored_after_what_stands_before_it() -> None:
    sampler = Scripted(nats=lambda before, text: {" 4": 0.5, " 5": 2.0}[text])
    found = made(sampler).loglikelihood([asked("2 + 2 =", " 4"), asked("2 + 2 =", " 5")], disable_tqdm=True)
    assert found == [(-0.5, True), (-2.0, False)]
    first = sampler.scored[0]
    assert first.given[0] == START and (text_of(first.given), text_of(first.scored)) == ("2 + 2 =", " 4")


def test_without_anything_before_it_stands_the_start_once() -> None:
    sampler = Scripted()
    made(sampler).loglikelihood([asked("", "four"), asked("<s>2 =", " 4")], disable_tqdm=True)
    assert [text.given.count(START) for text in sampler.scored] == [1, 1]
    assert text_of(sampler.scored[0].scored) == "four"


def test_a_long_prompt_loses_its_beginning_and_is_counted() -> None:
    sampler = Scripted()
    model = made(sampler, max_length=10)
    model.loglikelihood([asked("0123456789abcdef", "xyz")], disable_tqdm=True)
    # Three scored, one that the sampler draws: six are left for what stands before.
    assert text_of(sampler.scored[0].given) == "abcdef" and model.num_cut == 1
    with pytest.raises(BenchmarkError, match="10 tokens are to be scored, .* in 10: .*--max-model-len"):
        model.loglikelihood([asked("a", "0123456789")], disable_tqdm=True)


@given(st.text(st.characters(min_codepoint=33, max_codepoint=500), max_size=60), st.integers(4, 20))
def test_windows_predict_every_token_once(text: str, max_length: int) -> None:
    sampler = Scripted()
    (found,) = made(sampler, max_length).loglikelihood_rolling([asked(text)])
    predicted = [token for window in sampler.scored for token in window.scored]
    assert predicted == Characters().encode(text) and found == -len(text_of(predicted))
    assert all(len(each.given) + len(each.scored) < max_length for each in sampler.scored)
    assert all(each.given for each in sampler.scored)


def test_answers_are_cut_at_stop_texts_and_keep_their_order() -> None:
    sampler = Scripted(says=lambda prompt, sample: f"{prompt}!\nmore")
    settings = {"until": ["\n"], "max_gen_toks": 8}
    found = made(sampler).generate_until([asked("a", settings), asked("b", settings), asked("c", {})])
    assert found == ["a!", "b!", "c!\nmore"]
    by_prompt = {text_of(prompt.given): sampling for prompt, sampling in sampler.asked}
    assert by_prompt["a"] == Sampling(seed=7, max_new_tokens=8, stop=("\n",))
    assert by_prompt["c"].max_new_tokens == 256 and by_prompt["c"].temperature == 0.0


def test_a_prompt_that_is_there_several_times_is_answered_by_as_many_draws() -> None:
    sampler = Scripted(says=lambda prompt, sample: f"{prompt}{sample}")
    settings = {"do_sample": True, "temperature": 0.8, "until": []}
    prompts = [asked(text, settings) for text in ("a", "b", "a", "a")]
    assert made(sampler).generate_until(prompts) == ["a0", "b0", "a1", "a2"]
    assert sorted(sampling.samples for _, sampling in sampler.asked) == [1, 3]


def test_a_prompt_without_room_for_an_answer() -> None:
    sampler = Scripted()
    model = made(sampler, max_length=10)
    model.generate_until([asked("0123456789", {"max_gen_toks": 4, "until": []})])
    assert text_of(sampler.asked[0][0].given) == "456789" and model.num_cut == 1
    model.generate_until([asked("<s>", {"max_gen_toks": 4, "until": []})])
    assert sampler.asked[-1][0] == Tokens((START,))
    with pytest.raises(BenchmarkError, match="answers of up to 10 tokens leave no room"):
        model.generate_until([asked("a", {"max_gen_toks": 10, "until": []})])


@pytest.mark.parametrize(
    "ask",
    [
        lambda model: model.loglikelihood([asked("a", "b")], disable_tqdm=True),
        lambda model: model.generate_until([asked("a", {"until": []})]),
    ],
)
def test_answers_of_other_weights_are_refused(ask: Callable[[Sampled], object]) -> None:
    with pytest.raises(GateError, match="m1"):
        ask(made(Scripted(model_id="m1")))


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({}, Sampling(seed=7)),
        ({"do_sample": False, "temperature": 0.0, "top_p": 0.9, "top_k": 5}, Sampling(seed=7)),
        ({"do_sample": True}, Sampling(seed=7, temperature=1.0)),
        ({"temperature": 0.6, "top_p": 0.95}, Sampling(seed=7, temperature=0.6, top_p=0.95)),
        ({"until": ["", "Q:"], "max_new_tokens": 3}, Sampling(seed=7, max_new_tokens=3, stop=("Q:",))),
        ({"num_beams": 1, "repetition_penalty": 1.0, "top_k": None}, Sampling(seed=7)),
    ],
)
def test_how_answers_are_drawn(settings: dict[str, Any], wanted: Sampling) -> None:
    assert sampling_of(settings, "sums", 7) == wanted


@pytest.mark.parametrize(
    "settings",
    [{"num_beams": 4}, {"do_sample": True, "top_k": 20}, {"repetition_penalty": 1.1}, {"invented": 1}],
)
def test_a_setting_that_would_change_answers_is_refused(settings: dict[str, Any]) -> None:
    name = [*settings][-1]
    with pytest.raises(BenchmarkError, match=f"task sums sets generation_kwargs {name}="):
        sampling_of(settings, "sums", 7)


def test_chats_are_written_by_the_template() -> None:
    model = made(Scripted())
    turns = [{"role": "user", "content": "hi"}]
    assert model.apply_chat_template(turns) == "<s>[user]hi[assistant]"
    assert (model.prefix_token_id, model.eot_token_id, model.tokenizer_name) == (START, END, "m0")

"""The real vLLM in a real Ray actor, on a tiny model. The last test leaves no engine behind."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from engine.models import liveness
from engine.models.identity import model_id
from engine.models.prompts import completion_ids, messages, prompt_ids
from engine.records import Attempt, Finish
from engine.sample.group import SamplerGroup
from engine.sample.protocol import Reply, Request, SamplerError, Sampling
from tests.support.tiny_model import make_tiny_model

pytestmark = pytest.mark.slow

REQUESTS = [Request(problem_id=f"p{i}", messages=messages("", [f"Say {i}."])) for i in range(20)]


@pytest.fixture(scope="module")
def other_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("other") / "model", seed=1)


def texts(attempts: list[Attempt]) -> dict[tuple[str, int], str]:
    return {(attempt.problem_id, attempt.sample): attempt.text for attempt in attempts}


def test_log_probabilities_agree_with_transformers_also_after_a_swap(
    sampler: SamplerGroup, tiny_model: Path, other_model: Path
) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    scores, trained = {}, {}
    for path in (tiny_model, other_model, tiny_model):
        model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
        trained[path] = liveness.reference(model, AutoTokenizer.from_pretrained(path))
        scores[path] = sampler.score(path, liveness.TEXTS)
        for score, expected in zip(scores[path], trained[path], strict=True):
            assert score.nll / score.num_tokens == pytest.approx(expected / score.num_tokens, abs=1e-3)
    assert liveness.check(scores[tiny_model], scores[other_model], trained[other_model]).passed
    # A reply is scored given its chat, with its end, over the very tokens that training learns.
    chat = messages("Be kind.", ["Say 1.", "And 2?"], replies=["One."])
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    asked, learnt = prompt_ids(tokenizer, chat), completion_ids(tokenizer, "Two.")
    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    ids = torch.tensor([asked + learnt])
    with torch.no_grad():
        logits = model(input_ids=ids).logits[0, len(asked) - 1 : -1].float()
    wanted = torch.nn.functional.cross_entropy(logits, ids[0, len(asked) :], reduction="sum").item()
    given, (text, *_) = Reply(chat, "Two."), liveness.TEXTS
    reply, plain = sampler.score(tiny_model, [given, text])
    assert reply.num_tokens == len(learnt) and reply.nll == pytest.approx(wanted, abs=1e-2)
    assert plain == scores[tiny_model][0] and reply.model_id == model_id(tiny_model)
    # An engine with other weights than were trained is recognised, even where both are nearly uniform.
    off = {
        path: sum(abs(run.nll - own) for run, own in zip(scores[other_model], trained[path], strict=True))
        for path in (tiny_model, other_model)
    }
    assert off[tiny_model] > 20 * off[other_model]


def test_samples_scores_swaps_and_survives_a_lost_actor(
    sampler: SamplerGroup, tiny_model: Path, other_model: Path
) -> None:
    greedy = list(sampler.sample(tiny_model, REQUESTS, Sampling(max_new_tokens=8)))
    assert sorted(texts(greedy)) == sorted((request.problem_id, 0) for request in REQUESTS)
    assert {attempt.model_id for attempt in greedy} == {model_id(tiny_model)}
    assert all(0 < attempt.num_tokens <= 8 and attempt.num_prompt_tokens > 8 for attempt in greedy)
    assert {attempt.finish for attempt in greedy} <= {Finish.LENGTH, Finish.STOP}

    drawn = Sampling(samples=3, temperature=1.0, seed=5, max_new_tokens=8)
    first = texts(list(sampler.sample(tiny_model, REQUESTS, drawn)))
    assert len(first) == 60
    assert len({first["p0", j] for j in range(3)}) == 3
    assert first == texts(list(sampler.sample(tiny_model, REQUESTS, drawn)))

    # A pattern holds whatever the weights would say, greedy and drawn, and only in the call that asks for it.
    pattern = r"(yes|no): [a-z]{2,4}( \| [A-ZÀ-Þ][a-zß-ÿ]{1,3})?\n"
    for bound in (replace(drawn, pattern=pattern, max_new_tokens=24), Sampling(pattern=pattern)):
        held = list(sampler.sample(tiny_model, REQUESTS, bound))
        assert len(held) == 20 * bound.samples and {attempt.finish for attempt in held} == {Finish.STOP}
        assert all(re.fullmatch(pattern, attempt.text) for attempt in held), texts(held)
    cut = list(sampler.sample(tiny_model, REQUESTS, replace(bound, max_new_tokens=2)))
    assert {attempt.finish for attempt in cut} == {Finish.LENGTH}
    assert first == texts(list(sampler.sample(tiny_model, REQUESTS, drawn)))

    # More prompt tokens than vLLM takes in one step: it must not cut the prompt of a seeded request in two.
    many = [Request(problem_id=f"m{i}", messages=f"Text {i}: " + "one two " * (90 + i)) for i in range(30)]
    long = list(sampler.sample(tiny_model, many, drawn))
    assert sum(attempt.num_prompt_tokens for attempt in long) > 3 * 3 * 2048 // 2 and len(long) == 90

    # What would not fit is refused before any of it is asked.
    with pytest.raises(SamplerError, match=r"max_model_len must be at least \d+ .* 505 new ones, got 512"):
        list(sampler.sample(tiny_model, REQUESTS, Sampling(max_new_tokens=505)))

    before = sampler.score(tiny_model, ["The cat sat.", "One two three four."])
    assert {score.model_id for score in before} == {model_id(tiny_model)}
    with pytest.raises(SamplerError, match=r"max_model_len must be at least \d+ .* 1 new ones, got 512"):
        sampler.score(tiny_model, ["one two " * 300])
    # A later turn holds the earlier ones, and the weights that answer it are named as well.
    later = messages("", ["Say 1.", "And now?"], replies=["1"])
    (reply,) = sampler.sample(
        tiny_model, [Request(problem_id="p1/0/1", messages=later)], replace(drawn, samples=1)
    )
    assert reply.num_prompt_tokens > greedy[0].num_prompt_tokens and reply.model_id == model_id(tiny_model)
    # Drawn, not greedy: a random model with a tied head repeats its last token, whatever its weights are.
    swapped = list(sampler.sample(other_model, REQUESTS, drawn))
    assert {attempt.model_id for attempt in swapped} == {model_id(other_model)}
    assert texts(swapped) != first
    assert sampler.score(other_model, ["The cat sat."])[0].nll != pytest.approx(before[0].nll)
    assert sampler.score(tiny_model, ["The cat sat.", "One two three four."]) == before

    # An actor that dies in the middle: what had arrived is kept, the rest is asked again, none twice.
    lengthy = replace(drawn, samples=20, max_new_tokens=24)
    whole = texts(list(sampler.sample(tiny_model, REQUESTS, lengthy)))
    stream = sampler.sample(tiny_model, REQUESTS, lengthy)
    early = [next(stream)]
    kill(sampler)
    late = list(stream)
    assert len(early) + len(late) == 400
    assert texts(early + late) == whole

    # More losses than are replaced end the run with a reason.
    kill(sampler)
    with pytest.raises(SamplerError, match="after 1 had been replaced"):
        list(sampler.sample(tiny_model, REQUESTS, drawn))


def kill(sampler: SamplerGroup) -> None:
    import ray

    ray.kill(sampler._actors[0])

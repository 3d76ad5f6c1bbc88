"""The harness's own backend for Transformers and our sampler give the same figures, on a real vLLM."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from configs.schema import Sampler
from engine.benchmark.package import require_harness
from engine.benchmark.tasks import Chosen, open_tasks, seed_shots
from engine.models.identity import Model
from engine.plan.plan import Group, Plan
from engine.sample import group
from engine.sample.group import SamplerGroup
from tests.support.benchmarks import TASKS

pytest.importorskip("lm_eval")

from engine.benchmark.run import on_ray

pytestmark = pytest.mark.slow

require_harness()

CHOSEN = Chosen(tasks=("sums_mc", "sums_gen", "sums_ppl"), include=(Path("tasks"),), shots=1)
SETTINGS = Sampler(max_num_seqs=8, max_model_len=512, kv_cache_gib=0.1, dtype="float32")
PLAN = Plan(
    device="cpu",
    take_turns=True,
    num_cpus=2,
    num_gpus=0,
    samplers=Group(num=1, threads=2, gpus=0),
    workers={},
    needs=(),
)


def evaluated(model: Any, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    from lm_eval.evaluator import evaluate

    monkeypatch.chdir(TASKS)
    tasks = open_tasks(CHOSEN)
    seed_shots(tasks["tasks"], CHOSEN.seed)
    found: dict[str, Any] = evaluate(lm=model, task_dict=tasks, bootstrap_iters=0)
    return found


def test_the_same_model_has_the_same_figures(
    sampler: SamplerGroup, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lm_eval.models.huggingface import HFLM

    def started(*asked: Any, **placement: Any) -> AbstractContextManager[SamplerGroup]:
        assert asked == (SETTINGS, tiny_model)
        assert placement == {"threads": 2, "gpus": 0, "share_gpu": True}
        return nullcontext(sampler)

    monkeypatch.setattr(group, "SamplerGroup", started)
    theirs = evaluated(HFLM(pretrained=str(tiny_model), dtype="float32", device="cpu"), monkeypatch)
    with on_ray("tiny", Model.of(tiny_model), SETTINGS, PLAN, CHOSEN.seed) as subject:
        ours = evaluated(subject.sampled, monkeypatch)
    for task in ("sums_mc", "sums_ppl"):
        for own, other in zip(ours["samples"][task], theirs["samples"][task], strict=True):
            assert own["prompt_hash"] == other["prompt_hash"]
            for mine, his in zip(own["filtered_resps"], other["filtered_resps"], strict=True):
                (value, *greedy), (wanted, *wanted_greedy) = (
                    each if isinstance(each, tuple | list) else (each,) for each in (mine, his)
                )
                assert value == pytest.approx(wanted, abs=1e-2) and greedy == wanted_greedy
    answers = [[sample["resps"][0][0] for sample in found["samples"]["sums_gen"]] for found in (ours, theirs)]
    assert answers[0] == answers[1]
    for task, metric in (("sums_mc", "acc,none"), ("sums_gen", "exact_match,strict-match")):
        assert ours["results"][task][metric] == theirs["results"][task][metric]
    perplexities = [found["results"]["sums_ppl"]["word_perplexity,none"] for found in (ours, theirs)]
    assert perplexities[0] == pytest.approx(perplexities[1], rel=1e-2)

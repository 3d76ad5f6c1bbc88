"""Dry plans: footprints against published figures, everything placed, and what cannot fit refused."""

import json
import re
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from configs.schema import Config
from configs.training import Sft, Train
from engine.plan.footprint import GIB, SHIPPED, Shape, model_states, sampler_on_gpu, trainer
from engine.plan.needs import PlanError
from engine.plan.placement import Cluster
from engine.preflight.dry_page import page
from engine.preflight.dry_plan import DryPlan
from engine.preflight.findings import Finding
from engine.preflight.forecast import ForecastError, Speeds
from engine.preflight.workload import Range, Texts, characters_a_token, texts_of
from engine.tasks import suite_of
from tests.support.plans import config, dry_plan

GB = 10**9
ENGLISH = Path(__file__).parents[3] / "engine" / "gate" / "sentinels" / "english.jsonl"
RFT = (
    "{method: rft, tuning: lora, lora_rank: 64, batch_size: 32, micro_batch_size: 4, num_workers: 8, "
    "deepspeed: zero2.json, gradient_checkpointing: true}"
)
LLAMA_2_7B = Shape(
    hidden=4096,
    intermediate=11008,
    layers=32,
    heads=32,
    kv_heads=32,
    head_dim=128,
    vocabulary=32000,
    tied=False,
)
NODES = Cluster(nodes=2, gpus_per_node=8, gpu_memory=80 * GIB, cpus_per_node=96, memory_per_node=1000 * GIB)
LAPTOP = Cluster(nodes=1, gpus_per_node=0, gpu_memory=80 * GIB, cpus_per_node=2, memory_per_node=20 * GIB)
THREE_WORKERS = {
    "resources.num_gpus": "null",
    "warm_start": "null",
    "loop.train.num_workers": 3,
    "loop.train.micro_batch_size": 1,
    "loop.train.batch_size": 3,
}
ZERO = {"zero2": {"deepspeed": "zero2.json"}, "zero3": {"deepspeed": "zero3.json"}, "none": {}}


def train(num_workers: int = 1, **changes: object) -> Train:
    return Sft(num_workers=num_workers, micro_batch_size=1, batch_size=num_workers, **changes)


def test_sizes_of_llama_2_7b_are_the_published_ones() -> None:
    assert LLAMA_2_7B.num_parameters == 6_738_415_616
    assert LLAMA_2_7B.kv_bytes("bfloat16") == 512 * 1024
    full = model_states(LLAMA_2_7B.num_parameters, train())
    assert sum(full) == 16 * LLAMA_2_7B.num_parameters  # mixed precision with Adam


@pytest.mark.parametrize(
    ("zero", "published"), [("none", 120), ("zero2", 16.6), ("zero3", 1.9)], ids=["none", "zero2", "zero3"]
)
def test_sharded_states_are_those_of_the_zero_paper(zero: str, published: float) -> None:
    """Figure 1 of Rajbhandari et al. 2020: 7.5 billion weights on 64 GPUs, GB of each."""
    each = sum(model_states(7_500_000_000, train(64, **ZERO[zero])))
    assert each / GB == pytest.approx(published, abs=0.05)


def test_buckets_of_zero_2_are_those_of_deepspeeds_documentation() -> None:
    settings = train(2, deepspeed="zero2.json")
    assert trainer(LLAMA_2_7B, settings).communication == 9 * GB
    assert trainer(LLAMA_2_7B, train(2, deepspeed="zero3.json")).communication == 0


def test_activations_are_near_the_published_ones() -> None:
    """GPT-2 of 1.5 billion weights, 32 rows of 1,024 tokens: 60 GB, checkpointed 8 GB (the ZeRO paper)."""
    gpt2 = replace(SHIPPED["embedded"], hidden=1600, layers=48, heads=25, vocabulary=1)
    settings = train(2, deepspeed="zero3.json", max_length=1024).model_copy(update={"micro_batch_size": 32})
    for checkpointing, published in ((False, 60), (True, 8)):
        found = trainer(
            gpt2, settings.model_copy(update={"gradient_checkpointing": checkpointing})
        ).activations
        assert 0.7 < found / GB / published < 1.5, found / GB


def test_kv_cache_is_what_the_sampler_is_left() -> None:
    sampler = config("cluster").sampler
    held = sampler_on_gpu(SHIPPED["Qwen/Qwen3-8B"], sampler, 80 * GIB)
    assert held.total == int(80 * GIB * sampler.gpu_memory)
    assert held.weights == 2 * SHIPPED["Qwen/Qwen3-8B"].num_parameters
    two = sampler_on_gpu(
        SHIPPED["Qwen/Qwen3-8B"], sampler.model_copy(update={"tensor_parallel": 2}), 80 * GIB
    )
    assert two.weights == held.weights // 2 and two.kv_cache > held.kv_cache
    # 16 GPUs, 8 heads of keys and values: each is on two GPUs.
    shares = [
        sampler_on_gpu(SHIPPED["Qwen/Qwen3-8B"], sampler.model_copy(update={"tensor_parallel": n})).kv_cache
        for n in (1, 8, 16)
    ]
    assert shares[0] == 8 * shares[1] == 8 * shares[2]


def test_every_process_has_its_place() -> None:
    dry = dry_plan(config("cluster"), NODES)
    samplers = [each for each in dry.places if each.process == "sampler"]
    workers = [each for each in dry.places if each.training == "loop.train"]
    assert [(each.node, each.gpus) for each in samplers] == [(0, (i,)) for i in range(8)]
    assert [(each.node, each.gpus) for each in workers] == [(1, (i,)) for i in range(8)]
    assert sum(each.training == "warm_start.train" for each in dry.places) == 8
    assert dry.num_idle_gpus == 0
    more = dry_plan(config("cluster"), replace(NODES, nodes=16))
    assert more.num_idle_gpus == 112
    assert any("112 GPUs of 128 have nothing to do" in line.found for line in page(more))


@pytest.mark.slow
def test_tensor_parallel_groups_stay_on_a_node() -> None:
    settings = config("cluster", "sampler.tensor_parallel=4", "sampler.num_actors=2")
    samplers = [each for each in dry_plan(settings, NODES).places if each.process == "sampler"]
    assert [(each.node, each.gpus) for each in samplers] == [(0, (0, 1, 2, 3)), (0, (4, 5, 6, 7))]
    odd = replace(NODES, nodes=4, gpus_per_node=6)
    samplers = [each for each in dry_plan(settings, odd).places if each.process == "sampler"]
    assert [each.node for each in samplers] == [0, 1]
    taken = [(each.node, gpu) for each in dry_plan(settings, odd).places for gpu in each.gpus]
    assert len(set(taken)) == 2 * 4 + 8  # warm start and training use the same ones


@pytest.mark.parametrize(
    ("overrides", "cluster"),
    [
        ([], replace(NODES, nodes=4, cpus_per_node=4)),
        ([], replace(NODES, nodes=16, cpus_per_node=1)),
        (
            [
                "sampler.tensor_parallel=4",
                "sampler.num_actors=2",
                "loop.train.num_workers=4",
                "warm_start=null",
            ],
            replace(NODES, cpus_per_node=3),
        ),
    ],
)
def test_every_process_has_a_core_of_its_node(overrides: list[str], cluster: Cluster) -> None:
    dry = dry_plan(config("cluster", "resources.num_gpus=null", *overrides), cluster)
    for node in range(cluster.nodes):
        here = [each for each in dry.places if each.node == node]
        samplers = sum(each.process == "sampler" for each in here)
        for key in ("loop.train", "warm_start.train"):
            assert samplers + sum(each.training == key for each in here) <= cluster.cpus_per_node
            taken = [gpu for each in here if each.training in ("", key) for gpu in each.gpus]
            assert len(set(taken)) == len(taken)
    assert sum(each.training == "loop.train" for each in dry.places) == dry.plan.workers["loop.train"].num


def test_numbers_of_samplers_that_are_spread_are_told() -> None:
    found = [line.found for line in shown(config("cluster"), replace(NODES, nodes=4, cpus_per_node=4))]
    assert found[0].startswith(
        "2 samplers (number 0 to 4 in steps of 4; GPUs 0 to 1, 1 each); 2 warm_start.train workers"
    )


def test_in_turn_a_worker_is_where_its_sampler_is() -> None:
    one = replace(NODES, nodes=1, gpus_per_node=1)
    assert {(each.node, each.gpus) for each in dry_plan(config("one-gpu"), one).places} == {(0, (0,))}


@pytest.mark.parametrize(
    ("name", "overrides", "cluster", "parts"),
    [
        ("cluster", [], replace(NODES, nodes=1), ["resources.num_gpus=16", "8 GPUs"]),
        (
            "cluster",
            ["sampler.tensor_parallel=16", "sampler.num_actors=1", "resources.num_gpus=32"],
            replace(NODES, nodes=4),
            ["sampler.tensor_parallel=16 needs that many GPUs on one node", "set sampler.tensor_parallel=8"],
        ),
        (
            "cluster",
            ["sampler.tensor_parallel=4", "sampler.num_actors=5", "resources.num_gpus=28"],
            replace(NODES, nodes=7, gpus_per_node=4, cpus_per_node=8),
            None,
        ),
        (
            "cluster",
            ["sampler.tensor_parallel=4", "sampler.num_actors=4", "resources.num_gpus=24"],
            replace(NODES, nodes=3, gpus_per_node=8),
            None,
        ),
        (
            "cluster",
            ["sampler.tensor_parallel=4", "sampler.num_actors=5", "resources.num_gpus=30"],
            replace(NODES, nodes=4, gpus_per_node=7),
            ["resources.num_gpus=30"],
        ),
        (
            "cluster",
            ["sampler.tensor_parallel=4", "sampler.num_actors=5", "resources.num_gpus=28"],
            replace(NODES, nodes=4, gpus_per_node=7),
            ["5 samplers of 4 GPUs, each on one node, do not fit", "set sampler.num_actors=4"],
        ),
        (
            "cluster",
            ["sampler.tensor_parallel=3", "resources.num_gpus=64"],
            replace(NODES, nodes=8),
            ["32 attention heads, got 3"],
        ),
        (
            "cluster",
            [
                "sampler.tensor_parallel=8",
                "sampler.num_actors=1",
                *(f"{key}={value}" for key, value in THREE_WORKERS.items()),
            ],
            replace(NODES, cpus_per_node=2),
            ["3 train workers, each with a GPU and a core of one node", "2 cores have room for 2; set fewer"],
        ),
        ("one-gpu", [], replace(NODES, gpu_memory=16 * GIB), ["a sampler needs about", "16.0 GiB"]),
        ("cluster", [], replace(NODES, memory_per_node=128 * GIB), ["host memory of node 1", "128.0"]),
        ("quickstart", ["sampler.num_actors=4"], LAPTOP, ["sampler.num_actors=4 needs 4 cores"]),
        ("quickstart", [], replace(LAPTOP, nodes=2), None),
        (
            "quickstart",
            [
                "sampler.num_actors=2",
                "loop.train.num_workers=2",
                "loop.train.batch_size=8",
                "loop.train.micro_batch_size=4",
            ],
            replace(LAPTOP, nodes=2),
            None,
        ),
        ("quickstart", ["base={hub: nobody/nothing, revision: abc}"], LAPTOP, ["sizes of the base"]),
    ],
)
def test_what_cannot_fit_is_refused(
    name: str, overrides: list[str], cluster: Cluster, parts: list[str] | None
) -> None:
    if parts is None:
        assert dry_plan(config(name, *overrides), cluster).places
        return
    with pytest.raises(PlanError) as caught:
        dry_plan(config(name, *overrides), cluster)
    assert "\n" not in str(caught.value)
    for part in parts:
        assert part in str(caught.value)


def work_of(dry: DryPlan) -> dict[str, tuple[Range, Range, Range]]:
    return {
        stage.work.stage: (stage.work.requests, stage.work.trained_tokens, stage.work.judged)
        for stage in dry.stages
    }


def test_work_is_what_the_config_asks_for() -> None:
    settings = config("cluster")
    work = work_of(dry_plan(settings, NODES))
    assert work["sample"][0] == (64_000, 64_000) == work["sample"][2]
    assert work["carry"][2] == (100 * 2, 100 * 2)
    assert work["pass@4"][2] == (0, 100 * 4 * 2) == work["trials, pass@4"][2]
    assert work["champion, where a trial is due"][2] == (0, 100)
    assert work["trials, by looks"][2] == (0, 12 * 50 * 2)
    alone = work_of(dry_plan(config("cluster", "gate.carry=false"), NODES))
    assert alone["gate, by looks"][2] == (2 * 50, 12 * 50 * 2) and alone["pass@4"][2] == (0, 100 * 4 * 2)
    assert not [stage for stage in alone if "carry" in stage or "trial" in stage]
    assert work["probe"][0] == (96, 96) and work["baseline"][0] == (1600, 1600)
    stages = {stage.work.stage: stage for stage in dry_plan(settings, NODES).stages}
    assert stages["sample"].times == settings.stop.rounds and stages["sealed"].times == 1
    assert stages["sample"].work.sampled_tokens.high == 64_000 * settings.sampler.max_new_tokens
    pairs, longest = 8000 * 7, stages["train"].work.trained_tokens.high / (8000 * 7 * 2)
    assert 0 < longest <= settings.loop.train.max_length and pairs
    rft = config("cluster", f"loop.train={RFT}", "loop.proofs_per_problem=2")
    halves = {stage.work.stage: stage for stage in dry_plan(rft, NODES).stages}
    assert halves["train"].work.trained_tokens.high == pytest.approx(8000 * 2 * longest)


@pytest.mark.parametrize(
    ("name", "minutes"),
    # Measured on two cores; see the README.
    [("quickstart", 10.2), ("prontoqa", 70)],
)
def test_times_measured_on_two_cores_are_within_the_estimate(name: str, minutes: float) -> None:
    dry = dry_plan(config(name), LAPTOP)
    assert dry.seconds.low / 60 < minutes < dry.seconds.high / 60, dry.seconds
    assert dry.seconds.high < 40 * dry.seconds.low  # an estimate that holds for everything tells nothing


def test_what_is_told_and_guarded_grows_with_the_days() -> None:
    suite = suite_of(config("sleep"))
    texts = texts_of(suite, suite.task.system, 3)
    assert texts.told == (40, 120) and 0 < texts.guarded.low < texts.guarded.high
    dry = dry_plan(config("sleep"), LAPTOP)
    work = {stage.work.stage: stage.work for stage in dry.stages}
    assert work["probe"].requests == (40, 120)
    assert work["guards"].requests == (2 * texts.guarded.low, 2 * texts.guarded.high)
    assert "guards" not in {stage.work.stage for stage in dry_plan(config("quickstart"), LAPTOP).stages}


def test_characters_a_token_are_of_the_tasks_own_texts(tiny_model: Path) -> None:
    """By the embedded model's tokenizer, within the estimate that is made without one."""
    tokenizer = Tokenizer.from_file(str(tiny_model / "tokenizer.json"))
    prose = [json.loads(line)["text"] for line in ENGLISH.read_text().splitlines()]
    proofs = texts_of(suite_of(config("quickstart")), "Prove or refute.")
    estimates = []
    for texts in (proofs, Texts(prompts=prose, answers=[], turns=0)):
        text = "\n".join([*texts.prompts, *texts.answers])
        measured = len(text) / len(tokenizer.encode(text, add_special_tokens=False).ids)
        estimate = characters_a_token(texts)
        assert estimate.low < measured < estimate.high < 2 * estimate.low, (measured, estimate)
        estimates.append(estimate)
    assert estimates[1].high > 1.5 * estimates[0].high
    chinese = characters_a_token(Texts(prompts=["\u4f60\u597d\u4e16\u754c"], answers=[], turns=1))
    assert chinese == (1, 4), "a character of three bytes is a token at worst"
    given = dry_plan(config("quickstart"), LAPTOP, assume=["characters_per_token=1..5"])
    own = dry_plan(config("quickstart"), LAPTOP)
    assert given.lengths.prompt.low < own.lengths.prompt.low < own.lengths.prompt.high
    assert own.lengths.prompt.high < given.lengths.prompt.high


def test_time_of_training_goes_by_its_key_and_not_by_its_name() -> None:
    dry = dry_plan(config("cluster"), NODES)
    keys = {stage.work.training: stage for stage in dry.stages if stage.work.training}
    assert keys.keys() == {"warm_start.train", "loop.train"}
    speeds = Speeds(
        config=config("cluster"),
        plan=dry.plan,
        shape=SHIPPED["Qwen/Qwen3-8B"],
        gpu_memory=NODES.gpu_memory,
        lengths=dry.lengths,
        assumed={each.key: each for each in dry.assumptions},
    )
    warm = keys["warm_start.train"].work
    assert speeds.seconds(replace(warm, stage="something else")) == speeds.seconds(warm)
    assert speeds.seconds(replace(warm, training="loop.train")) != speeds.seconds(warm)


def test_a_selection_among_checkpoints_is_work() -> None:
    key = "loop.train.select={checkpoints: 3, problems: 10}"
    plain, selected = (dry_plan(config("cluster", *more), NODES) for more in ([], [key]))
    before, after = (
        next(stage.work for stage in dry.stages if stage.work.training == "loop.train")
        for dry in (plain, selected)
    )
    assert after.judged == (0, 30) and before.judged == (0, 0)
    assert after.swaps.high == before.swaps.high + 3
    assert after.trained_tokens == before.trained_tokens


def test_a_selection_with_patience_may_end_early() -> None:
    key = "loop.train.select={checkpoints: 4, problems: 10}"
    whole, patient = (
        next(
            stage.work
            for stage in dry_plan(config("cluster", key, *more), NODES).stages
            if stage.work.training == "loop.train"
        )
        for more in ([], ["loop.train.select.patience=1"])
    )
    assert patient.trained_tokens.high == whole.trained_tokens.high
    assert patient.trained_tokens.low == pytest.approx(whole.trained_tokens.low / 2)
    assert (patient.judged, patient.swaps) == (whole.judged, whole.swaps)


OWN = """
from configs.base import Leaf
from engine.preflight.workload import NONE, exactly

class Settings(Leaf):
    num: int = 7

def propose(context, settings, champion, number, seen): ...

def work(settings, lengths):
    return [lengths.asked("ask", exactly(settings.num), swaps=NONE)]

def example(settings, suite, system): ...
"""
PASSAGES = """
from engine.records import Passage, Problem

NAME, VERIFIERS, EXAM = "passages", (), "likelihood"
DIMENSIONS = DEFAULT_SLICES = {"of": ("one",)}

def make(settings, rng, *, split, slice_name, origin):
    text = f"Some prose of the number {rng.random()}."
    return Problem(
        id=text, task=NAME, slice=slice_name, turns=(), truth=Passage(text=text), gold=(), split=split,
        origin=origin,
    )
"""


def test_a_loop_of_ones_own_is_planned_with_its_training(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    settings = config("quickstart", f"loop={{name: {tmp_path}/own.py, settings: {{num: 9}}}}")
    stages = {stage.work.stage: stage.work for stage in dry_plan(settings, LAPTOP).stages}
    assert stages["ask"].requests == (9, 9)
    length = stages["train"].trained_tokens.high
    assert stages["train"].training == "loop.train" and 0 < length <= 9 * settings.loop.train.max_length
    assert "probe" not in stages and "gate, by looks" in stages


def test_a_task_of_passages_samples_nothing(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    (tmp_path / "task.py").write_text(PASSAGES)
    settings = config(
        "quickstart",
        f"loop={{name: {tmp_path}/own.py}}",
        f"task={{name: {tmp_path}/task.py}}",
        "warm_start=null",
    )
    stages = {stage.work.stage: stage.work for stage in dry_plan(settings, LAPTOP).stages}
    looks = stages["gate, by looks"]
    assert looks.sampled_tokens == looks.judged == (0, 0) and looks.prompt_tokens.low > 0
    assert not any(name.startswith("pass@") for name in stages) and "baseline" not in stages


def test_time_follows_what_it_depends_on() -> None:
    settings, base = config("cluster"), dry_plan(config("cluster"), NODES, price=2.0)
    summed = sum(stage.times * stage.seconds.high for stage in base.stages)
    assert base.seconds.high == pytest.approx(240 + summed)  # with the start of the samplers
    assert base.cost == base.gpu_hours.times(Range(2, 2))
    assert base.gpu_hours.high == pytest.approx(base.seconds.high * 16 / 3600)
    slower = dry_plan(settings, NODES, assume=["train_mfu=0.1", "decode_share=0.1"])
    assert slower.seconds.low > base.seconds.low and slower.seconds.high > base.seconds.high
    told = dry_plan(settings, NODES, assume=["decode_tokens_per_second=1000..2000"])
    sample = next(stage for stage in told.stages if stage.work.stage == "sample")
    decoding = sample.work.sampled_tokens.high / (8 * 1000)
    assert decoding < sample.seconds.high < 1.2 * decoding
    trained = dry_plan(settings, NODES, assume=["train_tokens_per_second=500"])
    learnt = next(stage for stage in trained.stages if stage.work.stage == "train")
    assert learnt.seconds.high == pytest.approx(learnt.work.trained_tokens.high / (8 * 500) + 180)
    idle = dry_plan(settings, replace(NODES, nodes=4))
    assert idle.gpu_hours.high == pytest.approx(2 * base.gpu_hours.high)


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ("mfu=0.4", "no assumption 'mfu': allowed are tflops,"),
        ("tflops=fast", "above 0, or a range such as 0.3..0.5, got 'fast'"),
        ("train_mfu=0.5..0.3", "got '0.5..0.3'"),
        ("train_mfu=-1", "got '-1'"),
        ("train_mfu=nan", "got 'nan'"),
        ("train_mfu", "got ''"),
        (
            "train_mfu=5",
            "train_mfu must be a share above 0 and up to 1, or a range such as 0.3..0.5, got '5'",
        ),
        ("decode_share=0.5..40", "decode_share must be a share above 0 and up to 1"),
        ("prefill_mfu=1.01", "prefill_mfu must be a share"),
    ],
)
def test_assumptions_that_there_are_not(change: str, part: str) -> None:
    with pytest.raises(ForecastError, match=re.escape(part)):
        dry_plan(config("cluster"), NODES, assume=[change])


def shown(settings: Config, cluster: Cluster) -> list[Finding]:
    return page(dry_plan(settings, cluster))


def test_page_names_every_part_and_every_assumption() -> None:
    dry = dry_plan(config("cluster"), NODES)
    lines = page(dry)
    text = "\n".join(f"{line.what}: {line.found}" for line in lines)
    for part in ("weights", "gradients", "optimizer", "kv cache", "activations", "context"):
        assert part in text
    for each in dry.assumptions:
        assert f"{each.key}: " in text
    assert "host memory" in text and "not checked" not in text
    assert "no price given" in text
    assert any(
        "not checked" in line.found for line in shown(config("one-gpu"), replace(NODES, memory_per_node=None))
    )


def test_json_holds_all_of_it() -> None:
    dry = dry_plan(config("quickstart"), LAPTOP)
    assert json.loads(json.dumps(asdict(replace(dry, stages=()))))["plan"]["device"] == "cpu"

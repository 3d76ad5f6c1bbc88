"""Plans: what fits is placed, what does not is refused with what is missing and what would fit."""

import json
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

from configs.training import Dpo, OwnMethod, Sft
from engine.models.identity import ModelError
from engine.plan import machine as machine_module
from engine.plan.footprint import ATTENTION_BYTES, EAGER_LENGTH, GIB, SHIPPED, Shape, shape_of, trainer
from engine.plan.machine import Gpu, Machine, detect_machine
from engine.plan.needs import PlanError
from engine.plan.plan import SAMPLER_TURN, WORKER_TURN, Plan, as_declared, make_plan, plan_sampling
from tests.support.plans import config

HOME = Path("/tmp/home")
LAPTOP = Machine(num_cpus=2, memory=20 * GIB, disk=80 * GIB, num_gpus=0, gpu=None)
GPU_80 = Gpu(name="H100", memory=80 * GIB)
SERVER = Machine(num_cpus=64, memory=500 * GIB, disk=2000 * GIB, num_gpus=1, gpu=GPU_80)


def test_parameter_counts_are_those_of_the_published_models() -> None:
    assert SHIPPED["embedded"].num_parameters == 134_515_008
    # The published count has norms of queries and keys too: 36 layers of 2 x 128.
    assert SHIPPED["Qwen/Qwen3-8B"].num_parameters + 36 * 2 * 128 == 8_190_735_360


BATCHES = ("loop.train.batch_size=8", "loop.train.micro_batch_size=4")
"""For two workers."""


def test_on_a_cpu_each_side_has_all_threads_in_turn() -> None:
    plan = make_plan(config(), LAPTOP, HOME)
    assert (plan.device, plan.take_turns, plan.num_gpus) == ("cpu", True, 0)
    assert (plan.samplers.num, plan.samplers.threads) == (1, 2)
    assert (plan.workers["loop.train"].num, plan.workers["loop.train"].threads) == (1, 2)
    assert plan.resources == {"sampler": 1}
    two = make_plan(config("quickstart", "loop.train.num_workers=2", *BATCHES), LAPTOP, HOME)
    assert (two.workers["loop.train"].num, two.workers["loop.train"].threads) == (2, 1)
    assert {need.what for need in plan.needs} == {"disk", "memory", "memory to compute references"}


@pytest.mark.parametrize(
    ("nodes", "num", "threads"), [((4, 4), 1, 4), ((4, 4), 2, 4), ((2, 64), 2, 32), ((1, 1, 1), 2, 1)]
)
def test_on_several_nodes_each_process_is_whole_on_one(
    nodes: tuple[int, ...], num: int, threads: int
) -> None:
    several = replace(LAPTOP, num_cpus=sum(nodes), node_cpus=nodes)
    asked = [f"{key}={num}" for key in ("sampler.num_actors", "loop.train.num_workers")]
    plan = make_plan(config("quickstart", *asked, *BATCHES), several, HOME)
    assert plan.workers["loop.train"].threads == plan.samplers.threads == threads


@pytest.mark.parametrize(
    ("nodes", "threads"),
    [
        ((), 96),  # one machine
        (((96, 8),) * 16, 12),
        (((96, 8),) * 2, 12),
        (((96, 1),) * 16, 96),
        (((512, 0), (96, 8), (64, 8)), 8),  # a head without GPUs gets none of them
        (((1, 8), *((96, 8),) * 15), 1),
    ],
)
def test_threads_are_a_nodes_cores_over_its_gpus(nodes: tuple[tuple[int, int], ...], threads: int) -> None:
    cpus, gpus = zip(*nodes, strict=True) if nodes else ((), ())
    there = replace(SERVER, num_cpus=16 * 96, num_gpus=128, node_cpus=cpus, node_gpus=gpus)
    plan = make_plan(config("cluster"), there, HOME)
    assert plan.workers["loop.train"].threads == plan.samplers.threads == threads
    assert plan.workers["warm_start.train"].threads == threads


def test_in_turn_a_nodes_cores_are_for_two_processes_a_gpu() -> None:
    two = ["sampler.num_actors=2", "loop.train.num_workers=2", "warm_start.train.num_workers=2"]
    settings = config("one-gpu", *two, "resources.num_gpus=2")
    there = replace(SERVER, num_cpus=128, num_gpus=2, node_cpus=(96, 32), node_gpus=(1, 1))
    plan = make_plan(settings, there, HOME)
    assert plan.take_turns and plan.workers["loop.train"].threads == 16


def test_one_gpu_is_shared_in_turn() -> None:
    plan = make_plan(config("one-gpu"), SERVER, HOME)
    assert (plan.device, plan.take_turns) == ("gpu", True)
    assert (plan.samplers.gpus, plan.workers["loop.train"].gpus) == (SAMPLER_TURN, WORKER_TURN)
    assert plan.samplers.gpus + plan.workers["loop.train"].gpus <= 1 < 2 * plan.samplers.gpus


def test_several_gpus_are_spread() -> None:
    plan = make_plan(config("cluster"), replace(SERVER, num_gpus=16), HOME)
    assert not plan.take_turns
    assert (
        plan.samplers.num,
        plan.samplers.gpus,
        plan.workers["loop.train"].num,
        plan.workers["loop.train"].gpus,
    ) == (8, 1.0, 8, 1.0)
    assert plan.workers["warm_start.train"].num == 8


@pytest.mark.parametrize("name", ["one-gpu", "cluster"])
def test_gpu_configs_are_checked_where_no_gpu_is(name: str) -> None:
    settings = config(name)
    with pytest.raises(PlanError, match=r"resources.num_gpus=\d+, but this run may use 0 GPUs"):
        make_plan(settings, LAPTOP, HOME)
    plan = make_plan(settings, as_declared(settings, LAPTOP), HOME)
    assert plan.num_gpus == settings.resources.num_gpus
    for need in plan.needs:
        if need.what.startswith("GPU memory"):
            assert GIB < need.needed < 80 * GIB, f"{need.what} would not fit a GPU of 80 GB"


@pytest.mark.parametrize(
    ("name", "overrides", "there", "parts"),
    [
        ("quickstart", ["sampler.num_actors=3"], {}, ["sampler.num_actors=3 needs 3 cores", "there are 2"]),
        (
            "quickstart",
            ["loop.train.num_workers=4", "loop.train.batch_size=8", "loop.train.micro_batch_size=2"],
            {},
            ["loop.train.num_workers=4 needs 4 cores", "set loop.train.num_workers=2"],
        ),
        ("quickstart", ["resources.num_cpus=8"], {}, ["resources.num_cpus=8", "may use 2 cores"]),
        ("quickstart", ["sampler.tensor_parallel=2"], {}, ["set sampler.tensor_parallel=1"]),
        ("quickstart", [], {"memory": 6 * GIB}, ["needs about", "6.0 GiB are free", "set warm_start.train."]),
        ("quickstart", [], {"memory": GIB}, ["samplers need about", "sampler.num_actors"]),
        ("quickstart", [], {"memory": 9 * GIB // 2}, ["no smaller setting fits, the smallest needs about"]),
        (
            "quickstart",
            [],
            {"disk": GIB},
            ["of disk, but", "1.0 GiB are free", "ratchet models prune"],
        ),
        (
            "cluster",
            ["resources.num_gpus=2"],
            {"num_gpus": 2, "num_cpus": 64},
            ["need 16 GPUs", "there are 2"],
        ),
        (
            "one-gpu",
            ["sampler.tensor_parallel=2"],
            {"num_gpus": 1, "num_cpus": 8},
            ["3 GPUs", "share_gpu=true"],
        ),
        (
            "one-gpu",
            [],
            {"num_gpus": 1, "num_cpus": 1},
            [
                "need 2 cores",
                "set fewer of sampler.num_actors, warm_start.train.num_workers and loop.train.num_workers",
            ],
        ),
        ("one-gpu", [], {"num_gpus": 1, "gpu": Gpu(name="T4", memory=16 * GIB)}, ["a sampler needs about"]),
        (
            "one-gpu",
            [],
            {"num_gpus": 1, "gpu": Gpu(name="L4", memory=24 * GIB)},
            ["warm_start.train needs about", "set warm_start.train.micro_batch_size="],
        ),
    ],
)
def test_what_does_not_fit_is_refused(name: str, overrides: list[str], there: dict, parts: list[str]) -> None:
    with pytest.raises(PlanError) as caught:
        make_plan(config(name, *overrides), replace(LAPTOP, **{"disk": 2000 * GIB, **there}), HOME)
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


def test_what_is_advised_fits() -> None:
    small = replace(LAPTOP, memory=8 * GIB)
    full = [
        f"{key}.{value}"
        for key in ("loop.train", "warm_start.train")
        for value in ("tuning=full", "max_length=512")
    ]
    overrides = list(full)
    for _ in range(3):
        try:
            plan = make_plan(config("quickstart", *overrides), small, HOME)
        except PlanError as error:
            advice = str(error).partition(": set ")[2].partition(", which")[0]
            assert advice, error
            overrides += advice.split()
        else:
            assert (
                overrides != full
                and max(need.needed for need in plan.needs if need.what == "memory") <= 8 * GIB
            )
            return
    pytest.fail(f"the advice was followed and does not fit: {overrides}")


def test_memory_falls_with_what_should_lower_it() -> None:
    shape, warm = SHIPPED["Qwen/Qwen3-8B"], config("cluster").warm_start
    assert warm
    train = warm.train
    full = trainer(shape, train).total
    assert trainer(shape, train.model_copy(update={"deepspeed": "zero2.json"})).total > full
    assert trainer(shape, train.model_copy(update={"deepspeed": None})).total > 16 * shape.num_parameters
    assert trainer(shape, train.model_copy(update={"micro_batch_size": 1})).total < full
    assert trainer(shape, train.model_copy(update={"gradient_checkpointing": False})).total > full
    short = train.model_copy(update={"max_length": EAGER_LENGTH})
    matrices = ATTENTION_BYTES * short.micro_batch_size * EAGER_LENGTH**2 * shape.heads * shape.layers
    assert trainer(shape, short, on_cpu=True).total == trainer(shape, short).total + matrices
    assert trainer(shape, train, on_cpu=True).total == full


def test_a_quantised_base_takes_as_many_bytes_as_its_bits() -> None:
    settings = config("domain-7b")
    train = settings.trains["loop.sft"]
    shape = SHIPPED["deepseek-ai/deepseek-coder-7b-instruct-v1.5"]
    frozen = {
        how: trainer(shape, train.model_copy(update={"quantize": how})).frozen / GIB
        for how in (None, "8bit", "4bit")
    }
    # 6.1 billion weights in the layers, and 0.8 billion in the embeddings and the head, in 32 bit.
    assert frozen == pytest.approx({None: 12.9, "8bit": 8.8, "4bit": 6.1}, abs=0.1)
    plan = make_plan(settings, as_declared(settings, LAPTOP), HOME)
    needed = {need.what: need.needed / GIB for need in plan.needs}
    assert train.quantize == "8bit" and train.packing
    assert frozen["8bit"] < needed["GPU memory, loop.sft"] < 40


def sampling(name: str, there: Machine, *overrides: str) -> Plan:
    settings = config(name, *overrides)
    return plan_sampling(settings.sampler, settings.resources, settings.base, there, HOME)


def test_measuring_asks_for_no_training_memory() -> None:
    with pytest.raises(PlanError):
        make_plan(config(), replace(LAPTOP, memory=4 * GIB), HOME)
    plan = sampling("quickstart", replace(LAPTOP, memory=4 * GIB))
    assert plan.workers == {} and (plan.samplers.num, plan.samplers.threads) == (1, 2)
    assert {need.what for need in plan.needs} == {"disk", "memory", "memory to compute references"}


def test_measuring_has_the_gpus_to_itself() -> None:
    one = sampling("one-gpu", SERVER)
    assert (one.device, one.take_turns, one.samplers.gpus, one.workers) == ("gpu", False, 1.0, {})
    assert one.samplers.threads == SERVER.num_cpus
    eight = replace(SERVER, num_gpus=8)
    assert sampling("cluster", eight, "resources.num_gpus=8").samplers.num == 8
    with pytest.raises(PlanError) as caught:
        sampling("cluster", replace(SERVER, num_gpus=4), "resources.num_gpus=4")
    assert "8 samplers of 1 GPUs need 8 GPUs, but there are 4: set fewer of sampler.num_actors and" in str(
        caught.value
    )
    assert "train" not in str(caught.value)


def test_models_without_a_reference_need_memory_in_each_sampler_and_refuse_nothing() -> None:
    """They are loaded in float32, on nodes with GPUs too, and only where a swap asks for it."""
    for plan in (
        sampling("cluster", replace(SERVER, num_gpus=8, memory=GIB), "resources.num_gpus=8"),
        make_plan(config("cluster"), replace(SERVER, num_gpus=16, memory=GIB), HOME),
    ):
        (need,) = [each for each in plan.needs if each.what == "memory to compute references"]
        assert (
            need.needed == 8 * 4 * SHIPPED["Qwen/Qwen3-8B"].num_parameters > 240 * GIB == 240 * need.available
        )


def test_only_trainings_that_run_are_planned() -> None:
    assert list(make_plan(config(), LAPTOP, HOME).workers) == ["warm_start.train", "loop.train"]
    for override in ("start=champion", "warm_start=null"):
        assert list(make_plan(config("quickstart", override), LAPTOP, HOME).workers) == ["loop.train"]


def test_what_a_method_needs_is_read_from_its_class() -> None:
    """Pairs hold two texts a row; a model held to its parent keeps its head. No method is known by name."""
    shape, sft, dpo = SHIPPED["embedded"], Sft(max_length=600), Dpo(max_length=600)
    assert trainer(shape, dpo).activations > 1.7 * trainer(shape, sft).activations
    held = sft.model_copy(update={"rehearsal_share": 0.5})
    head = 4 * shape.vocabulary * shape.hidden
    assert trainer(shape, held).frozen == head and not trainer(shape, sft).frozen

    class Triples(OwnMethod):
        TEXTS_A_ROW: ClassVar[int] = 3

        @property
        def held_share(self) -> float:
            return 0.1

    own = trainer(shape, Triples(method="mine.py", max_length=600))
    assert own.activations > trainer(shape, dpo).activations and own.frozen == head


def test_candidates_of_a_selection_need_disk() -> None:
    def needed(*overrides: str) -> int:
        plan = make_plan(config("quickstart", *overrides), LAPTOP, HOME)
        return next(need.needed for need in plan.needs if need.what == "disk")

    shape = SHIPPED["embedded"]
    size = 2 * shape.num_parameters + 12 * shape.num_adapter_parameters(config().loop.train.lora_rank)
    assert needed("loop.train.select.checkpoints=4") == needed() + 4 * size


def test_base_that_is_missing_or_corrupt(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="does not exist"):
        make_plan(config("quickstart", f"base={tmp_path}/nothing"), LAPTOP, HOME)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ModelError, match="is corrupt"):
        make_plan(config("quickstart", f"base={tmp_path}"), LAPTOP, HOME)


def test_unknown_size_leaves_memory_open() -> None:
    base = "base={hub: nobody/nothing, revision: abc}"
    assert make_plan(config("quickstart", base), LAPTOP, HOME).needs == ()


def test_shape_is_read_from_config_json() -> None:
    content = json.loads(
        '{"hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9,'
        ' "num_key_value_heads": 3, "vocab_size": 49152, "tie_word_embeddings": true}'
    )
    assert Shape.of(content) == SHIPPED["embedded"] == shape_of("embedded")
    experts = {"num_experts": 128, "moe_intermediate_size": 768}
    for unknown in ({"intermediate_size": [1, 2]}, {"num_attention_heads": None}, experts):
        with pytest.raises((KeyError, TypeError)):
            Shape.of(content | unknown)


def test_machine_honours_cgroup_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_module, "CGROUP", tmp_path)
    free = detect_machine(tmp_path)
    assert free.num_cpus >= 1 and free.memory and free.disk
    (tmp_path / "cpu.max").write_text("100000 100000\n")
    (tmp_path / "memory.max").write_text(str(GIB))
    (tmp_path / "memory.current").write_text(str(GIB // 2))
    (tmp_path / "memory.stat").write_text(f"anon 5\ninactive_file {GIB // 4}\n")
    limited = detect_machine(tmp_path / "not" / "yet")
    assert limited.num_cpus == 1
    assert limited.memory == GIB - GIB // 2 + GIB // 4

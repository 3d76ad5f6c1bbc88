"""Arithmetic that is left to the machine: decided by its processors, and recorded."""

from dataclasses import replace
from pathlib import Path

import pytest

from configs.asking import Asking
from configs.load import dump, from_tree
from configs.schema import Config
from configs.serving import Serving
from engine.plan import machine as machine_module
from engine.plan.footprint import GIB
from engine.plan.machine import Machine, detect_bf16
from engine.plan.plan import make_plan
from engine.plan.precision import settle

OLD = Machine(num_cpus=2, memory=20 * GIB, disk=80 * GIB, num_gpus=0, gpu=None, cpu_bf16=False)
NEW = replace(OLD, cpu_bf16=True)


def config(**changes: object) -> Config:
    return from_tree({"name": "a", "line": "a/b", **changes}, "test")


def dtypes(settings: Config) -> set[str]:
    return {settings.sampler.dtype, *(train.dtype for train in settings.trains.values())}


@pytest.mark.parametrize(
    ("machine", "num_gpus", "dtype"),
    [
        (NEW, None, "bfloat16"),
        (OLD, None, "float32"),
        (replace(OLD, num_gpus=1), None, "bfloat16"),
        (replace(OLD, num_gpus=1), 0, "float32"),
        (OLD, 1, "bfloat16"),
    ],
)
def test_what_is_left_to_the_machine_follows_its_processors(
    machine: Machine, num_gpus: int | None, dtype: str
) -> None:
    left = config(resources={"num_gpus": num_gpus})
    assert dtypes(left) == {"auto"}
    settled = settle(left, machine)
    assert dtypes(settled) == {dtype} and f"dtype: {dtype}" in dump(settled)
    assert "auto" not in dump(settled)


def test_what_is_given_stays() -> None:
    given = config(sampler={"dtype": "bfloat16"}, loop={"train": {"method": "dpo", "dtype": "float32"}})
    for machine in (OLD, NEW):
        settled = settle(given, machine)
        assert settled.sampler.dtype == "bfloat16" and settled.loop.train.dtype == "float32"
    assert settle(given, NEW) == given.model_copy(update={"warm_start": settle(given, NEW).warm_start})


def test_a_server_and_an_evaluation_are_settled_too() -> None:
    assert settle(Asking(), OLD).sampler.dtype == "float32"
    assert settle(Serving(line="a/b"), OLD).engines.dtype == "float32"


def test_a_plan_counts_the_memory_of_what_the_machine_decides(tmp_path: Path) -> None:
    (_, wide, _), (_, narrow, _) = (make_plan(config(), each, tmp_path).needs for each in (OLD, NEW))
    assert wide.what == narrow.what == "memory" and wide.needed > narrow.needed
    assert make_plan(config(), OLD, tmp_path) == make_plan(settle(config(), OLD), OLD, tmp_path)


@pytest.mark.parametrize(
    ("cpuinfo", "found"),
    [
        ("processor\t: 0\nflags\t\t: fpu avx2 avx512_bf16 amx_tile\n", True),
        ("processor\t: 0\nflags\t\t: fpu avx2 amx_bf16\n", True),
        ("processor\t: 0\nFeatures\t: fp asimd bf16\n", True),
        ("processor\t: 0\nflags\t\t: fpu avx avx2 avx512f avx512_vnni\nvmx flags\t: avx512_bf16\n", False),
        ("", False),
    ],
)
def test_instructions_for_bfloat16_are_read_from_the_kernel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cpuinfo: str, found: bool
) -> None:
    monkeypatch.setattr(machine_module, "CPUINFO", tmp_path / "cpuinfo")
    if cpuinfo:
        (tmp_path / "cpuinfo").write_text(cpuinfo)
    assert detect_bf16() is found

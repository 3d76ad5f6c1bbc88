"""What `make gpu` does around its checks, on any machine: no test here needs a GPU or starts an engine."""

import importlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from configs.load import load, load_as
from configs.serving import Serving
from engine.plan.footprint import GIB, SHIPPED, Shape
from engine.plan.machine import Gpu as PlannedGpu
from engine.plan.machine import Machine
from engine.plan.plan import plan_for
from engine.preflight.doctor import require_parts
from engine.preflight.power import require_power
from loops import loop_for
from tests.bench.gpu import __main__ as entry
from tests.bench.gpu import large, loop, machine, sampler, swap, zero2
from tests.bench.gpu.checks import CHECKS, SECONDS
from tests.bench.gpu.loop import within
from tests.bench.gpu.machine import Gpu, NoGpu, peak_of, seen_by_driver, versions
from tests.bench.gpu.meter import Reading
from tests.bench.gpu.record import Figure, Outcome, Record, table
from tests.bench.gpu.run import ROOT, Setting, reason_to_skip, run_check
from tests.bench.work import CONFIG
from tests.support.gpu_checks import GPU, check
from tests.support.model_dirs import sound_model
from tests.support.server_process import LINE

pytestmark = pytest.mark.slow

WITH_GPU = Machine(
    num_cpus=8,
    memory=64 * GIB,
    disk=500 * GIB,
    num_gpus=1,
    gpu=PlannedGpu(name=GPU.name, memory=GPU.memory),
)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A sound one, whose name has signs of YAML."""
    return sound_model(tmp_path / "a: #small one")


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    return Setting(gpu=GPU, model=tmp_path, place=tmp_path / "gpu")


def fake_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    command = tmp_path / "bin" / "nvidia-smi"
    command.parent.mkdir()
    command.write_text(f"#!/bin/sh\n{script}\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{command.parent}:{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_for(what: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_without_a_gpu_everything_is_skipped_with_its_reason(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.gpu"],
        env=os.environ | {"RATCHET_HOME": str(tmp_path), "CUDA_VISIBLE_DEVICES": ""},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    for version in versions():
        assert f"{version.package:<13} {version}" in done.stdout
    rows = [line for line in done.stdout.splitlines() if line.startswith("| ")]
    assert len(rows) == len(CHECKS) + 2
    for each, row in zip(CHECKS, rows[2:], strict=True):
        assert row == f"| {each.name} | {each.shows} | skipped |  | CUDA_VISIBLE_DEVICES hides every GPU |"
    kept = json.loads((tmp_path / "bench" / "gpu.json").read_text())
    assert kept["gpu"] is None and kept["packages"]["torch"]["pinned"] == "2.13.0"
    assert [each["outcome"] for each in kept["checks"]] == ["skipped"] * len(CHECKS)


def test_an_unusable_model_is_one_sentence(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.gpu", "--model", str(tmp_path / "none")],
        env=os.environ | {"RATCHET_HOME": str(tmp_path), "CUDA_VISIBLE_DEVICES": ""},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert (
        done.stderr.strip().splitlines()[-1].endswith(f"model directory {tmp_path / 'none'} does not exist")
    )


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, setting: Setting, tmp_path: Path) -> Iterator[None]:
    """As on a machine with a GPU."""
    monkeypatch.setenv("RATCHET_HOME", str(tmp_path))
    monkeypatch.setattr(entry, "_setting", lambda _: setting)
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize(
    ("names", "code"), [(["finds"], 0), (["is_unsuited"], 0), (["is_wrong", "finds"], 1)]
)
def test_only_a_failed_check_fails_the_command(
    started: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    names: list[str],
    code: int,
) -> None:
    monkeypatch.setattr(entry, "CHECKS", tuple(map(check, names)))
    assert entry.main([]) == code
    kept = json.loads((tmp_path / "bench" / "gpu.json").read_text())
    assert [each["check"] for each in kept["checks"]] == names
    said = capsys.readouterr().out
    assert GPU.name in said and "989 TFLOPS" in said
    assert ("is_wrong left" in said) == ("is_wrong" in names)


def test_no_time_is_kept_for_a_check_that_cannot_run(
    started: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    later = (check("raises", least=200, gib=99), check("is_unsuited", least=150))
    monkeypatch.setattr(entry, "CHECKS", (check("finds", most=400), *later))
    assert entry.main([]) == 0
    (seconds,) = re.findall(r"^finds: a test; (\d+) s at most", capsys.readouterr().out, re.MULTILINE)
    assert 300 <= int(seconds) <= SECONDS - 150


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_what_is_interrupted_leaves_no_process(tmp_path: Path, number: signal.Signals) -> None:
    """With a check under way; unless it is killed at once, it ends in a table and JSON."""
    code = (
        "import signal, sys; from pathlib import Path; from tests.bench.gpu import __main__ as entry\n"
        "from tests.bench.gpu.run import Setting; from tests.support.gpu_checks import GPU, check\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"place = Path({str(tmp_path)!r})\n"
        "entry._setting = lambda _: Setting(gpu=GPU, model=place, place=place / 'gpu')\n"
        "entry.CHECKS = (check('hangs', most=400), check('finds'))\n"
        "sys.exit(entry.main([]))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        env=os.environ | {"RATCHET_HOME": str(tmp_path)},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    said = tmp_path / "gpu" / "hangs" / "said.jsonl"
    wait_for(lambda: said.exists() and said.read_text().endswith("\n"))
    orphan = int((tmp_path / "gpu" / "orphan").read_text())
    assert runs(orphan)
    process.send_signal(number)
    out, _ = process.communicate(timeout=60)
    wait_for(lambda: not runs(orphan), 30)
    if number is signal.SIGKILL:
        return
    assert process.returncode == 130
    assert out.count("| skipped |  | interrupted |") == 2
    kept = json.loads((tmp_path / "bench" / "gpu.json").read_text())
    assert [each["why"] for each in kept["checks"]] == ["interrupted", "interrupted"]


@pytest.mark.parametrize(
    ("name", "outcome", "why"),
    [
        ("finds", Outcome.RAN, ""),
        ("crashes", Outcome.FAILED, "its process ended with SIGSEGV: the last line"),
        ("raises", Outcome.FAILED, "ValueError: and what | it came to\x1b[31m"),
        ("is_wrong", Outcome.FAILED, "the figures differ"),
        ("is_unsuited", Outcome.SKIPPED, "the model is of another kind"),
        ("lacks_a_package", Outcome.SKIPPED, "the package no_such_package is not installed"),
        ("lacks_a_part", Outcome.FAILED, "ModuleNotFoundError: No module named 'json.no_such_part'"),
    ],
)
def test_a_check_ends_as_a_record(setting: Setting, name: str, outcome: Outcome, why: str) -> None:
    record = run_check(check(name), setting, 60)
    assert (record.outcome, record.why) == (outcome, why)
    assert record.seconds > 0
    place = setting.place / name
    assert place.exists() == (outcome is Outcome.FAILED) == bool(record.left)
    assert place.with_suffix(".log").exists()
    if name == "finds":
        assert record.figures == (Figure("speed", 1234.5, "tokens/s"), Figure("ratio", 0.971))
        assert str(record) == "speed 1,234 tokens/s; ratio 0.971"
    if name == "crashes":
        assert record.figures == (Figure("before", 1.0),)


def test_a_check_that_hangs_is_stopped_with_all_that_it_started(setting: Setting) -> None:
    began = time.monotonic()
    record = run_check(check("hangs"), setting, 8)
    assert time.monotonic() - began < 40
    assert (record.outcome, record.why) == (Outcome.FAILED, "it had not ended after 8 s, and was stopped")
    assert record.figures == (Figure("begun", 1.0),)
    assert not runs(int((setting.place / "orphan").read_text()))


def test_a_check_that_ran_leaves_no_process(setting: Setting) -> None:
    assert run_check(check("leaves_orphans"), setting, 60).outcome is Outcome.RAN
    assert not runs(int((setting.place / "orphan").read_text()))


def test_a_check_is_given_the_gpu_and_a_home_of_its_own(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {}

    class Guard:
        def __init__(self, _: object, *, env: dict[str, str], **__: object) -> None:
            given.update(env)

        def wait(self) -> int:
            return 1

        def terminate(self) -> None: ...

    monkeypatch.setattr("tests.bench.gpu.run.subprocess.Popen", Guard)
    run_check(check("finds"), replace(setting, gpu=replace(GPU, id="3")), 1)
    assert given["CUDA_VISIBLE_DEVICES"] == "3" and given["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    assert given["RATCHET_HOME"] == str(setting.place / "finds" / "home")
    assert given["HF_HUB_OFFLINE"] == "1"


@pytest.mark.parametrize(
    ("changed", "keys", "left", "why"),
    [
        ({}, {}, 100, ""),
        ({"gpu": None, "no_gpu": "no GPU: none"}, {}, 100, "no GPU: none"),
        ({}, {"packages": ("psutil", "no-such-a", "no-such-b")}, 100, "not installed: no-such-a, no-such-b"),
        ({"no_model": "the model is not there"}, {}, 100, "the model is not there"),
        (
            {"gpu": replace(GPU, capability="7.5")},
            {},
            100,
            "bf16 needs compute capability 8, and NVIDIA H100 80GB HBM3 has 7.5",
        ),
        (
            {"gpu": replace(GPU, used=50 * GIB)},
            {"gib": 40},
            100,
            "needs 40 GiB of GPU memory, and 30.0 are free",
        ),
        ({}, {"least": 90}, 12, "12 s are left, and it needs 90: `--only finds` runs it alone"),
    ],
)
def test_why_a_check_cannot_run(
    setting: Setting, changed: dict[str, object], keys: dict[str, object], left: float, why: str
) -> None:
    assert reason_to_skip(check("finds", **keys), replace(setting, **changed), left) == why  # type: ignore[arg-type]


def test_a_table_can_be_pasted_whatever_was_said() -> None:
    rows = table(
        [
            Record(check="a", shows="b", outcome=Outcome.FAILED, why="x | y\n\x1b[31mred", seconds=3.4),
            Record(
                check="c", shows="d", outcome=Outcome.RAN, figures=(Figure("e", 12345.6, "s"),), seconds=2
            ),
        ]
    ).splitlines()
    assert rows[2] == "| a | b | failed | 3 | x \\| y \\x1b[31mred |"
    assert rows[3] == "| c | d | ran | 2 | e 12,346 s |"


def test_the_driver_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_driver(tmp_path, monkeypatch, "echo 'NVIDIA H200, 143771, 512, 570.86.15, 9.0'")
    found = seen_by_driver()
    assert found == Gpu(
        id="0",
        name="NVIDIA H200",
        memory=143771 << 20,
        used=512 << 20,
        driver="570.86.15",
        capability="9.0",
    )
    monkeypatch.setattr(machine, "cuda_installed", lambda: False)
    with pytest.raises(NoGpu, match="there is NVIDIA H200, but the installed torch is a build for CPUs"):
        machine.find_gpu()
    monkeypatch.setattr(machine, "cuda_installed", lambda: True)
    monkeypatch.setattr(machine, "_TRY", "raise RuntimeError('the driver is too old')")
    with pytest.raises(NoGpu, match="torch cannot use NVIDIA H200: RuntimeError: the driver is too old"):
        machine.find_gpu()
    monkeypatch.setattr(machine, "_TRY", "pass")
    assert machine.find_gpu() == found


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("echo 'No devices were found' >&2; exit 6", "nvidia-smi says: No devices were found"),
        ("exit 9", "nvidia-smi says: nothing"),
        ("echo 'NVIDIA GB10, [N/A], [N/A], 580.1, 12.1'", "does not tell what a GPU has: NVIDIA GB10"),
    ],
)
def test_a_driver_without_a_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, why: str
) -> None:
    fake_driver(tmp_path, monkeypatch, script)
    with pytest.raises(NoGpu, match=why):
        seen_by_driver()


def test_versions_are_compared_with_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = {
        "torch": "2.13.0+cu130",
        "vllm": "0.31.2.dev7+gabc",
        "ray": "2.60.0",
        "trl": "1.17.0",
        "peft": "main",
        "transformers": "5.19.0+cpu",
    }
    monkeypatch.setattr(machine, "installed", here.get)
    said = {version.package: str(version) for version in versions()}
    other = ": another version, tried all the same"
    assert said == {
        "torch": "2.13.0+cu130, as pinned",
        "vllm": f"0.31.2.dev7+gabc, pinned is 0.32.0{other}",
        "deepspeed": "missing, pinned is 0.19.8",
        "ray": "2.60.0, as pinned",
        "transformers": "5.19.0+cpu, as pinned, but a build for CPUs",
        "trl": f"1.17.0, pinned is 1.16.0{other}",
        "peft": f"main, pinned is 0.21.2{other}",
    }


@pytest.mark.parametrize(
    ("name", "tera"),
    [
        ("NVIDIA H200", 989),
        ("NVIDIA H200 NVL", 835),
        ("NVIDIA H100 80GB HBM3", 989),
        ("NVIDIA H100 PCIe", 756),
        ("NVIDIA A100-SXM4-80GB", 312),
        ("NVIDIA L40S", 362),
        ("NVIDIA L40", 181),
        ("NVIDIA L4", 121),
        ("NVIDIA A10", 125),
        ("NVIDIA A10G", None),
        ("NVIDIA H20", None),
        ("Tesla V100-SXM2-16GB", None),
    ],
)
def test_peaks_are_known_by_name(name: str, tera: float | None) -> None:
    assert peak_of(name) == (None if tera is None else tera * 1e12)


def test_every_check_can_be_found_and_has_its_time() -> None:
    assert len({each.name for each in CHECKS}) == len(CHECKS)
    for each in CHECKS:
        module, _, function = each.where.partition(":")
        assert callable(getattr(importlib.import_module(module), function))
        assert each.least < each.most < SECONDS and each.gib > 0 and each.packages
    readme = (ROOT / "tests" / "bench" / "README.md").read_text()
    for each in CHECKS:
        assert f"`{each.name}`" in readme


def test_the_campaign_is_valid_and_takes_turns_on_one_gpu(tmp_path: Path, model: Path) -> None:
    config = load(loop.CONFIG, loop.overrides(model))
    assert config.base == str(model)
    require_parts(config)
    require_power(config.gate.sentinels)
    loop_for(config)
    plan = plan_for(SHIPPED["embedded"], config, WITH_GPU, tmp_path)
    assert (plan.device, plan.take_turns, plan.num_gpus) == ("gpu", True, 1)
    assert [train.method for train in config.trains.values()] == ["sft", "dpo"]
    # What is small is not what the shipped config tests on a GPU: how the two share it.
    shipped = load(loop.CONFIG)
    assert (config.resources, config.sampler.gpu_memory) == (shipped.resources, shipped.sampler.gpu_memory)


@pytest.mark.parametrize("way", zero2.WAYS)
def test_the_training_by_deepspeed_is_valid(tmp_path: Path, model: Path, way: str) -> None:
    config = load(CONFIG, zero2.overrides(model, way))
    assert config.loop.train.deepspeed == ("zero2.json" if way == "ZeRO-2" else None)
    assert (config.loop.train.num_workers, config.loop.train.tuning) == (1, "full")
    plan_for(SHIPPED["embedded"], config, WITH_GPU, tmp_path)


def test_the_sampler_of_the_comparison_sleeps(tmp_path: Path, model: Path) -> None:
    config = load(CONFIG, sampler.overrides(model))
    assert plan_for(SHIPPED["embedded"], config, WITH_GPU, tmp_path).take_turns
    # Raw vLLM's fixed KV cache has to fit beside our share, on the smallest GPU that is tried.
    smallest = next(each.gib for each in CHECKS if each.name == "sampler")
    assert smallest * (1 - config.sampler.gpu_memory) > config.sampler.kv_cache_gib + 2


def test_the_servers_settings_are_valid(tmp_path: Path) -> None:
    file = tmp_path / "serve.yaml"
    file.write_text(f"line: {LINE}\n")
    serving = load_as(Serving, file, list(swap.SETTINGS))
    assert (serving.engines.resident, serving.engines.tensor_parallel) == (2, 1)


@pytest.mark.parametrize(
    ("name", "key", "method"), [("sft-8b", "warm_start.train", "sft"), ("dpo-8b", "loop.train", "dpo")]
)
def test_a_large_training_is_the_shipped_one_and_fits(name: str, key: str, method: str) -> None:
    config = large.settings(key)
    assert (config.method, config.tuning, config.gradient_checkpointing) == (method, "lora", True)
    assert config.batch_size % config.micro_batch_size == 0
    (gib,) = (each.gib for each in CHECKS if each.name == name)
    assert large.needed(config) / GIB < gib < 80


def test_the_large_model_has_the_shape_that_plans_count_with() -> None:
    assert Shape.of(large.shape_keys()) == large.SHAPE
    # Published: 8.2 billion parameters, 6.95 without the embeddings.
    assert large.SHAPE.num_parameters == pytest.approx(8.19e9, rel=0.001)
    assert large.operations(1.0) / 4 == pytest.approx(6.95e9, rel=0.001)


def test_the_rows_of_a_large_training_differ() -> None:
    rows = large.rows_of(8)
    assert len({row.chosen for row in rows} | {row.rejected for row in rows}) == 16
    large.require_fit(rows, lambda _: 1024, large.settings("loop.train"))
    with pytest.raises(large.Skipped, match="800 words are 1025 tokens of this tokenizer"):
        large.require_fit(rows, lambda _: 1025, large.settings("loop.train"))


def test_memory_is_told_apart_by_the_stages_of_a_run() -> None:
    memory = [Reading(time, used) for time, used in ((1.0, 10), (2.5, 70), (3.5, 5), (4.5, 30), (6.0, 71))]
    journal = [
        {"stage": "rounds/000/gold", "seconds": 1.0, "time": 3.0},
        {"stage": "rounds/000/train", "seconds": 2.0, "time": 5.0},
    ]
    assert [each.used for each in within(memory, journal, ("rounds/000/train",))] == [5, 30]

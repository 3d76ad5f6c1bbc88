"""A campaign on one GPU, as a user runs it: sampler and trainer in turns, vLLM asleep while the model trains.

It is `configs/one-gpu.yaml` with a small model and small numbers. The driver's view of the GPU's memory, by
the stages of the run's journal, shows whether the sampler gives it back.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.disk.jsonl import objects
from engine.plan.footprint import GIB
from tests.bench.gpu.meter import Reading, readings
from tests.bench.gpu.work import Failed, Work

CONFIG = "configs/one-gpu.yaml"
_LORA = "tuning: lora, lora_rank: 32, lora_alpha: 64, batch_size: 8, micro_batch_size: 4, max_length: 256"
_SMALL = (
    "run_id=loop",
    "line=bench/one-gpu",
    "task.slices={hops: [1, 2, 3], negation: [false, true], irrelevant: [0], distractors: [1]}",
    "baseline={num_problems: 24, samples: 2, temperature: 0.5}",
    "warm_start.proofs=160",
    f"warm_start.train={{method: sft, {_LORA}, learning_rate: 1.0e-3, epochs: 2, rehearsal_share: 0.5, "
    "gradient_checkpointing: true}",
    "loop.probe.num_problems=48",
    "loop.aim=uniform",
    "loop.num_problems=160",
    "loop.samples=4",
    "loop.temperature=0.5",
    f"loop.train={{method: dpo, {_LORA}, learning_rate: 1.0e-4, gradient_checkpointing: true}}",
    "gate={looks: 4, pass_at_k: {num_problems: 48}, sentinels: {margin: 0.10}}",
    "sampler.max_model_len=1024",
    "sampler.max_new_tokens=80",
    "verify.num_processes=2",
    "stop.rounds=1",
    "final.num_problems=80",
)


def overrides(model: Path) -> list[str]:
    """What makes the config small enough for minutes; the learning rates are those of a small model."""
    return [f"base={json.dumps(str(model))}", *_SMALL]


def run_campaign(work: Work) -> None:
    """Run it, and say what its trainings and its memory came to."""
    home, log = work.place / "home", work.place / "campaign.log"
    command = [sys.executable, "-m", "ratchet", "run", CONFIG, *overrides(work.model), "--json"]
    with readings() as memory, log.open("wb") as out:
        done = subprocess.run(
            command, env=os.environ | {"RATCHET_HOME": str(home)}, stdout=out, stderr=subprocess.STDOUT
        )
    lines = log.read_text(errors="replace")
    print(lines)
    if done.returncode:
        last = (lines.strip().splitlines() or ["it said nothing"])[-1]
        raise Failed(f"`ratchet run` ended with code {done.returncode}: {last}")
    run = home / "runs" / "loop"
    summary = json.loads((run / "summary.json").read_text())
    work.found("campaign", summary["seconds"], "s")
    _say_memory(work, memory, objects(run / "journal.jsonl"))
    _say_trainings(work, objects(run / "metrics.jsonl"))
    if not summary["rounds"]:
        raise Failed(f"the campaign ended before its round: {summary['stop_reason']}")
    record = json.loads((run / "rounds" / "001" / "round.json").read_text())
    if not record["challenger"]:
        raise Failed(f"the round has no challenger: {record['decision']['reason']}")
    work.found("strict of 80 sealed problems, warm start", 100 * summary["baseline"], "%")
    work.found("champion", 100 * summary["best"], "%")
    work.found("rounds accepted", summary["accepted"], "of 1")


def _say_memory(work: Work, memory: Sequence[Reading], journal: Sequence[dict[str, Any]]) -> None:
    training = within(memory, journal, ("rounds/000/train", "rounds/001/train"))
    if not training:
        raise Failed("no GPU memory was read while the campaign trained, by its journal")
    before, awake = memory[0].used, max(each.used for each in memory if each not in training)
    # The worker is not there yet, or still small, when the sampler has just fallen asleep.
    asleep = min(each.used for each in training)
    work.found("GPU memory before", before / GIB, "GiB")
    work.found("at most while sampling", awake / GIB, "GiB")
    work.found("sampler asleep", asleep / GIB, "GiB")
    work.found("at most while training", max(each.used for each in training) / GIB, "GiB")
    if asleep - before > (awake - before) / 2:
        raise Failed("the sleeping sampler keeps more than half of the GPU memory that it had")


def within(
    memory: Sequence[Reading], journal: Sequence[dict[str, Any]], stages: Sequence[str]
) -> list[Reading]:
    """The readings that fall into the time of these stages of a run's journal."""
    spans = [(each["time"] - each["seconds"], each["time"]) for each in journal if each["stage"] in stages]
    return [each for each in memory if any(begin <= each.time <= end for begin, end in spans)]


def _say_trainings(work: Work, metrics: Sequence[dict[str, Any]]) -> None:
    for number, name in ((0, "SFT"), (1, "DPO")):
        steps = [each for each in metrics if each["round"] == number and "loss" in each]
        if len(steps) < 2:
            continue
        work.found(f"{name}, a step", (steps[-1]["time"] - steps[0]["time"]) / (len(steps) - 1), "s")
        work.found(f"{name}, its worker's peak", max(each["memory_mib"] for each in steps) / 1024, "GiB")

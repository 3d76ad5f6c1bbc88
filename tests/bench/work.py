"""The work that measurements share: the quickstart's settings, gold proofs to learn, and plain TRL."""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from configs.load import load
from configs.schema import Config
from configs.training import Train
from engine.disk.home import ratchet_home
from engine.models.base import resolve_base
from engine.models.prompts import messages
from engine.plan.machine import detect_machine
from engine.plan.plan import Plan, make_plan
from engine.plan.precision import settle
from engine.records import Challenger, Problem, TrainingRow, TrainingSet, Turn
from engine.tasks import load_task, suite_of
from engine.train.driver import train

CONFIG = "configs/quickstart.yaml"


def settings(*overrides: str) -> tuple[Config, Plan, Path]:
    """The quickstart's config, its plan on this machine, and the directory of its base."""
    machine = detect_machine(ratchet_home())
    config = settle(load(CONFIG, list(overrides)), machine)
    return (
        config,
        make_plan(config, machine, ratchet_home()),
        resolve_base(config.base, ratchet_home()),
    )


def system_of(config: Config) -> str:
    """The config's system message, or that of its task."""
    return load_task(config.task.name).system if config.system is None else config.system


def gold_rows(config: Config, problems: list[Problem]) -> list[TrainingRow]:
    return [
        TrainingRow(
            problem_id=problem.id,
            chat=messages(system_of(config), problem.turns),
            chosen=problem.gold[0],
            story=problem.story,
        )
        for problem in problems
    ]


def draw(config: Config, num: int, split: str, start: int = 0, questions: int = 1) -> list[Problem]:
    return suite_of(config).draw(num, split=split, seed=0, start=start, questions=questions)


def as_chat(turns: Sequence[Turn] | str) -> list[dict[str, str]]:
    """A chat in the form that the packages' documentation asks for."""
    return [{"role": turn.role, "content": turn.text} for turn in turns if isinstance(turn, Turn)]


def as_trl(rows: list[TrainingRow]) -> list[dict[str, Any]]:
    """Rows in the form that TRL's documentation asks for."""
    return [
        {
            "prompt": as_chat(row.chat),
            "completion": [{"role": "assistant", "content": row.chosen}],
        }
        for row in rows
    ]


def train_ours(config: Config, plan: Plan, base: Path, rows: list[TrainingRow], out: Path) -> Challenger:
    workers = plan.workers["loop.train"]
    outcome = train(config.loop.train, TrainingSet.of(rows), parent=base, out=out, workers=workers, seed=0)
    assert isinstance(outcome, Challenger), outcome
    return outcome


def raw_engine(config: Config) -> dict[str, Any]:
    """Settings that give raw vLLM the size of our sampler; all others are its defaults."""
    return {
        "dtype": config.sampler.dtype,
        "max_model_len": config.sampler.max_model_len,
        "max_num_seqs": config.sampler.max_num_seqs,
        "kv_cache_memory_bytes": int(config.sampler.kv_cache_gib * 2**30),
        "enforce_eager": not config.sampler.compile,
    }


def run_anew(module: str, environment: dict[str, str], *arguments: str) -> str:
    """Run a module in a fresh process and return what it prints."""
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def train_plainly(model: Path, rows: Path, out: Path, settings: Train) -> float:
    """TRL's SFTTrainer with its defaults on a file of `as_trl` rows. Returns non-padding tokens a second.

    Only rate, epochs, batch and LoRA are set, so that it does the same work. The adapter is left in `out`.
    """
    from datasets import Dataset
    from peft import LoraConfig
    from trl import SFTConfig, SFTTrainer

    trainer = SFTTrainer(
        model=str(model),
        args=SFTConfig(
            output_dir=str(out / "checkpoints"),
            per_device_train_batch_size=settings.batch_size,
            num_train_epochs=settings.epochs,
            learning_rate=settings.learning_rate,
            use_cpu=True,
            report_to="none",
            disable_tqdm=True,
        ),
        train_dataset=Dataset.from_list(json.loads(rows.read_text())),
        peft_config=LoraConfig(
            r=settings.lora_rank,
            lora_alpha=settings.lora_alpha,
            target_modules="all-linear",
            task_type="CAUSAL_LM",
        ),
    )
    num_tokens = sum(len(row["input_ids"]) for row in trainer.train_dataset) * settings.epochs
    began = time.perf_counter()
    trainer.train()
    seconds = time.perf_counter() - began
    trainer.save_model(str(out / "adapter"))
    return float(num_tokens / seconds)

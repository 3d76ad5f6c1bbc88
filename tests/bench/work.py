"""The work that measurements share: the quickstart's settings, gold proofs to learn, and plain TRL."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from configs.load import load
from configs.schema import Config, Train
from engine.curate.preferences import training_set
from engine.disk.home import ratchet_home
from engine.models.base import resolve_base
from engine.plan.machine import detect_machine
from engine.plan.plan import Plan, make_plan
from engine.records import Challenger, Problem, TrainingRow
from engine.tasks import Suite
from engine.train.driver import train

CONFIG = "configs/quickstart.yaml"


def settings(*overrides: str) -> tuple[Config, Plan, Path]:
    """The quickstart's config, its plan on this machine, and the directory of its base."""
    config = load(CONFIG, list(overrides))
    return (
        config,
        make_plan(config, detect_machine(ratchet_home()), ratchet_home()),
        resolve_base(config.base, ratchet_home()),
    )


def gold_rows(config: Config, problems: list[Problem]) -> list[TrainingRow]:
    return [TrainingRow.of(problem, problem.gold_text, system=config.system) for problem in problems]


def draw(config: Config, num: int, split: str, start: int = 0, questions: int = 1) -> list[Problem]:
    suite = Suite(config.task.name, config.task.slices)
    return suite.draw(num, split=split, seed=0, start=start, questions=questions)


def as_trl(rows: list[TrainingRow]) -> list[dict[str, Any]]:
    """Rows in the form that TRL's documentation asks for."""
    return [
        {
            "prompt": [
                {"role": "system", "content": row.system},
                {"role": "user", "content": row.prompt},
            ],
            "completion": [{"role": "assistant", "content": row.chosen}],
        }
        for row in rows
    ]


def train_ours(config: Config, plan: Plan, base: Path, rows: list[TrainingRow], out: Path) -> Challenger:
    outcome = train(config.train, training_set("sft", rows), parent=base, out=out, workers=plan.train, seed=0)
    assert isinstance(outcome, Challenger), outcome
    return outcome


def raw_engine(config: Config) -> dict[str, Any]:
    """What raw vLLM is told, so that it is of our sampler's size; all else is its default."""
    return {
        "dtype": config.sampler.dtype,
        "max_model_len": config.sampler.max_model_len,
        "max_num_seqs": config.sampler.max_num_seqs,
        "kv_cache_memory_bytes": int(config.sampler.kv_cache_gib * 2**30),
        "enforce_eager": not config.sampler.compile,
    }


def run_anew(module: str, environment: dict[str, str], *arguments: str) -> str:
    """What a module prints that is run in a fresh process."""
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def train_plainly(model: Path, rows: Path, out: Path, settings: Train) -> float:
    """TRL's SFTTrainer with its defaults on a file of `as_trl` rows. Returns non-padding tokens a second.

    What is set is what would else be other work: rate, epochs, batch, LoRA. The adapter is left in `out`.
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

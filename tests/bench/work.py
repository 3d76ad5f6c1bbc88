"""The work that measurements share: the quickstart's settings, gold proofs to learn, and plain TRL."""

import json
from pathlib import Path
from typing import Any

from configs.load import load
from configs.schema import Config, Train
from engine.machine import detect_machine
from engine.models import home, resolve_base
from engine.plan import Plan, make_plan
from engine.records import Problem, TrainingRow
from engine.tasks import Suite

CONFIG = "configs/quickstart.yaml"


def settings(*overrides: str) -> tuple[Config, Plan, Path]:
    """The quickstart's config, its plan on this machine, and the directory of its base."""
    config = load(CONFIG, list(overrides))
    return config, make_plan(config, detect_machine(home()), home()), resolve_base(config.base, home())


def gold_rows(config: Config, problems: list[Problem]) -> list[TrainingRow]:
    return [
        TrainingRow(problem_id=p.id, prompt=p.prompt, chosen=p.gold_text, system=config.system)
        for p in problems
    ]


def draw(config: Config, num: int, split: str, start: int = 0) -> list[Problem]:
    return Suite(config.task.name, config.task.slices).draw(num, split=split, seed=0, start=start)


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


def train_plainly(model: Path, rows: Path, out: Path, train: Train) -> float:
    """TRL's SFTTrainer with its defaults on a file of `as_trl` rows. Returns non-padding tokens a second.

    What is set is what would else be other work: rate, epochs, batch, LoRA. The adapter is left in `out`.
    """
    import time

    from datasets import Dataset
    from peft import LoraConfig
    from trl import SFTConfig, SFTTrainer

    trainer = SFTTrainer(
        model=str(model),
        args=SFTConfig(
            output_dir=str(out / "checkpoints"),
            per_device_train_batch_size=train.batch_size,
            num_train_epochs=train.epochs,
            learning_rate=train.learning_rate,
            use_cpu=True,
            report_to="none",
            disable_tqdm=True,
        ),
        train_dataset=Dataset.from_list(json.loads(rows.read_text())),
        peft_config=LoraConfig(
            r=train.lora_rank,
            lora_alpha=train.lora_alpha,
            target_modules="all-linear",
            task_type="CAUSAL_LM",
        ),
    )
    num_tokens = sum(len(row["input_ids"]) for row in trainer.train_dataset) * train.epochs
    began = time.perf_counter()
    trainer.train()
    seconds = time.perf_counter() - began
    trainer.save_model(str(out / "adapter"))
    return float(num_tokens / seconds)

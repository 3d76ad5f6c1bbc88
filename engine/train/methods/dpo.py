"""DPO on preference pairs, with an SFT term on the chosen answer."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.schema import Train
from engine.models.prompts import messages
from engine.records import TrainingRow
from engine.train.order import Material

if TYPE_CHECKING:
    from transformers import PreTrainedModel, Trainer


def _dpo(
    common: dict[str, Any],
    config: Train,
    model: "PreTrainedModel",
    tokenizer: Any,
    material: Material,
    lora: Any,
    watcher: Any,
    *,
    shared: Path,
) -> tuple["Trainer", int]:
    import torch
    from datasets import Dataset, load_from_disk
    from trl import DPOConfig, DPOTrainer

    def pair(row: TrainingRow) -> dict[str, str]:
        prompt = tokenizer.apply_chat_template(
            messages(row.system, row.prompt), add_generation_prompt=True, tokenize=False
        )
        return {"prompt": prompt, "chosen": row.chosen, "rejected": row.rejected}

    # The reference's log-probabilities are cached beside the pairs' own files: one set for all workers.
    group = torch.distributed.is_initialized()
    if not shared.exists() and not (group and torch.distributed.get_rank()):
        for name, rows in (("learnt", material.learnt), ("held", material.held)):
            if rows:
                Dataset.from_list([pair(row) for row in rows]).save_to_disk(f"{shared}.part/{name}")
        os.replace(f"{shared}.part", shared)
    if group:
        torch.distributed.barrier()
    trainer = DPOTrainer(
        model,
        args=DPOConfig(
            **common,
            beta=config.beta,
            loss_type=["sigmoid", "sft"],
            loss_weights=[1.0, config.sft_weight],
            precompute_ref_log_probs=True,
        ),
        train_dataset=load_from_disk(f"{shared}/learnt"),
        eval_dataset=load_from_disk(f"{shared}/held") if material.held else None,
        processing_class=tokenizer,
        peft_config=lora,
        callbacks=[watcher],
    )
    data = trainer.train_dataset
    a_pass = sum(2 * len(d["prompt_ids"]) + len(d["chosen_ids"]) + len(d["rejected_ids"]) for d in data)
    return trainer, int(a_pass * config.epochs)

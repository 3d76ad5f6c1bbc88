"""SFT and RFT: the loss on answers, and on rows to hold the distance to the parent."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from configs.training import Train
from engine.records import Role, TrainFault, TrainingRow
from engine.train.faults import Stopped
from engine.train.job import Job
from engine.train.methods import TokenisedText, tokenised
from engine.train.order import WINDOW, Material, packed, training_order

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer


def tokens(row: TrainingRow, tokenizer: "PreTrainedTokenizerBase", config: Train) -> list[TokenisedText]:
    """The chat with its answer, which is learnt; on a row to hold, all tokens have a loss."""
    if row.role is Role.HOLD:
        # Any beginning of the base's own text holds the model in place, so that a long one may be cut.
        text = tokenised(row, row.chosen, tokenizer, "held to the parent")
        return [replace(text, ids=text.ids[: config.max_length], learnt_from=1)]
    return [tokenised(row, row.chosen, tokenizer, "learnt")]


def _example(row: TrainingRow, tokenizer: "PreTrainedTokenizerBase", config: Train) -> dict[str, Any]:
    """A row as `HoldingSFTTrainer` takes it."""
    (text,) = tokens(row, tokenizer, config)
    return {
        "input_ids": text.ids,
        "labels": [-100] * text.learnt_from + text.ids[text.learnt_from :],
        "hold": row.role is Role.HOLD,
        "weight": row.weight,
    }


def _packs(examples: list[dict[str, Any]], config: Train) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Packs of rows, and the arguments with which one of them is a micro-batch."""
    packs, accumulation = packed(
        [len(example["input_ids"]) for example in examples],
        batch_size=config.batch_size,
        capacity=config.micro_batch_size * config.max_length,
        num_workers=config.num_workers,
    )
    items = [{"rows": [examples[row] for row in pack]} for pack in packs]
    return items, {"per_device_train_batch_size": 1, "gradient_accumulation_steps": accumulation}


def trainer(
    job: Job, model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase", material: Material
) -> tuple["Trainer", int]:
    """TRL's SFT trainer with our loss, over rows in our order: see `engine.train.methods.Method`.

    With `packing` an item of its data set is a pack of rows, which is a micro-batch.
    """
    from datasets import Dataset
    from trl import SFTConfig

    from engine.train.arguments import adapter, arguments
    from engine.train.loss import HoldingSFTTrainer

    config = job.config
    rows = [*material.learn, *material.hold]
    examples = [_example(row, tokenizer, config) for row in rows]
    order = training_order(
        [len(example["input_ids"]) for example in examples],
        stories=[row.story for row in rows],
        roles=[row.role for row in rows],
        epochs=config.epochs,
        batch_size=config.batch_size,
        seed=job.seed,
        # Where nothing is padded, batches of like length would only fill the packs of a step unevenly.
        window=1 if config.packing else WINDOW,
    )
    if not order:
        reason = f"epochs={config.epochs:g} of {len(rows)} rows is not one row"
        raise Stopped(TrainFault.NOTHING_TO_LEARN, reason)
    examples = [examples[row] for row in order]
    items, micro_batches = _packs(examples, config) if config.packing else (examples, {})
    validation = [_example(row, tokenizer, config) for row in material.validation]
    lora = adapter(config)
    sft = HoldingSFTTrainer(
        model,
        args=SFTConfig(
            **arguments(job, material)
            | {
                "num_train_epochs": 1,
                "train_sampling_strategy": "sequential",
                "include_num_input_tokens_seen": "non_padding",
                # The columns are ours, and TRL has nothing to add to them.
                "remove_unused_columns": False,
                "dataset_kwargs": {"skip_prepare_dataset": True},
            }
            | micro_batches
        ),
        train_dataset=Dataset.from_list(items),
        eval_dataset=Dataset.from_list(validation) if validation else None,
        processing_class=tokenizer,
        peft_config=lora,
        packing=config.packing,
    )
    sft.remember_parent([example["input_ids"] for example in examples if example["hold"]])
    return sft, sum(len(example["input_ids"]) for example in examples)

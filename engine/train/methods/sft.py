"""SFT and RFT: the loss on answers, and on rehearsal rows the distance to the parent."""

import copy
from typing import TYPE_CHECKING, Any

from configs.schema import Train
from engine.models.prompts import completion_ids, messages, prompt_ids
from engine.records import TrainFault, TrainingRow
from engine.train.loss import sft_trainer
from engine.train.order import Material, training_order
from engine.train.watch import Stopped

if TYPE_CHECKING:
    from transformers import PreTrainedModel, Trainer


def _sft(
    common: dict[str, Any],
    config: Train,
    model: "PreTrainedModel",
    tokenizer: Any,
    material: Material,
    lora: Any,
    watcher: Any,
) -> tuple["Trainer", int]:
    from datasets import Dataset
    from trl import SFTConfig

    def example(row: TrainingRow, *, rehearsed: bool) -> dict[str, Any]:
        question = prompt_ids(tokenizer, messages(row.system, row.prompt)) if row.prompt else []
        answer = completion_ids(tokenizer, row.chosen, ends=row.ends)
        ids = (question + answer)[: config.max_length]
        # A rehearsal row is labelled from its first token: see `sft_trainer`.
        ignored = 0 if rehearsed else max(1, len(question))
        return {"input_ids": ids, "labels": [-100] * ignored + ids[ignored:]}

    learnt, rehearsal, held = material
    examples = [example(row, rehearsed=False) for row in learnt]
    examples += [example(row, rehearsed=True) for row in rehearsal]
    order = training_order(
        [len(example["input_ids"]) for example in examples],
        stories=[row.story or f"row {i}" for i, row in enumerate(learnt)],
        num_rehearsal=len(rehearsal),
        epochs=config.epochs,
        batch_size=config.batch_size,
        seed=common["data_seed"],
    )
    if not order:
        reason = f"epochs={config.epochs:g} of {len(examples)} rows is not one row"
        raise Stopped(TrainFault.NOTHING_TO_LEARN, reason)
    examples = [examples[row] for row in order]
    parent = copy.deepcopy(model).eval() if rehearsal and lora is None else None
    trainer = sft_trainer()(
        model,
        args=SFTConfig(
            **common | {"num_train_epochs": 1},
            train_sampling_strategy="sequential",
            include_num_input_tokens_seen="non_padding",
        ),
        train_dataset=Dataset.from_list(examples),
        eval_dataset=Dataset.from_list([example(row, rehearsed=False) for row in held]) if held else None,
        processing_class=tokenizer,
        peft_config=lora,
        callbacks=[watcher],
    )
    if parent is not None:
        # In the precision of what is trained: a rounded parent would be another model to be drawn to.
        trainer.parent = parent.to(trainer.args.device)
    return trainer, sum(len(example["input_ids"]) for example in examples)

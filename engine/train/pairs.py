"""TRL's DPO trainer on pairs that are ids already. Only workers import this file."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset, load_from_disk
from trl import DPOTrainer
from trl.trainer import dpo_trainer

Pairs = list[dict[str, list[int]]]

# TRL would name the reference's figures by a hash of all weights, which takes a minute for 8B. Ours belong to
# one attempt.
dpo_trainer.hash_module = lambda _: "reference"


class PairTrainer(DPOTrainer):
    """DPOTrainer that takes the columns ``prompt_ids``, ``chosen_ids`` and ``rejected_ids`` as they are.

    TRL would make them from text that is rendered from the chat before: a tokenizer that adds a BOS to what
    its template already begins with would then give two.
    """

    def _prepare_dataset(self, dataset: Dataset, *_: Any) -> Dataset:
        return dataset


def shared_pairs(place: Path, make: Callable[[], tuple[Pairs, Pairs]]) -> tuple[Dataset, Dataset | None]:
    """The pairs to learn and those for validation, on disk as one set for all workers.

    TRL keeps the reference model's log-probabilities beside the files of a set, so that they too are computed
    once. An earlier worker of the same attempt may have left both.
    """
    group = torch.distributed.is_initialized()
    if not place.exists() and not (group and torch.distributed.get_rank()):
        for name, pairs in zip(("learn", "validation"), make(), strict=True):
            if pairs:
                Dataset.from_list(pairs).save_to_disk(f"{place}.part/{name}")
        os.replace(f"{place}.part", place)
    if group:
        torch.distributed.barrier()
    validation = place / "validation"
    return load_from_disk(place / "learn"), load_from_disk(validation) if validation.exists() else None

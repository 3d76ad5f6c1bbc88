"""Why a training ended without a model: errors that the driver and its workers tell apart."""

from collections.abc import Sequence
from pathlib import Path

from engine.records import TrainFailure, TrainFault
from engine.train.job import DiskFull

_DISK_FULL = ("No space left on device", "unexpected pos", "PytorchStreamWriter failed")
"""The operating system's message, and those of torch.save, which does not pass that error on."""


class Stopped(Exception):
    """Training that must not continue, with its named fault."""

    def __init__(self, fault: TrainFault, reason: str) -> None:
        super().__init__(reason)
        self.fault, self.reason = fault, reason


def fault_of(error: Exception, places: Sequence[Path]) -> TrainFailure | DiskFull | None:
    """Tell whether a worker's error means that memory or disk is used up; None for any other error.

    `places` are the directories that a worker writes to: the one with the least space left is named.
    """
    import torch

    from engine.plan.machine import free_disk

    text = str(error)
    memory = isinstance(error, torch.OutOfMemoryError | MemoryError)
    if memory or (isinstance(error, RuntimeError) and "allocate memory" in text):
        reason = text.splitlines()[0] if text else "a worker's memory is used up"
        return TrainFailure(fault=TrainFault.OUT_OF_MEMORY, reason=reason)
    if any(sign in text for sign in _DISK_FULL):
        return DiskFull(place=min(places, key=free_disk))
    return None

"""Why a training ended without a model: errors that the driver and its workers tell apart."""

from collections.abc import Sequence
from pathlib import Path

from engine.errors import Mistake
from engine.failures import MEMORY, can_go_away, fault_of_own_file, kind_of, origin_of
from engine.records import TrainFailure, TrainFault
from engine.train.job import DiskFull, Refused

_DISK_FULL = ("No space left on device", "unexpected pos", "PytorchStreamWriter failed")
"""The operating system's message, and those of torch.save, which does not pass that error on."""


class Stopped(Exception):
    """Training that must not continue, with its named fault."""

    def __init__(self, fault: TrainFault, reason: str) -> None:
        super().__init__(reason)
        self.fault, self.reason = fault, reason


class Ended(Exception):
    """The outcome of a training in which one of several workers failed, as JSON; it ends the others too."""


def fault_of(error: Exception, places: Sequence[Path]) -> TrainFailure | DiskFull | Refused | None:
    """What a worker's error makes of its training; None where the worker may be started again.

    `places` are the directories that a worker writes to: the one with the least space left is named. To be
    asked in the worker, because the traceback does not leave it.
    """
    from engine.plan.machine import free_disk

    text = str(error)
    if any(sign in text for sign in _DISK_FULL):
        return DiskFull(place=min(places, key=free_disk))
    if kind_of(error) is MEMORY:
        reason = text.splitlines()[0] if text else "a worker's memory is used up"
        return TrainFailure(fault=TrainFault.OUT_OF_MEMORY, reason=reason)
    if can_go_away(error):
        return None
    if own := fault_of_own_file(error):
        return Refused(sentence=str(own))
    if isinstance(error, Mistake):
        return Refused(sentence=text)
    return TrainFailure(fault=TrainFault.RAISED, reason=origin_of(error))

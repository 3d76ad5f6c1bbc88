"""The number type of a model's arithmetic, where the settings leave it to the machine."""

from typing import Any, TypeVar

from pydantic import BaseModel

from configs.schema import Resources
from engine.plan.machine import Machine

T = TypeVar("T", bound=BaseModel)


def settle(settings: T, machine: Machine) -> T:
    """The settings with every ``dtype: auto`` decided for this machine, so that a run records what it is.

    GPUs that the settings declare count in place of the machine's.
    """
    declared = getattr(settings, "resources", Resources()).num_gpus
    on_gpu = bool(machine.num_gpus if declared is None else declared)
    dtype = "bfloat16" if on_gpu or machine.cpu_bf16 else "float32"
    return type(settings).model_validate(_decided(settings.model_dump(mode="json"), dtype))


def _decided(node: Any, dtype: str) -> Any:
    if isinstance(node, list):
        return [_decided(each, dtype) for each in node]
    if not isinstance(node, dict):
        return node
    return {
        key: dtype if (key, value) == ("dtype", "auto") else _decided(value, dtype)
        for key, value in node.items()
    }

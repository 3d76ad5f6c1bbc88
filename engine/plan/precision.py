"""The number type of a model's arithmetic, where the settings leave it to the machine."""

from typing import Any, TypeVar

from pydantic import BaseModel

from engine.plan.machine import Machine

T = TypeVar("T", bound=BaseModel)


def settle(settings: T, machine: Machine, num_gpus: int | None = None) -> T:
    """The settings with every ``dtype: auto`` decided for this machine, so that a run records what it is.

    `num_gpus` are the GPUs that the settings declare; None: all that there are.
    """
    on_gpu = bool(machine.num_gpus if num_gpus is None else num_gpus)
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

"""Building blocks of a config: the strict leaf, and types of values with their limits."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field


def _own(run_id: str) -> str:
    if run_id == "latest":
        raise ValueError("'latest' is the link to the newest run and cannot be a run's id: choose another")
    return run_id


Share = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=80)]
"""Short, because a run id is made of the time and this name."""
RunId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100), AfterValidator(_own)]
Dtype = Literal["auto", "bfloat16", "float32"]
"""The number type of a model's arithmetic. ``auto`` is bfloat16 on GPUs and on CPUs with instructions for it.
On others it is float32, because bfloat16 takes about eight times as long there. A run records which it is."""
OwnFile = Annotated[str, Field(pattern=r"\.py$")]
"""Path of a user's own Python file."""


class Leaf(BaseModel):
    """A part of a config: frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


OWN = "own"
"""Tag of the alternative for a user's own file."""


def by(key: str, default: str) -> Discriminator:
    """Chooses the alternative of a union that `key` names, `default` where it is not given.

    A path of a Python file chooses the alternative tagged `OWN`. Any other value is its own tag, so that an
    unknown one is refused by the union itself.
    """

    def tag(value: Any) -> str:
        named = value.get(key, default) if isinstance(value, dict) else getattr(value, key, default)
        return OWN if isinstance(named, str) and named.endswith(".py") else str(named)

    tag_of: Callable[[Any], str] = tag
    return Discriminator(tag_of)

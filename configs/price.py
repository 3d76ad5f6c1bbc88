"""What a machine costs, for the records of runs and experiments."""

from typing import Annotated, Literal

from pydantic import Field

from configs.base import Leaf


class Price(Leaf):
    """What the machine costs."""

    amount: Annotated[float, Field(ge=0)]
    per: Literal["hour", "core_hour", "gpu_hour"] = "core_hour"
    """``hour`` is an hour of everything that the run holds, however many nodes that are."""
    currency: Annotated[str, Field(min_length=1, max_length=20)] = "USD"

    def of(self, *, hours: float, core_hours: float, gpu_hours: float) -> float:
        """The cost of so much time."""
        return self.amount * {"hour": hours, "core_hour": core_hours, "gpu_hour": gpu_hours}[self.per]

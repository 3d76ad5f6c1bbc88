"""Settings of a loop: one leaf for each loop, and the union of them that a config's ``loop`` holds.

A key of another loop is an error. A loop of a user's own is the path of a Python file (`loops/loop.py`).
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, Tag

from configs.base import OWN, Count, Leaf, OwnFile, Share, by
from configs.training import Sft, Train, Training


class Probe(Leaf):
    """The champion's evaluation at the start of a round; weaknesses are mined from it."""

    num_problems: Count = 96
    false_discovery: Share = 0.1


class OakDpo(Leaf):
    """SOKRATES: how the champion's own proofs become training data."""

    name: Literal["oak_dpo"] = "oak_dpo"
    probe: Probe = Probe()
    aim: Literal["uniform", "weak"] = "weak"
    """``weak`` aims half of the problems at mined weaknesses; ``uniform`` only reports them."""
    num_problems: Count = 120
    questions: Count = 1
    """Number of problems that share one story: see `WarmStart.questions`."""
    samples: Annotated[int, Field(ge=2)] = 4
    temperature: Annotated[float, Field(gt=0)] = 0.8
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    preference: Literal["sokrates", "answer_only"] = "sokrates"
    min_gap: Annotated[float, Field(ge=0)] = 0.1
    """Smallest difference of score that makes a pair."""
    proofs_per_problem: Count = 2
    """RFT: distinct verified proofs kept of one problem."""
    flip: bool = False
    """Swap chosen and rejected: for showing a refusal."""
    train: Training = Sft()

    @property
    def trains(self) -> Mapping[str, Train]:
        """The trainings of a round by their dotted keys in a config."""
        return {"loop.train": self.train}


class OwnLoop(Leaf):
    """A loop of a user's own."""

    name: OwnFile
    settings: dict[str, Any] = {}
    """Read and checked by the file itself."""
    questions: Count = 1
    """Number of problems that share one story: see `WarmStart.questions`."""
    train: Training = Sft()

    @property
    def trains(self) -> Mapping[str, Train]:
        """The trainings of a round by their dotted keys in a config."""
        return {"loop.train": self.train}


Loop: TypeAlias = Annotated[
    Annotated[OakDpo, Tag("oak_dpo")] | Annotated[OwnLoop, Tag(OWN)], by("name", "oak_dpo")
]

"""Settings of a loop: one leaf for each loop, and the union of them that a config's ``loop`` holds.

A key of another loop is an error. A loop of a user's own is the path of a Python file (`loops/loop.py`).
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import BeforeValidator, Field, Tag, model_validator

from configs.base import OWN, Count, Leaf, OwnFile, Share, by
from configs.explain import describe
from configs.loop_parts import Critique, Filter, Predictor
from configs.training import Dpo, Sft, Train, Training


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
    predictor: Predictor | None = None
    """The step-success predictor q̂, trained on what the round has sampled; None: there is none."""
    train: Training = Sft()

    @property
    def trains(self) -> Mapping[str, Train]:
        """The trainings of a round by their dotted keys in a config."""
        return {"loop.train": self.train}

    @property
    def aims(self) -> bool:
        """Whether problems are aimed at what is found weak."""
        return self.aim == "weak"

    @model_validator(mode="after")
    def _samples_are_left_to_allocate(self) -> "OakDpo":
        if self.predictor and self.predictor.allocate:
            self.predictor.allocate.require_left(self.samples)
        return self


Choose: TypeAlias = Literal["targeted", "random", "high_loss", "pass_rate", "diverse", "longest", "placebo"]
"""How candidates are chosen: see `ErrorDriven.choose`."""
_NEEDS_A_BUDGET = ("high_loss", "pass_rate", "diverse", "longest")
"""Ways to choose that say in which order candidates are taken: without a budget all would be."""


def _number_or_name(clusters: object) -> object:
    """Says at once everything that `ErrorDriven.clusters` may be."""
    if clusters in ("auto", "none"):
        return clusters
    if isinstance(clusters, int) and not isinstance(clusters, bool) and clusters > 1:
        return clusters
    raise ValueError(f"it must be auto, none, or a number of slices from 2 on, got {describe(clusters)}")


def _require_single_replies(loop: str, train: Train) -> None:
    """Refuse a training on pairs. Raises ValueError."""
    if train.TEXTS_A_ROW != 1:
        raise ValueError(
            f"{loop} learns single replies, so train.method must be sft, rft or a method of your own, got "
            f"{train.method}"
        )


class ErrorDriven(Leaf):
    """Error-driven improvement: find where the model is weak, make problems like these, learn what is right.

    Every way to choose samples the same number of problems, so that arms of an experiment differ in `choose`
    alone.
    """

    name: Literal["error_driven"] = "error_driven"
    probe: Probe = Probe()
    threshold: Annotated[float, Field(gt=1)] = 50.0
    """Perplexity above which a passage is weak, where a task has passages."""
    quantile: Share | None = None
    """In place of `threshold`: the share of the probe's passages that are less perplexing than a weak one."""
    clusters: Annotated[int | Literal["auto", "none"], BeforeValidator(_number_or_name)] = "auto"
    """Slices that are found among the probe's problems, by sentence embeddings of their texts. ``auto``: only
    where the task names no more than one, about one for every twelve problems of the probe. A number: as many
    as it says, in place of the task's own. ``none``: the task's own, whatever they are."""
    choose: Choose = "targeted"
    """``targeted``: half of the problems are aimed at weak slices, by quota, and are learnt in turn with the
    rest, which keeps the mixture. All others draw from the mixture: ``random`` takes candidates in any order,
    ``high_loss`` those that the model finds least likely, ``pass_rate`` those whose samples pass nearest to
    half of the time, ``diverse`` those farthest from each other, ``longest`` the longest; ``placebo`` takes
    what ``random`` does and shuffles the replies among the problems."""
    generate: Literal["task", "model"] = "task"
    """Where the aimed half comes from: from the task, or from the model, which writes variations of problems
    that it failed (``targeted``) or of any of the probe (all others). Of passages: the task's own, or the
    model's rewritings of them."""
    num_problems: Count = 120
    """Problems that are sampled, or passages that are scored; rewritings of passages are as many in all."""
    questions: Count = 1
    """Number of problems that share one story: see `WarmStart.questions`."""
    variations: Count = 5
    """Variations that the model writes of one failed problem or weak passage, with `generate` ``model``."""
    samples: Count = 4
    temperature: Annotated[float, Field(gt=0)] = 0.8
    """The temperature of answers, variations and revisions."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    replies_per_problem: Count = 2
    """Most distinct replies that are learnt of one problem."""
    filter: Filter = Filter()
    weigh: Literal["evenly", "uncertainty"] = "evenly"
    """``uncertainty``: a row weighs log(perplexity + 1) / log(100), at most 1, by the perplexity of its reply
    to the model; weights are then scaled to a mean of 1, so that the learning rate keeps its meaning."""
    critique: Critique | None = None
    learnt_tokens: Count | None = None
    """Tokens that one epoch learns at the most: whole rows are taken as long as they fit. Arms that are given
    the same number learn as much as each other. None: all rows."""
    train: Training = Sft()

    @property
    def trains(self) -> Mapping[str, Train]:
        """The trainings of a round by their dotted keys in a config."""
        return {"loop.train": self.train}

    @property
    def aims(self) -> bool:
        """Whether problems are aimed at what is found weak."""
        return self.choose == "targeted"

    @property
    def compares_meanings(self) -> bool:
        """Whether candidates are compared by sentence embeddings."""
        return self.filter.semantic or self.filter.min_distance > 0 or self.choose == "diverse"

    @property
    def needs_losses(self) -> bool:
        """Whether candidates are ranked or weighted by how likely the model finds them."""
        return self.choose == "high_loss" or self.weigh == "uncertainty" or self.filter.keep_share < 1

    @model_validator(mode="after")
    def _fits_together(self) -> "ErrorDriven":
        _require_single_replies(self.name, self.train)
        if self.choose in _NEEDS_A_BUDGET and self.learnt_tokens is None:
            raise ValueError(f"choose={self.choose} needs learnt_tokens, as without it everything is learnt")
        if self.choose == "pass_rate" and self.samples < 2:
            raise ValueError(
                "choose=pass_rate needs samples of 2 or more: of one sample every problem that is learnt "
                f"passes always, got {self.samples}"
            )
        return self


class Dreaming(Leaf):
    """How a stored fact comes back at night."""

    variations: Count = 20
    """Replies about a new fact that are learnt in a night, in as many wordings. 1: a fact with one question,
    and no dreams."""
    imagined: Annotated[int, Field(ge=0, le=20)] = 0
    """Questions about each new fact that the model writes itself, beside those by templates."""
    unknown: Annotated[float, Field(ge=0, le=4)] = 0.5
    """Questions about people of whom nobody told, for each reply about a fact. With too few of them a model
    that learns to answer forgets to say that it does not know."""
    adaptive: bool = True
    """Whether a fact that the model recalls already gets a quarter of the variations, so that the steps of a
    night follow from how much there is to learn."""


class Replay(Leaf):
    """Old facts beside the new ones."""

    share: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Share of the replies that are about facts of earlier nights; 0 replays none."""


class Sleep(Leaf):
    """Facts are told by day and learnt by night; a round is a day and a night."""

    name: Literal["sleep"] = "sleep"
    hippocampus: bool = True
    """Whether what is said is judged before it is stored: by importance, reality and contradiction. Off,
    every statement is stored."""
    extract: Literal["rule", "model", "both"] = "rule"
    """How statements are found in a talk: where its words are known, by the model itself, or in both ways."""
    dreams: Dreaming = Dreaming()
    replay: Replay = Replay()
    order: Literal["interleaved", "blocked"] = "interleaved"
    """``interleaved`` mixes the rows of all people; ``blocked`` learns each person's side by side."""
    targets: Literal["sft", "mixsd"] = "sft"
    """The replies that are learnt: those of the templates, or ``mixsd``, which the model writes itself, token
    by token partly with the fact before it and partly without (arXiv 2605.16865)."""
    train: Training = Sft()
    questions: ClassVar[int] = 1
    """Number of problems that share one story: see `WarmStart.questions`."""

    @property
    def trains(self) -> Mapping[str, Train]:
        """The trainings of a round by their dotted keys in a config."""
        return {"loop.train": self.train}

    @model_validator(mode="after")
    def _learns_single_replies(self) -> "Sleep":
        _require_single_replies(self.name, self.train)
        return self


class Online(Leaf):
    """Semi-online DPO: pairs of the parent's own replies, ranked by scorer or judge (arXiv 2506.21495)."""

    num_problems: Count = 60
    """Most questions of the set ``train`` that the parent answers in a round of pairs."""
    samples: Annotated[int, Field(ge=2, le=64)] = 4
    """Replies to each, of which a judge compares the first two; a scorer tells all of them apart."""
    temperature: Annotated[float, Field(gt=0)] = 0.8
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0


Learns: TypeAlias = Literal["sft", "dpo"]
"""What a round of `Domain` learns: examples, or preference pairs."""


def _on_gold(train: object) -> object:
    """A training whose method is not named is on the user's own replies, not on verified ones."""
    return {"method": "sft", **train} if isinstance(train, dict) else train


class Domain(Leaf):
    """A user's examples are learnt, then their preferences; what is added later is learnt beside the old."""

    name: Literal["domain"] = "domain"
    schedule: Annotated[list[Learns], Field(min_length=1)] = ["sft", "dpo"]
    """What each round learns, examples or pairs; after the last of them it begins anew."""
    choose: Literal["random", "longest", "best", "middle", "worst"] = "random"
    """Which come first of what the parent has not learnt, where not all are taken: any, those with the
    longest replies, or by the score of `quality.keep_share` the best, those near the middle, or the worst."""
    num_examples: Count = 2000
    """Most examples that a round learns of those that its parent has not learnt."""
    replay: Annotated[float, Field(ge=0, lt=1)] = 0.25
    """Share of a round's rows that its parent has learnt before, where there are such rows."""
    online: Online | None = None
    """Where rounds of pairs also take pairs of the parent's own replies; None: the user's pairs alone."""
    sft: Annotated[Sft, BeforeValidator(_on_gold)] = Sft(method="sft")
    dpo: Dpo = Dpo()
    questions: ClassVar[int] = 1
    """Number of problems that share one story: see `WarmStart.questions`."""

    @property
    def trains(self) -> Mapping[str, Train]:
        """The trainings of a round by their dotted keys in a config."""
        trainings: dict[str, Train] = {"sft": self.sft, "dpo": self.dpo}
        return {f"loop.{kind}": trainings[kind] for kind in dict.fromkeys(self.schedule)}

    def kind_of(self, round: int) -> Learns:
        """What a round learns, from 1."""
        return self.schedule[(round - 1) % len(self.schedule)]


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
    Annotated[OakDpo, Tag("oak_dpo")]
    | Annotated[ErrorDriven, Tag("error_driven")]
    | Annotated[Sleep, Tag("sleep")]
    | Annotated[Domain, Tag("domain")]
    | Annotated[OwnLoop, Tag(OWN)],
    by("name", "oak_dpo"),
]

"""Settings of `ratchet curate` and of the first stage of the loop ``domain``: one leaf for each station."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from configs.base import Count, Leaf, Share
from configs.judging import Asked

_FromNothing = Annotated[float, Field(ge=0, le=1)]
_Path = Annotated[str, Field(min_length=1)]


class Language(Leaf):
    """Which languages are kept."""

    allowed: Annotated[list[Annotated[str, Field(pattern=r"^[a-z]{2}$")]], Field(min_length=1)]
    """Codes of ISO 639-1, such as ``en`` and ``de``."""
    least: _FromNothing = 0.6
    """Chance from which a text is taken to be in the language that is found; a text below it is kept."""


class Length(Leaf):
    """What still fits the model's context."""

    model: _Path | None = None
    """Directory of the model whose tokenizer counts. None: in a campaign its base, where that is a directory,
    else 1.4 tokens a word and 0.7 a symbol."""
    max_tokens: Count | None = None
    """Limit for the chat with its reply, for a pair with the longer one. None: in a campaign what its
    trainings and its sampler take, else 4,096."""


class Quality(Leaf):
    """Which heuristics of quality drop an example."""

    drop: list[str] | None = None
    """Names of heuristics, which `engine/corpus/README.md` lists. None: all of them."""
    keep_share: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of what the heuristics leave that is kept, the best first."""
    least_score: Annotated[int, Field(ge=1, le=5)] | None = None
    """Score by the `judge`, from 1 to 5, below which an example is dropped. None: it is asked for none."""


class Private(Leaf):
    """What happens to private data: addresses, numbers of cards and accounts, keys and tokens."""

    kinds: list[str] | None = None
    """Kinds that are looked for, which `engine/corpus/README.md` lists. None: all of them."""
    action: Literal["drop", "mask", "refuse"] = "mask"
    """``drop`` leaves the example out, ``mask`` puts a mark in place of what was found, ``refuse`` curates
    nothing at all."""


class Harm(Leaf):
    """What may not be learnt at all."""

    words: _Path | None = None
    """Path of a list of your own, one word or phrase a line. None: nothing is looked for."""
    action: Literal["drop", "refuse"] = "drop"
    """``refuse`` curates nothing at all."""
    judged: bool = False
    """Whether what the `judge` calls harmful is dropped too."""


class Contamination(Leaf):
    """What a model is evaluated on, and must not learn."""

    against: list[_Path] = []
    """Paths of JSONL and .txt files, and names of public sets, such as ``hub:openai/gsm8k/main/test``, which
    the package datasets reads from its cache or from the hub."""
    semantic: bool = False
    """Whether meanings are compared too, by sentence embeddings."""


class Duplicates(Leaf):
    """Which examples count as one. Exact duplicates always do."""

    near: bool = True
    """Whether what says almost the same with the same numbers and symbols is dropped; if not, it still stands
    in one set with its twin."""
    semantic: Share | None = None
    """Cosine of sentence embeddings from which two examples are twins; None compares no meanings."""


class Pairs(Leaf):
    """Which preference pairs teach a preference."""

    length_ratio: Annotated[float, Field(gt=1)] = 3.0
    """A pair whose longer side has more than so many times the words of the other teaches length."""


class CurationShares(Leaf):
    """Shares of the examples; those of one story and near twins stay together."""

    train: _FromNothing = 0.8
    validation: _FromNothing = 0.1
    """For figures that steer a campaign, such as the choice among checkpoints. Early stopping looks at rows
    of ``train`` that a training holds back, its `validation_share`."""
    test: _FromNothing = 0.1


def _whole(shares: CurationShares) -> CurationShares:
    total = shares.train + shares.validation + shares.test
    if abs(total - 1) > 1e-6:
        raise ValueError(f"train, validation and test must sum to 1, got {total:g}")
    return shares


class Curation(Leaf):
    """What of a user's files is learnt, and what is kept for judging."""

    seed: int = 0
    """Which examples go to which set."""
    max_chars: Count = 100_000
    """Most characters of an example, all of its texts together."""
    language: Language | None = None
    """None: languages are not looked at."""
    length: Length = Length()
    quality: Quality = Quality()
    private: Private = Private()
    harm: Harm = Harm()
    contamination: Contamination = Contamination()
    duplicates: Duplicates = Duplicates()
    pairs: Pairs = Pairs()
    judge: Asked | None = None
    """A judge that looks at each example which is left in the end, for `quality.least_score`, `harm.judged`
    or both. It costs a request for each."""
    shares: Annotated[CurationShares, AfterValidator(_whole)] = CurationShares()

    @model_validator(mode="after")
    def _asks_a_judge(self) -> Self:
        asks = self.quality.least_score is not None or self.harm.judged
        if asks and self.judge is None:
            raise ValueError("quality.least_score and harm.judged need `judge: {url: …, model: …}`")
        if self.judge and not asks:
            raise ValueError("a judge is asked for something: set quality.least_score, harm.judged or both")
        return self

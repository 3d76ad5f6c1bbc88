"""Settings of a judge: a model behind an OpenAI-compatible endpoint that says which of two replies is better.

    gate:
      judge: {url: "https://api.example.com/v1", model: some-model, key: EXAMPLE_API_KEY}

A judge advises. It decides only where ``decides`` says so, and every decision shows which of the two it was.
"""

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from configs.base import Count, Leaf, Share


class Price(Leaf):
    """What a million tokens cost, in whatever currency `Judge.max_cost` is meant."""

    prompt: Annotated[float, Field(ge=0)]
    reply: Annotated[float, Field(ge=0)]


# These two show no value where they refuse one: a key may stand in it by mistake.
def _address(url: str) -> str:
    if not re.fullmatch(r"https?://[^\s?#@]+", url):
        raise ValueError("must be an http(s) address without user, password and query")
    return url


def _variable(key: str) -> str:
    if not re.fullmatch(r"[A-Z_][A-Z0-9_]*", key):
        raise ValueError("must be the name of an environment variable in capitals, not the key itself")
    return key


class Asked(Leaf):
    """A model that is asked, behind an OpenAI-compatible endpoint."""

    url: Annotated[str, AfterValidator(_address)]
    """Base URL of the API, such as ``http://127.0.0.1:8000/v1``."""
    model: Annotated[str, Field(min_length=1)]
    """The model that is asked, as the endpoint names it."""
    key: Annotated[str, AfterValidator(_variable)] | None = None
    """Name of the environment variable that holds the key, never the key itself; None for an endpoint that
    asks for none."""
    prompt: str | None = None
    """Path of a text file with the prompt; None: `engine/judge/pairwise.txt`, or of curation
    `engine/corpus/appraisal.txt`."""
    max_tokens: Count = 1024
    """Tokens of one of its replies. One that is cut off is no verdict."""
    limit: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """The field by which `max_tokens` is sent: some endpoints know only the newer one."""
    temperature: Annotated[float, Field(ge=0, le=2)] | None = 0.0
    """None is not sent, for an endpoint that refuses it."""
    seed: int | None = 0
    """None is not sent either."""
    num_parallel: Annotated[int, Field(ge=1, le=256)] = 4
    """Requests that are under way at a time."""
    seconds: Annotated[float, Field(gt=0)] = 120.0
    """Longest that one request may take."""
    retries: Annotated[int, Field(ge=0, le=20)] = 6
    """Times that a request is sent again where the endpoint is busy, fails or does not answer."""
    minutes: Annotated[float, Field(gt=0)] = 120.0
    """Longest that it may take to answer all that is asked at a time, such as the pairs of one look, retries
    included. What was answered by then is kept."""
    price: Price | None = None
    max_cost: Annotated[float, Field(gt=0)] | None = None
    """Once a run has spent so much, no further request is begun; those under way may exceed it."""
    max_undecided: Share = 0.05
    """Largest share of pairs, or of examples, without a verdict; more of them stop the round, or curation."""

    @model_validator(mode="after")
    def _cost_needs_a_price(self) -> Self:
        if self.max_cost is not None and self.price is None:
            raise ValueError("max_cost needs `price: {prompt: …, reply: …}`, the cost of a million tokens")
        return self


class Judge(Asked):
    """A judge that says which of two replies is better."""

    decides: bool = False
    """Whether its preferences decide the gate's test. Else the task's own verifiers do, and what the judge
    says stands beside."""
    own_line: bool = False
    """Whether a model of the line on trial may be the judge."""
    labelled: str | None = None
    """Path of a JSONL file of pairs whose better side is known, on which the judge's errors are estimated."""

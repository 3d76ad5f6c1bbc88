"""The fields that clients may send: what is served, ignored, or refused by name.

What vLLM can do is served, within limits. A field that asks for nothing (null, empty, its default, and of an
unknown name false) is ignored at every depth, and so is one that cannot change an answer here. Only a field
whose effect would be missing is refused, so that no client relies on it.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

MOST_LOGPROBS = 20
"""Likely tokens that may be listed beside a token; vLLM's own bound as well."""
MOST_STOPS = 64
GREEDY = 1e-5
"""Lower temperatures are zero, for vLLM as well."""
_IDS = frozenset(
    {
        "chat_id",
        "conversation_id",
        "id",
        "litellm_call_id",
        "message_id",
        "request_id",
        "session_id",
        "thread_id",
        "trace_id",
        "user_id",
    }
)
"""Names that clients give to what they send; nothing here depends on them."""


def is_nothing(value: Any) -> bool:
    """Whether a value asks for nothing, such as the empty fields that a model's own answer contains."""
    if isinstance(value, dict):
        return all(map(is_nothing, value.values()))
    return value is None or (isinstance(value, str | list) and not value)


class Unserved(ValueError):
    """A field asks for what is not served. The sentence begins with the field, which is `param` as well."""

    def __init__(self, param: str, says: str) -> None:
        super().__init__(f"{param} {says}")
        self.param = param


class Lenient(BaseModel):
    """A part of a body: what asks for nothing is dropped, then a field that is not served is refused."""

    model_config = ConfigDict(extra="forbid")
    ignored: ClassVar[frozenset[str]] = frozenset()
    """Fields that cannot change an answer here, whatever they say."""
    no_ops: ClassVar[Mapping[str, tuple[Any, ...]]] = {}
    """Fields that are not served, each with the values that ask for what happens anyway.

    Of a field that is not known, false does so.
    """

    @model_validator(mode="before")
    @classmethod
    def _without_nothing(cls, body: Any) -> Any:
        if not isinstance(body, dict):
            return body
        return {key: value for key, value in body.items() if not cls._asks_nothing(key, value)}

    @classmethod
    def _asks_nothing(cls, key: str, value: Any) -> bool:
        for name, field in cls.model_fields.items():
            if key == (field.alias or name):
                return value is None and not field.is_required()
        is_no_op = value in cls.no_ops[key] if key in cls.no_ops else value is False
        return key in cls.ignored or is_nothing(value) or is_no_op


class StreamOptions(Lenient):
    """What a stream tells beside the answer."""

    ignored = frozenset({"include_obfuscation"})
    include_usage: bool = False
    continuous_usage_stats: bool = False


class RepetitionDetection(Lenient):
    """Ends an answer that repeats itself."""

    max_pattern_size: Annotated[int, Field(ge=0, le=256)] = 0
    min_pattern_size: Annotated[int, Field(ge=0, le=256)] = 0
    min_count: Annotated[int, Field(ge=0, le=1_000)] = 0


Stop = Annotated[str, Field(max_length=256)]
TokenId = Annotated[int, Field(ge=0, lt=2**31)]
NumLikely = Annotated[int, Field(ge=0, le=MOST_LOGPROBS)]


class Sampled(Lenient):
    """The fields that both endpoints accept."""

    ignored = _IDS | {
        "cache_prompt",
        "drop_params",
        "early_stopping",  # of beams, which are not served
        "guided_decoding_backend",
        "length_penalty",
        "metadata",
        "prediction",
        "prompt_cache_key",
        "prompt_cache_retention",
        "safety_identifier",
        "service_tier",
        "store",
        "stream_interval",
        "user",
        "verbosity",
    }
    no_ops = {
        "best_of": (1,),
        "detokenize": (True,),
        "dry_allowed_length": (2,),
        "dry_base": (1.75,),
        "dry_multiplier": (0,),
        "dynatemp_range": (0,),
        "epsilon_cutoff": (0,),
        "eta_cutoff": (0,),
        "include_reasoning": (True, False),  # none is taken apart from an answer
        "mirostat": (0,),
        "mirostat_eta": (0.1,),
        "mirostat_tau": (5,),
        "modalities": (["text"],),
        "n_predict": (-1,),
        "no_repeat_ngram_size": (0,),
        "num_beams": (1,),
        "priority": (0,),
        "smoothing_factor": (0,),
        "tfs_z": (1,),
        "thinking_token_budget": (-1,),
        "top_a": (0,),
        "typical_p": (1,),
        "xtc_probability": (0,),
    }

    model: Annotated[str, Field(max_length=200)] = "champion"
    max_tokens: Annotated[int, Field(ge=-1)] | None = None
    """More than the server's limit, and -1, mean as many as the limit allows."""
    n: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=-1, lt=2**31)] | None = None
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    repetition_penalty: Annotated[float, Field(ge=0.01, le=100)] | None = None
    repetition_detection: RepetitionDetection | None = None
    logit_bias: (
        Annotated[dict[str, Annotated[float, Field(ge=-100, le=100)]], Field(max_length=300)] | None
    ) = None
    bad_words: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=256)]], Field(max_length=128)
    ] = []
    allowed_token_ids: Annotated[list[TokenId], Field(min_length=1, max_length=1_000)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    """-1 means none, as for vLLM."""
    stop: Stop | Annotated[list[Stop], Field(max_length=MOST_STOPS)] | None = None
    stop_token_ids: Annotated[list[TokenId], Field(max_length=MOST_STOPS)] | None = None
    include_stop_str_in_output: bool = False
    ignore_eos: bool = False
    min_tokens: Annotated[int, Field(ge=0)] = 0
    skip_special_tokens: bool = True
    spaces_between_special_tokens: bool = True
    add_special_tokens: bool | None = None
    """Whether the tokenizer adds its own to the prompt: by default for completions, and not for chats."""
    truncate_prompt_tokens: Annotated[int, Field(ge=-1, lt=2**31)] | None = None
    truncation_side: Literal["left", "right"] | None = None
    prompt_logprobs: NumLikely | None = None
    logprob_token_ids: Annotated[list[TokenId], Field(max_length=128)] | None = None
    return_token_ids: bool = False
    return_tokens_as_token_ids: bool = False
    echo: bool = False
    cache_salt: Annotated[str, Field(max_length=128)] | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None

    @field_validator("seed", mode="after")
    @classmethod
    def _no_seed(cls, seed: int | None) -> int | None:
        return None if seed == -1 else seed

    @field_validator("stop", mode="after")
    @classmethod
    def _stops(cls, stop: str | list[str] | None) -> list[str] | None:
        return [each for each in ([stop] if isinstance(stop, str) else stop or []) if each] or None

    @field_validator("prompt_logprobs", mode="before")
    @classmethod
    def _one(cls, wanted: Any) -> Any:
        return number_of(wanted)

    @classmethod
    def _asks_nothing(cls, key: str, value: Any) -> bool:
        field = cls.model_fields.get(key)
        is_empty = value in ("", []) and field is not None and not field.is_required()
        return is_empty or super()._asks_nothing(key, value)

    @property
    def streams(self) -> bool:
        return self.stream

    @property
    def wants_usage(self) -> bool:
        return not self.streams or bool(self.stream_options and self.stream_options.include_usage)

    @property
    def shows_token_ids(self) -> bool:
        """Whether the answer lists tokens by number, which no filter of texts can read."""
        return self.return_token_ids or self.return_tokens_as_token_ids


def number_of(wanted: Any) -> Any:
    """The number of likely tokens wanted, where some clients send true for one and false for none."""
    if isinstance(wanted, bool):
        return 1 if wanted else None
    return wanted

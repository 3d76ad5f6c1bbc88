"""`POST /tokenize` and `POST /detokenize`, in vLLM's form: text as the tokens of a version, and back."""

from typing import Annotated, Any

from pydantic import Field

from configs.serving import Limits
from serve.fields import Lenient, Sampled
from serve.messages import Message
from serve.requests import RequestError, parse, validated


class Counted(Lenient):
    """What passes the desk as a request for an answer does, except that it generates no tokens."""

    ignored = Sampled.ignored
    model: Annotated[str, Field(max_length=200)] = "champion"

    @classmethod
    def _asks_nothing(cls, key: str, value: Any) -> bool:
        return (key == "model" and value == "") or super()._asks_nothing(key, value)

    def texts(self) -> list[str]:
        """The texts that an input filter reads."""
        return []


class TokenizeRequest(Counted):
    """The body of `POST /tokenize`: a prompt, or a chat."""

    prompt: str | None = None
    messages: Annotated[list[Message], Field(min_length=1)] | None = None
    add_special_tokens: bool | None = None
    return_token_strs: bool | None = None
    add_generation_prompt: bool | None = None
    continue_final_message: bool | None = None
    tools: list[dict[str, Any]] | None = None
    chat_template_kwargs: dict[str, Any] | None = None

    def texts(self) -> list[str]:
        if self.messages:
            return [message.text() for message in self.messages]
        return [self.prompt or ""]


class DetokenizeRequest(Counted):
    """The body of `POST /detokenize`."""

    tokens: list[Annotated[int, Field(ge=0, lt=2**31)]]


_OF_CHATS = ("add_generation_prompt", "chat_template_kwargs", "continue_final_message", "tools")


def read_tokenize(raw: bytes, limits: Limits) -> TokenizeRequest:
    """Read the body of a request for tokens. Raises RequestError."""
    asked = validated(TokenizeRequest, parse(raw, limits))
    if (asked.prompt is None) == (asked.messages is None):
        raise RequestError(400, "give either prompt, a text, or messages, a chat", param="prompt")
    if asked.prompt is not None and (wrong := next((n for n in _OF_CHATS if getattr(asked, n)), None)):
        raise RequestError(400, f"{wrong} can only be given with messages, not with prompt", param=wrong)
    if asked.messages and len(asked.messages) > limits.messages:
        raise RequestError(
            400,
            f"a chat may have at most {limits.messages} messages, got {len(asked.messages)}",
            param="messages",
        )
    if asked.continue_final_message:
        if asked.add_generation_prompt:
            message = "continue_final_message and add_generation_prompt cannot both be true"
            raise RequestError(400, message, param="continue_final_message")
        asked.add_generation_prompt = False
    return asked


def read_detokenize(raw: bytes, limits: Limits) -> DetokenizeRequest:
    """Read the body of a request for text. Raises RequestError."""
    return validated(DetokenizeRequest, parse(raw, limits))

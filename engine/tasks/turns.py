"""The turns of a chat, as the field writes them, and the texts in them.

[{"role": "user", "content": "Who?"}, …]        content may be a list of parts of type text
[{"from": "human", "value": "Who?"}, …]         as ShareGPT calls them
"\n\nHuman: Who?\n\nAssistant: Ann."            one text, as in HH-RLHF
"""

import re
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from engine.records import Turn
from engine.tasks.objects import NotARecord, Number, got, text_or_nothing

Record: TypeAlias = Mapping[str, Any]
Speaker: TypeAlias = Literal["system", "user", "assistant"]
_ROLES: dict[str, Speaker] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "model": "assistant",
}
"""What the field calls the speakers of a chat, in small letters."""
_SPEAKS = re.compile(r"(?:\A\s*|\n\n)(Human|Assistant):")


class Unfit(NotARecord):
    """Why a record gives no example, with the fault as it is counted."""

    def __init__(self, fault: str, reason: str) -> None:
        super().__init__(reason)
        self.fault = fault


def turns_of(value: Any, key: str) -> list[tuple[Turn, bool]]:
    """The turns of the list of messages under a key, and whether each may be learnt. Raises Unfit."""
    if not isinstance(value, list) or not value:
        raise Unfit("layout", f"'{key}' must be a list of messages, got {got(value)}")
    return [_turn(message, place, key) for place, message in enumerate(value, start=1)]


def _turn(message: Any, place: int, key: str) -> tuple[Turn, bool]:
    where = f"message {place} of '{key}'"
    if not isinstance(message, dict):
        raise Unfit("layout", f"{where} must be an object with role and content, got {got(message)}")
    who, what = ("from", "value") if "from" in message else ("role", "content")
    if missing := [each for each in (who, what) if each not in message]:
        raise Unfit("layout", f"{where} misses '{missing[0]}'")
    role = _ROLES.get(message[who].casefold()) if isinstance(message[who], str) else None
    if role is None:
        allowed = ", ".join(sorted(_ROLES))
        raise Unfit("roles", f"{where} is of {got(message[who])}; allowed are {allowed}")
    weight = "1" if message.get("weight") is None else message["weight"]
    if weight not in ("0", "1", "0.0", "1.0"):
        raise Unfit("layout", f"'weight' of {where} must be 0 or 1, got {got(weight)}")
    return Turn(role=role, text=_content(message[what], f"{what} of message {place}")), weight[0] == "1"


def _content(value: Any, key: str) -> str:
    """The text of a message, whose content may be a list of parts."""
    if not isinstance(value, list) or not all(isinstance(part, dict) for part in value):
        return text_under(value, key)
    if others := [part.get("type") for part in value if part.get("type") != "text"]:
        raise Unfit("layout", f"'{key}' has a part of type {got(others[0])}; only text is read")
    return text_under("\n".join(text_under(part.get("text"), key) for part in value), key)


def transcript(text: str, key: str) -> tuple[Turn, ...]:
    """The turns of a chat that is written as one text under a key; none where it is no such chat."""
    before, *parts = _SPEAKS.split(text)
    if before or not parts:
        return ()
    roles = [_ROLES[name.casefold()] for name in parts[::2]]
    said = [text_under(each.strip(), key) for each in parts[1::2]]
    return tuple(Turn(role=role, text=text) for role, text in zip(roles, said, strict=True))


def with_system(turns: tuple[Turn, ...], record: Record) -> tuple[Turn, ...]:
    """The chat with the system message that stands beside it."""
    text = record.get("system")
    if text is None or text == "":
        return turns
    if turns[0].role == "system":
        raise Unfit("layout", "must have one system message, got 'system' and another in the chat")
    return (Turn(role="system", text=text_under(text, "system")), *turns)


def alternating(turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
    """Raises Unfit unless, after a system message or none, user and assistant take turns."""
    after = turns[1:] if turns[0].role == "system" else turns
    wanted = ["user", "assistant"] * (len(after) // 2 + 1)
    if not after or [turn.role for turn in after] != wanted[: len(after)]:
        got = ", ".join(turn.role for turn in turns)[:60]
        raise Unfit("roles", f"user and assistant must take turns, the user first, got {got}")
    return turns


def text_under(value: Any, key: str, *, may_be_number: bool = False) -> str:
    """The text that a key holds. Which characters it may have is for the station ``form`` to say.

    Raises Unfit where it is none, or is empty.
    """
    if not isinstance(value, str) or (isinstance(value, Number) and not may_be_number):
        wanted = "text or a number" if may_be_number else "text"
        raise Unfit("layout", f"'{key}' must be {wanted}, got {got(value)}")
    if not value.strip():
        raise Unfit("empty", f"'{key}' must not be empty")
    return str(value)


def name_under(record: Record, key: str) -> str:
    """The id or story that a record names; empty where it names none. Raises Unfit."""
    if not isinstance(value := record.get(key), str | None):
        raise Unfit("layout", f"'{key}' must be text or a number, got {got(value)}")
    return text_or_nothing(record, key)

"""The layouts in which examples are written, each read into `Example`s or refused with a reason.

    {"prompt": …, "response": …}                      prompt (`completion` is read as `response`)
    {"instruction": …, "input": …, "output": …}       alpaca
    {"messages": [{"role": …, "content": …}, …]}      chat; "weight": 0 marks a turn that is not learnt
    {"conversations": [{"from": …, "value": …}, …]}   sharegpt
    {"prompt": …, "chosen": …, "rejected": …}         pair; the prompt may also be one of the chats above

Any of them may have `system`, `id`, `story` and `split`. Keys that mean nothing here pass, but for those that
look like a mistyped one.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

from engine.disk.jsonl import LineError, object_in
from engine.records import Turn
from engine.tasks.examples import SPLITS, Example
from engine.tasks.lines import split_of
from engine.tasks.objects import (
    NotARecord,
    Number,
    keys_of,
    require_no_mistyped,
    shown,
    text_of,
    text_or_nothing,
)
from engine.tasks.suite import DataError

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
"""What the field calls the speakers of a chat."""
_COMMON = frozenset({"id", "story", "split", "source", "system"})
_MOST_LEARNT = 200
"""Turns that a chat may have learnt: each becomes an example with all that was said before it."""


class Unfit(NotARecord):
    """Why a record gives no example, with the fault as it is counted."""

    def __init__(self, fault: str, reason: str) -> None:
        super().__init__(reason)
        self.fault = fault


class _Read(NamedTuple):
    """A record whose layout is known."""

    turns: tuple[Turn, ...]
    """Of a pair those before the two replies."""
    learnt: tuple[int, ...] = ()
    """Places of the turns that are learnt."""
    chosen: str = ""
    rejected: str = ""
    """Empty but for a pair."""


class Layout(NamedTuple):
    """One way to write an example."""

    name: str
    needs: tuple[Set[str], ...]
    """A record that has all keys of one of these is in this layout."""
    may: Set[str]
    """Keys that it may have beside them."""
    read: Callable[[Record], _Read]


def examples_of(record: Record, *, file: str, number: int) -> list[Example]:
    """The examples that the record on a line gives, one for each turn that is learnt.

    Raises NotARecord, and Unfit where the fault has a name of its own.
    """
    layout = _layout_of(record)
    require_no_mistyped(record, _COMMON.union(layout.may, *layout.needs))
    read = layout.read(record)
    turns = _alternating(_with_system(read.turns, record))
    shift = len(turns) - len(read.turns)
    if (num := len(read.learnt)) > _MOST_LEARNT:
        raise Unfit("too_long", f"has {num:,} turns that are learnt, at most {_MOST_LEARNT} are read")
    if read.rejected:
        if turns[-1].role != "user":
            raise Unfit("roles", "the prompt of a pair must end with a turn of the user")
        said = [(turns, read.chosen)]
    else:
        said = [(turns[: at + shift], turns[at + shift].text) for at in read.learnt]
    if not said:
        raise Unfit("nothing_learnt", "no turn of the assistant is learnt")
    story = text_or_nothing(record, "story")
    if not story and len(said) > 1:
        story = f"{file}#{number}"
    return [
        Example(
            file=file,
            number=number,
            kind="pair" if read.rejected else "sft",
            chat=chat,
            chosen=chosen,
            rejected=read.rejected,
            part=part,
            id=text_or_nothing(record, "id"),
            story=story,
            split=split_of(record, SPLITS),
        )
        for part, (chat, chosen) in enumerate(said)
    ]


def object_of(line: bytes, number: int) -> dict[str, Any]:
    """The JSON object of a line. Raises Unfit with the fault ``encoding`` or ``json``."""
    try:
        line.decode()
    except UnicodeDecodeError as error:
        raise Unfit("encoding", f"not valid UTF-8 at byte {error.start + 1}") from None
    try:
        return object_in(line, number, parse_int=Number, parse_float=Number)
    except LineError as error:
        raise Unfit("json", str(error)) from None


def row_of(example: Example, name: str) -> dict[str, Any]:
    """The record that a curated file holds of an example; `examples_of` reads it back."""
    chat = [{"role": turn.role, "content": turn.text} for turn in example.chat]
    described = {"id": name, "source": example.place} | ({"story": example.story} if example.story else {})
    if example.kind == "pair":
        asked: dict[str, Any] = {"prompt": example.prompt} if len(chat) == 1 else {"messages": chat}
        return {**asked, "chosen": example.chosen, "rejected": example.rejected, **described}
    # Earlier replies are context here: each is learnt in a row of its own, or not at all.
    before = [{**turn, "weight": 0} if turn["role"] == "assistant" else turn for turn in chat]
    return {"messages": [*before, {"role": "assistant", "content": example.chosen}], **described}


def read_curated(path: Path) -> Iterator[Example]:
    """The examples of a curated file, one at a time. Raises DataError for a line that holds none."""
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                yield from examples_of(object_of(line, number), file=str(path), number=number)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    except LineError as error:
        raise DataError(f"{path}, line {number}: {error}") from None


def _layout_of(record: Record) -> Layout:
    found = [layout for layout in LAYOUTS if any(needs <= record.keys() for needs in layout.needs)]
    if not found:
        known = ", or ".join(" and ".join(sorted(layout.needs[0])) for layout in LAYOUTS)
        raise Unfit("layout", f"is in no layout that is read{keys_of(record)}; it needs {known}")
    # A pair may give its prompt as any of the chats.
    if len(found) > 1 and found[0].name != "pair":
        names = " and ".join(layout.name for layout in found)
        raise Unfit("layout", f"is in several layouts at once, {names}: it must be in one")
    return found[0]


def _read_prompt(record: Record) -> _Read:
    key = "response" if "response" in record else "completion"
    asked, reply = record["prompt"], record[key]
    if isinstance(asked, list):
        # A chat that is divided into what is given and what is learnt.
        given = [(turn, False) for turn, _ in _chat(asked, "prompt")]
        return _learnt([*given, *_chat(reply, key)])
    return _exchange(_text(asked, "prompt", may_be_number=True), reply, key)


def _read_alpaca(record: Record) -> _Read:
    if record.get("history"):
        raise Unfit("layout", "an alpaca record with a history is not read: write it as messages")
    asked, given = _text(record["instruction"], "instruction"), record.get("input")
    if given is not None and given != "":
        asked = f"{asked}\n{_text(given, 'input', may_be_number=True)}"
    return _exchange(asked, record["output"], "output")


def _read_messages(record: Record) -> _Read:
    return _learnt(_chat(record["messages"], "messages"))


def _read_sharegpt(record: Record) -> _Read:
    return _learnt(_chat(record["conversations"], "conversations"))


def _exchange(asked: str, reply: Any, key: str) -> _Read:
    """A question and the reply to it, which stands under a key."""
    answer = Turn(role="assistant", text=_text(reply, key, may_be_number=True))
    return _Read((Turn(role="user", text=asked), answer), (1,))


def _learnt(turns: Sequence[tuple[Turn, bool]]) -> _Read:
    learnt = tuple(at for at, (turn, is_learnt) in enumerate(turns) if is_learnt and turn.role == "assistant")
    return _Read(tuple(turn for turn, _ in turns), learnt)


def _read_pair(record: Record) -> _Read:
    """A pair whose prompt is a text, a chat, or what its two sides begin with."""
    before_chosen, chosen = _side(record["chosen"], "chosen")
    before_rejected, rejected = _side(record["rejected"], "rejected")
    asked: tuple[Turn, ...] = ()
    for key in ("prompt", "messages", "conversations"):
        if (given := record.get(key)) is not None:
            if isinstance(given, list):
                asked = tuple(turn for turn, _ in _chat(given, key))
            else:
                asked = (Turn(role="user", text=_text(given, key, may_be_number=True)),)
            break
    prompts = list(dict.fromkeys(each for each in (asked, before_chosen, before_rejected) if each))
    if not prompts:
        raise Unfit("layout", f"missing key 'prompt'{keys_of(record)}")
    if len(prompts) > 1:
        raise Unfit("layout", "'prompt', 'chosen' and 'rejected' must begin with the same turns")
    return _Read(prompts[0], chosen=chosen, rejected=rejected)


def _side(value: Any, key: str) -> tuple[tuple[Turn, ...], str]:
    """The turns before a reply of a pair, and the reply."""
    if isinstance(value, dict):
        value = [value]
    if not isinstance(value, list):
        return (), _text(value, key, may_be_number=True)
    turns = [turn for turn, _ in _chat(value, key)]
    if turns[-1].role != "assistant":
        raise Unfit("roles", f"'{key}' must end with a turn of the assistant, got {turns[-1].role}")
    return tuple(turns[:-1]), turns[-1].text


def _chat(value: Any, key: str) -> list[tuple[Turn, bool]]:
    """The turns of a list of messages, and whether each may be learnt."""
    if not isinstance(value, list) or not value:
        raise Unfit("layout", f"'{key}' must be a list of messages, got {shown(value)}")
    turns = []
    for place, message in enumerate(value, start=1):
        where = f"message {place} of '{key}'"
        if not isinstance(message, dict):
            raise Unfit("layout", f"{where} must be an object with role and content, got {shown(message)}")
        who, what = ("from", "value") if "from" in message else ("role", "content")
        if missing := [each for each in (who, what) if each not in message]:
            raise Unfit("layout", f"{where} misses '{missing[0]}'")
        role = _ROLES.get(message[who]) if isinstance(message[who], str) else None
        if role is None:
            allowed = ", ".join(sorted(_ROLES))
            raise Unfit("roles", f"{where} is of {shown(message[who])}; allowed are {allowed}")
        weight = "1" if message.get("weight") is None else message["weight"]
        if weight not in ("0", "1", "0.0", "1.0"):
            raise Unfit("layout", f"'weight' of {where} must be 0 or 1, got {shown(weight)}")
        text = _text(message[what], f"{what} of message {place}")
        turns.append((Turn(role=role, text=text), weight[0] == "1"))
    return turns


def _with_system(turns: tuple[Turn, ...], record: Record) -> tuple[Turn, ...]:
    """The chat with the system message that stands beside it."""
    text = record.get("system")
    if text is None or text == "":
        return turns
    if turns[0].role == "system":
        raise Unfit("layout", "must have one system message, got 'system' and another in the chat")
    return (Turn(role="system", text=_text(text, "system")), *turns)


def _alternating(turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
    """Raises Unfit unless, after a system message or none, user and assistant take turns."""
    after = turns[1:] if turns[0].role == "system" else turns
    wanted = ["user", "assistant"] * (len(after) // 2 + 1)
    if not after or [turn.role for turn in after] != wanted[: len(after)]:
        got = ", ".join(turn.role for turn in turns)[:60]
        raise Unfit("roles", f"user and assistant must take turns, the user first, got {got}")
    return turns


def _text(value: Any, key: str, *, may_be_number: bool = False) -> str:
    """The text that a key holds. Which characters it may have is for the station ``form`` to say."""
    if isinstance(value, str) and not isinstance(value, Number):
        if not value.strip():
            raise Unfit("empty", f"'{key}' must not be empty")
        return value
    return text_of(value, key, may_be_number=may_be_number)


LAYOUTS = (
    Layout("pair", ({"chosen", "rejected"},), {"prompt", "messages", "conversations"}, _read_pair),
    Layout("prompt", ({"prompt", "response"}, {"prompt", "completion"}), set(), _read_prompt),
    Layout("chat", ({"messages"},), set(), _read_messages),
    Layout("sharegpt", ({"conversations"},), set(), _read_sharegpt),
    Layout("alpaca", ({"instruction", "output"},), {"input", "history"}, _read_alpaca),
)
"""In the order in which a record is looked at."""

"""The layouts in which examples are written, each read into `Example`s or refused with a reason.

    {"prompt": …, "response": …}                      prompt (`completion` is read as `response`)
    {"instruction": …, "input": …, "output": …}       alpaca; Dolly says `context` and `response`
    {"messages": [{"role": …, "content": …}, …]}      chat; "weight": 0 marks a turn that is not learnt
    {"conversations": [{"from": …, "value": …}, …]}   sharegpt
    {"prompt": …, "chosen": …, "rejected": …}         pair; the prompt may also be one of the chats above, or
                                                      be called `question` or `instruction` (with `input`)

Any of them may have `system`, `id`, `story` and `split`; an example that is labelled as bad is left out. Keys
that mean nothing here pass, but for those that look like a mistyped one, or on which the reply may depend.
"""

from collections.abc import Callable, Sequence, Set
from typing import Any, NamedTuple

from engine.disk.jsonl import LineError, object_in
from engine.records import Turn
from engine.tasks.examples import SPLITS, Example
from engine.tasks.lines import split_named
from engine.tasks.objects import Number, keys_of, require_no_mistyped
from engine.tasks.turns import (
    Record,
    Unfit,
    alternating,
    name_under,
    text_under,
    transcript,
    turns_of,
    with_system,
)

_COMMON = frozenset({"id", "story", "split", "source", "system"})
_SAYING = (
    *("instruction", "input", "context", "question", "system_prompt", "history", "tools", "functions"),
    *("chosen", "rejected", "response_rejected"),
)
"""Keys that change what a row teaches: where a layout does not read one, it must be said elsewhere."""
_NOTHING: tuple[Any, ...] = (None, "", [], {}, "[]", "{}")
_LABELS = ("label", "kto_tag")
"""Keys that say of an example whether it is a good one, as KTO has it."""
_MOST_LEARNT = 200
"""Turns that a chat may have learnt: each becomes an example with all that was said before it."""


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
    layouts = _layouts_of(record)
    known = _COMMON.union(*(keys for layout in layouts for keys in (layout.may, *layout.needs)))
    require_no_mistyped(record, known)
    read = _as_one(layouts, record)
    _require_nothing_lost(record, known, read)
    turns = alternating(with_system(read.turns, record))
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
    own_id, story = name_under(record, "id"), name_under(record, "story")
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
            id=own_id,
            story=story,
            split=split_named(record, SPLITS),
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


def _layouts_of(record: Record) -> list[Layout]:
    found = [layout for layout in LAYOUTS if any(needs <= record.keys() for needs in layout.needs)]
    if not found:
        known = ", or ".join(" and ".join(sorted(layout.needs[0])) for layout in LAYOUTS)
        raise Unfit("layout", f"is in no layout that is read{keys_of(record)}; it needs {known}")
    # A pair may give its prompt as any of the chats.
    return found[:1] if found[0].name == "pair" else found


def _as_one(layouts: Sequence[Layout], record: Record) -> _Read:
    """A record as its layout reads it; of several, as all of them do. Raises Unfit."""
    if len(layouts) == 1:
        return layouts[0].read(record)
    found: set[_Read | None] = set()
    for layout in layouts:
        try:
            found.add(layout.read(record))
        except Unfit:
            found.add(None)
    read = found.pop()
    if found or read is None:
        names = " and ".join(layout.name for layout in layouts)
        raise Unfit("layout", f"is in several layouts at once, {names}, which differ: it must be in one")
    return read


def _require_nothing_lost(record: Record, known: Set[str], read: _Read) -> None:
    """Raises Unfit for an example that is labelled as bad, and where what changes its meaning is not read."""
    if not read.rejected:
        for key in _LABELS:
            if record.get(key) in (False, "0", "0.0"):
                reason = f"'{key}' says that the reply is bad: only good ones and pairs are learnt"
                raise Unfit("labelled_bad", reason)
    said = [turn.text for turn in read.turns]
    for key in _SAYING:
        value = None if key in known else record.get(key)
        is_said = isinstance(value, str) and any(value.strip() in text for text in said)
        if value not in _NOTHING and not is_said:
            raise Unfit("layout", f"'{key}' is not read in this layout: write it as messages")


def _read_prompt(record: Record) -> _Read:
    key = _reply_key(record, "response", "completion")
    asked, reply = record["prompt"], record[key]
    if isinstance(asked, list):
        # A chat that is divided into what is given and what is learnt.
        given = [(turn, False) for turn, _ in turns_of(asked, "prompt")]
        return _learnt([*given, *turns_of(reply, key)])
    return _exchange(text_under(asked, "prompt", may_be_number=True), reply, key)


def _read_alpaca(record: Record) -> _Read:
    key = _reply_key(record, "output", "response")
    return _exchange(_instruction(record), record[key], key)


def _reply_key(record: Record, one: str, other: str) -> str:
    """Which of two keys the reply stands under. Raises Unfit where both hold one."""
    given = [key for key in (one, other) if record.get(key) not in (None, "")]
    if len(given) > 1:
        raise Unfit("layout", f"must have one reply, got '{one}' and '{other}'")
    return given[0] if given else one if one in record else other


def _instruction(record: Record) -> str:
    """An instruction with what it is about, which follows it on a new line."""
    asked = text_under(record["instruction"], "instruction", may_be_number=True)
    given = [key for key in sorted(_INPUTS) if record.get(key) not in (None, "")]
    if len(given) > 1:
        raise Unfit("layout", "must have one input, got 'context' and 'input'")
    return "\n".join([asked, *(text_under(record[key], key, may_be_number=True) for key in given)])


def _read_messages(record: Record) -> _Read:
    return _learnt(turns_of(record["messages"], "messages"))


def _read_sharegpt(record: Record) -> _Read:
    return _learnt(turns_of(record["conversations"], "conversations"))


def _exchange(asked: str, reply: Any, key: str) -> _Read:
    """A question and the reply to it, which stands under a key."""
    answer = Turn(role="assistant", text=text_under(reply, key, may_be_number=True))
    return _Read((Turn(role="user", text=asked), answer), (1,))


def _learnt(turns: Sequence[tuple[Turn, bool]]) -> _Read:
    learnt = tuple(at for at, (turn, is_learnt) in enumerate(turns) if is_learnt and turn.role == "assistant")
    return _Read(tuple(turn for turn, _ in turns), learnt)


def _read_pair(record: Record) -> _Read:
    """A pair whose prompt is a text, a chat, or what its two sides begin with."""
    asked = _asked(record)
    before_chosen, chosen = _side(record["chosen"], "chosen", may_be_chat=not asked)
    before_rejected, rejected = _side(record["rejected"], "rejected", may_be_chat=not asked)
    prompts = list(dict.fromkeys(each for each in (asked, before_chosen, before_rejected) if each))
    if not prompts:
        raise Unfit("layout", f"missing key 'prompt'{keys_of(record)}")
    # A prompt that is a text may be the last turn of a chat that both sides tell.
    if (
        len(prompts) == 2
        and len(asked) == 1
        and prompts[1][-1] == asked[0]
        and before_chosen == before_rejected
    ):
        prompts = prompts[1:]
    if len(prompts) > 1:
        raise Unfit("layout", "'prompt', 'chosen' and 'rejected' must begin with the same turns")
    return _Read(prompts[0], chosen=chosen, rejected=rejected)


def _asked(record: Record) -> tuple[Turn, ...]:
    """The turns that a pair gives beside its sides; none where it gives none."""
    named = [key for key in ("prompt", "question", "instruction") if record.get(key) is not None]
    if len(named) > 1:
        raise Unfit("layout", f"must have one prompt, got '{named[0]}' and '{named[1]}'")
    for key in (*named, "messages", "conversations"):
        given = record.get(key)
        if isinstance(given, list):
            return tuple(turn for turn, _ in turns_of(given, key))
        if key == "instruction":
            return (Turn(role="user", text=_instruction(record)),)
        if given is not None:
            return (Turn(role="user", text=text_under(given, key, may_be_number=True)),)
    return ()


def _side(value: Any, key: str, *, may_be_chat: bool) -> tuple[tuple[Turn, ...], str]:
    """The turns before a reply of a pair, and the reply; `may_be_chat` says whether a text may be a chat."""
    if isinstance(value, dict):
        value = [value]
    if isinstance(value, list):
        turns = tuple(turn for turn, _ in turns_of(value, key))
    else:
        text = text_under(value, key, may_be_number=True)
        turns = transcript(text, key) if may_be_chat else ()
        if not turns:
            return (), text
    if turns[-1].role != "assistant":
        raise Unfit("roles", f"'{key}' must end with a turn of the assistant, got {turns[-1].role}")
    return turns[:-1], turns[-1].text


_PROMPTS = frozenset({"prompt", "question", "instruction", "messages", "conversations"})
"""Keys that the prompt of a pair may stand under."""
_INPUTS = frozenset({"input", "context"})
LAYOUTS = (
    Layout("pair", ({"chosen", "rejected"},), _PROMPTS, _read_pair),
    Layout("prompt", ({"prompt", "response"}, {"prompt", "completion"}), set(), _read_prompt),
    Layout("chat", ({"messages"},), set(), _read_messages),
    Layout("sharegpt", ({"conversations"},), set(), _read_sharegpt),
    Layout("alpaca", ({"instruction", "output"}, {"instruction", "response"}), _INPUTS, _read_alpaca),
)
"""In the order in which a record is looked at."""

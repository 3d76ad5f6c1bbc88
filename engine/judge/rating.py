"""Blind rating: two models' replies on one page for people, who do not learn whose they are.

    ratchet rate export old.jsonl new.jsonl --out page.html

The page is a file that needs no network. It holds the pairs in an order, and on sides, that a seed has
shuffled, and a salted hash of everything else. What tells the sides apart is in the key beside it, which only
its owner can read. `engine/judge/ratings.py` reads the ratings back.
"""

import hashlib
import os
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Literal, NamedTuple

from engine.disk.files import replace_file
from engine.disk.jsonl import numbered_objects
from engine.errors import Mistake
from engine.gate.outcomes import id_in, named, short
from engine.judge.pairwise import joined
from engine.records import to_json
from engine.report.page import visible, write_page
from engine.terminal import counted

_TEMPLATE = Path(__file__).with_name("rating.html.j2")
_ASKED, _REPLIES = ("turns", "prompt"), ("replies", "reply", "response")
"""Keys of what was asked, and of what was replied: a text, or a list of texts with one for each turn."""
Side = Literal["left", "right"]


class RatingError(Mistake):
    """Replies, a key or ratings that cannot be used; the message names the file and the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two models' replies to one request."""

    id: str
    story: str
    asked: str
    old: str
    new: str
    new_side: Side
    """Where the page shows the new reply."""

    @property
    def is_shown(self) -> bool:
        """Whether people are asked: two replies that are the same are a tie for everybody."""
        return self.old.strip() != self.new.strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """What a page keeps from its raters."""

    salt: str
    seed: int
    names: tuple[str, str]
    """The old model and the new one."""
    pairs: tuple[Pair, ...]
    """In the order of the page, which leaves out those that are not shown."""

    @property
    def seal(self) -> str:
        """The hash by which a page and its ratings name their key; it tells nothing of it."""
        return hashlib.sha256(to_json(self).encode()).hexdigest()

    @property
    def shown(self) -> list[Pair]:
        """The pairs that people are asked about, in the order of the page."""
        return [pair for pair in self.pairs if pair.is_shown]


class Exported(NamedTuple):
    """What was written."""

    page: Path
    key: Path
    num_shown: int
    num_same: int
    """Pairs that nobody is asked about, because both models replied the same."""


class _Reply(NamedTuple):
    asked: str
    reply: str
    story: str


class _Replies(NamedTuple):
    """A model's replies."""

    file: Path
    model: str
    by_id: dict[str, _Reply]


def export_page(
    old: Path, new: Path, out: Path, *, num: int | None = None, seed: int | None = None
) -> Exported:
    """Write the page and its key, with `num` of the pairs, by default all; both or none.

    The seed is drawn unless one is given, which raters then must not know. Raises RatingError, CompareError
    for what is no id, and RowError for a line that is no JSON object.
    """
    key_file = _key_beside(out)
    before, after = _read(old), _read(new)
    _require_same(before, after)
    key = _key(before, after, num, seed)
    shown = key.shown
    if not shown:
        raise RatingError(f"{old} and {new} have the same reply to everything: there is nothing to rate")
    data = {"seal": key.seal, "pairs": [_on_page(pair) for pair in shown]}
    try:
        replace_file(key_file, to_json(key).encode())
        write_page(out, _TEMPLATE, data=data)
    except OSError as error:
        with suppress(OSError):  # where it was not written either
            key_file.unlink()
        raise RatingError(f"{out} cannot be written: {error.strerror}") from error
    return Exported(out, key_file, len(shown), len(key.pairs) - len(shown))


def _key_beside(out: Path) -> Path:
    """The file of the key. Raises RatingError where it or the page is there already."""
    if not out.name or out.suffix == ".key":
        raise RatingError(f"--out must name a page, such as page.html, whose key is page.key, got {out}")
    key_file = out.with_suffix(".key")
    for file in (out, key_file):
        if os.path.lexists(file):
            raise RatingError(
                f"--out never overwrites, but {file} exists, and ratings may need it: name another file"
            )
    return key_file


def _key(before: _Replies, after: _Replies, num: int | None, seed: int | None) -> Key:
    old, new = before.by_id, after.by_id
    seed = secrets.randbits(63) if seed is None else seed
    rng = Random(seed)
    ids = rng.sample(sorted(old), len(old))[:num]
    sides: tuple[Side, Side] = ("left", "right")
    pairs = [
        Pair(
            id=name,
            story=old[name].story or new[name].story,
            asked=old[name].asked,
            old=old[name].reply,
            new=new[name].reply,
            new_side=rng.choice(sides),
        )
        for name in ids
    ]
    names = (before.model, after.model)
    return Key(salt=secrets.token_hex(16), seed=seed, names=names, pairs=tuple(pairs))


def _on_page(pair: Pair) -> dict[str, str]:
    left, right = (pair.new, pair.old) if pair.new_side == "left" else (pair.old, pair.new)
    return {"asked": visible(pair.asked), "left": visible(left), "right": visible(right)}


def _read(file: Path) -> _Replies:
    """A model's replies, as `ratchet eval --out` writes them, or from rows with a prompt and a response."""
    found: dict[str, _Reply] = {}
    model = ""
    for line, row in numbered_objects(file):
        where = f"{file}, line {line}"
        name, model = _whole(id_in(row.get("id"), where)), model or _whole(str(row.get("model") or ""))
        if name in found:
            raise RatingError(f"{where}: the id {short(name)} is already taken by an earlier line")
        found[name] = _Reply(
            asked=joined("Turn", _texts(row, _ASKED, where)),
            reply=joined("Reply to turn", _texts(row, _REPLIES, where)),
            story=_whole(str(row.get("story") or "")),
        )
    if not found:
        raise RatingError(f"{file} holds no line; it has one JSON object a line, with a reply in each")
    return _Replies(file, model or _whole(file.name), found)


def _texts(row: dict[str, Any], keys: Sequence[str], where: str) -> list[str]:
    value = next((row[key] for key in keys if key in row), None)
    given = value if isinstance(value, list) else [value]
    texts = [text for text in given if isinstance(text, str)]
    if not texts or len(texts) < len(given):
        has = f"; it has {named(list(row))}" if value is None else f", got {short(value)}"
        raise RatingError(f"{where}: must have one of {', '.join(keys)}, a text or a list of texts{has}")
    return [_whole(text) for text in texts]


def _whole(text: str) -> str:
    """A text without the halves of characters that JSON can name, and no file can hold."""
    return text.encode(errors="replace").decode()


def _require_same(before: _Replies, after: _Replies) -> None:
    for one, other in ((before, after), (after, before)):
        if missing := [name for name in one.by_id if name not in other.by_id]:
            lacks = counted(len(missing), "reply")
            raise RatingError(f"{other.file} lacks {lacks} that {one.file} has: {named(missing)}")
    unlike = [name for name, reply in before.by_id.items() if reply.asked != after.by_id[name].asked]
    if unlike:
        raise RatingError(
            f"{before.file} and {after.file} asked different things under one id: {named(unlike)}"
        )

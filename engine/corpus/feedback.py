"""What users said of answers, as examples: a better answer makes a pair, praise a reply to learn.

    RATCHET_HOME/feedback/<line>/feedback.jsonl     what `POST /v1/feedback` keeps (`serve/feedback.py`)

Later lines count: who rates an answer a second time has changed their mind, and consent can be withdrawn. So
the file is read as a whole, and its examples are written beside it, where `ratchet curate` reads them.
"""

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

from pydantic import ValidationError

from engine.corpus.private import unmasked_removal_of
from engine.corpus.removal import Removal
from engine.corpus.stations import CurationError
from engine.disk.files import replace_file
from engine.records import Turn, fault_in, from_json
from engine.tasks.curated import row_of
from engine.tasks.examples import Example
from engine.terminal import counted

log = logging.getLogger(__name__)

_LONGEST = 64 * 2**20
"""Bytes of a line that may be one of feedback: no server takes as much."""
STATION = "feedback"
Rating: TypeAlias = Literal["good", "bad"]
Chat: TypeAlias = tuple[Turn, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One line of a feedback file; private data in its texts is masked already."""

    id: str
    at: str
    """UTC, ISO 8601."""
    key: str
    """Id of the key that the answer was given to."""
    answer: str
    """Id of the answer, as the API gave it."""
    choice: int = 0
    """Which answer to the chat it is about, where there were several."""
    model: str = ""
    """The version that answered."""
    chat: Chat = ()
    """Ends with the user's turn that was answered."""
    reply: str = ""
    rating: Rating | None = None
    better: str = ""
    """What would have been a better answer; empty where none was given."""
    consent: str = ""
    """What the user agreed to; empty where they take back all that they said of the answer."""
    masked: dict[str, int] = field(default_factory=dict)
    """How many pieces of private data were masked, by kind."""


class Readable(NamedTuple):
    """A file as curation reads it."""

    path: str = ""
    """Of feedback the file of its examples, each on the line where it was said; empty for any other file."""
    removed: Sequence[Removal] = ()
    """What of it gives no example."""
    num_examples: int = 0
    sha256: str = ""
    """Of the feedback as it was read; empty for any other file."""


class Gathered(NamedTuple):
    """What a feedback file comes to."""

    examples: list[Example]
    removed: list[Removal]


class _Line(NamedTuple):
    number: int
    said: Said


def feedback_file(home: Path, line: str) -> Path:
    """Where the server of a line keeps what its users say."""
    return home / "feedback" / line / "feedback.jsonl"


def stands(file: Path, key: str, answer: str) -> bool:
    """Whether anything is kept that a key has said of an answer and not taken back."""
    wanted, found = json.dumps(answer).encode(), False
    try:
        with file.open("rb") as lines:
            for line in lines:
                if wanted in line and line.endswith(b"\n"):
                    said = json.loads(line)
                    if (said["key"], said["answer"]) == (key, answer):
                        found = bool(said["consent"])
    except FileNotFoundError:
        return False
    return found


def readable(file: str) -> Readable:
    """How a file is read; where it holds feedback, the file of its examples is written anew.

    Raises CurationError for feedback that cannot be read, and OSError that names the file.
    """
    path = Path(file)
    if not _is_feedback(path):
        return Readable()
    content = path.read_bytes()
    gathered = gather(path, content)
    counts = Counter(example.kind for example in gathered.examples)
    left = Counter(removal.fault for removal in gathered.removed)
    reasons = "".join(f", {num} × {fault}" for fault, num in left.items())
    log.info(
        "%s: %s and %s%s",
        file,
        counted(counts["pair"], "pair"),
        counted(counts["sft"], "praised reply"),
        f"; left out{reasons.removeprefix(',')}" if reasons else "",
    )
    target = path.with_name(f"{path.stem}.examples.jsonl")
    rows = {example.number: json.dumps(row_of(example, example.id)) for example in gathered.examples}
    # On the same lines, so that a row says where in the feedback it was found.
    last = max((*rows, *(removal.number for removal in gathered.removed)), default=0)
    lines = (rows.get(number, "") + "\n" for number in range(1, last + 1))
    replace_file(target, "".join(lines).encode())
    return Readable(str(target), gathered.removed, len(rows), hashlib.sha256(content).hexdigest())


def gather(path: Path, content: bytes | None = None) -> Gathered:
    """The examples in a feedback file, in its order, and what gives none. Raises CurationError.

    `content` is what was read of it, where it was read already: a server may be adding to it.

    A better answer and the one it replaces are a pair. A reply that was praised is learnt, and preferred to
    one to the same chat that was blamed; blame alone teaches nothing.
    """
    latest = _latest(_lines(path, path.read_bytes() if content is None else content))
    ratings: dict[tuple[Chat, str], set[Rating]] = {}
    for each in latest:
        if rating := each.said.rating:
            ratings.setdefault((each.said.chat, each.said.reply), set()).add(rating)
    praised: dict[Chat, list[str]] = {}
    for (chat, reply), given in ratings.items():
        if given == {"good"}:
            praised.setdefault(chat, []).append(reply)
    found = Gathered([], [])
    for each in latest:
        disputed = len(ratings.get((each.said.chat, each.said.reply), ())) > 1
        made = _example(str(path), each, praised, disputed=disputed)
        if isinstance(made, Example):
            found.examples.append(made)
        else:
            found.removed.append(made)
    return found


def _latest(lines: Iterable[_Line]) -> list[_Line]:
    """What stands of each answer in the end, where it was last said; nothing of what was taken back."""
    found: dict[tuple[str, str], dict[int, _Line]] = {}
    for number, said in lines:
        own = found.setdefault((said.key, said.answer), {})
        if not said.consent:
            own.clear()
            continue
        before = own.pop(said.choice, None)
        if before is not None:
            # Who praises an answer takes back that there is a better one.
            better = said.better or ("" if said.rating == "good" else before.said.better)
            said = replace(said, rating=said.rating or before.said.rating, better=better)
        own[said.choice] = _Line(number, said)
    return sorted(line for own in found.values() for line in own.values())


def _example(
    file: str, line: _Line, praised: Mapping[Chat, list[str]], *, disputed: bool
) -> Example | Removal:
    said = line.said
    one = Example(
        file=file,
        number=line.number,
        kind="sft",
        chat=said.chat,
        chosen=said.reply,
        id=said.id,
        story=_story_of(said),
    )
    if said.better and said.better != said.reply:
        return replace(one, kind="pair", chosen=said.better, rejected=said.reply)
    if disputed:
        return _left_out(one, "disputed", "one user praised this very reply, another blamed it")
    if said.rating == "good" or (said.better and said.rating is None):
        return one
    if said.rating is None:
        return _left_out(one, "nothing_said", "neither a rating nor a better answer")
    if others := [reply for reply in praised.get(said.chat, []) if reply != said.reply]:
        return replace(one, kind="pair", chosen=others[0], rejected=said.reply)
    return _left_out(one, "only_blamed", "blamed, without a better answer: it says what not to say, not what")


def _left_out(example: Example, fault: str, reason: str) -> Removal:
    return unmasked_removal_of(example, station=STATION, fault=fault, reason=reason)


def _story_of(said: Said) -> str:
    """One conversation is one story: what a user asked first names it, together with who asked."""
    first = next((turn.text for turn in said.chat if turn.role == "user"), "")
    return f"{STATION}-{hashlib.sha256(f'{said.key}/{first}'.encode()).hexdigest()[:16]}"


def _is_feedback(path: Path) -> bool:
    """Whether the first line of a file is one of a feedback file."""
    try:
        with path.open("rb") as lines:
            from_json(Said, lines.readline(_LONGEST))
    except (OSError, ValidationError):
        return False
    return True


def _lines(path: Path, content: bytes) -> Iterator[_Line]:
    """The lines of a feedback file; one that is still being written is left out. Raises CurationError."""
    for number, line in enumerate(BytesIO(content), start=1):
        if not line.endswith(b"\n"):
            break
        try:
            said = from_json(Said, line)
        except ValidationError as error:
            raise CurationError(f"{path}, line {number}: {fault_in(error)}") from None
        if said.consent and not (said.chat and said.chat[-1].role == "user" and said.reply):
            raise CurationError(f"{path}, line {number}: is about no answer to a user")
        yield _Line(number, said)

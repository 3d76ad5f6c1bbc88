"""A file of 2,000 rows with 40 planted faults of each kind, by seed, and which line has which.

Clean rows are questions about everyday things with replies of a few sentences, chats, pairs and labels; among
them are rows that look like faults and are none.
"""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, TypeAlias

from configs.curation import Contamination, Curation, Harm, Language, Length
from tests.support.planted_secrets import MAKERS
from tests.support.planted_texts import BAITS, FOREIGN, LABELLED, SENTENCES
from tests.support.topics import TOPICS, questions

NUM_ROWS, NUM_EACH, NUM_PROTECTED = 2_000, 40, 160
_MAX_TOKENS = 400
_HARMFUL = ("zorblax", "to grind the vexo", "quirgle*")
"""A list of words that mean nothing."""
_SAID_BADLY = ("Zorblax!", "a ZORBLAX", "To grind the vexo", "quirgles", "quirgled")
_DISCLAIMERS = (
    "As an AI language model, I cannot have opinions, but here it goes.",
    "I'm sorry, but as an AI I don't have access to that.",
    "As a large language model I am not able to say much.",
)
_OPEN_ENDS = ("Most of all it is the", "There is the pier, and", "As here:\n```\nprint(1)", "It was because")
_PLACEHOLDERS = ("TODO", "[removed]", "nan", "Lorem ipsum", "…")
_MARKS = ("##", "=>", "***", "|", "~", "a")
_TEMPLATE_MARKS = ("<|im_end|>", "[/INST]", "<|eot_id|>")
_ACCENTED = ("It’s the café’s own recipe – très simple. ", "Der Müller grüßt, für den Übergang. ")
_EVALUATED = frozenset(list(TOPICS)[:10])
"""Topics of the evaluation set; the corpus asks about the others in the same ways."""
Row: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultyCorpus:
    """A file, what was planted in it, and the settings that look for it."""

    file: Path
    settings: Curation
    planted: Mapping[str, frozenset[int]]
    """Numbers of the lines by kind."""
    twins: Mapping[int, int]
    """By the line of the later of two duplicates, that of the earlier."""
    secrets: Mapping[int, str]
    """What must not be found in anything that is written, by line."""


@dataclass(slots=True)
class _Sower:
    """Makes rows, and remembers what was planted in them."""

    rng: Random
    asked: list[str]
    """Questions that are still to be asked."""
    rows: list[tuple[str, bytes]] = field(default_factory=list)
    """The kind of each row, empty for a clean one, and its line."""
    twins: dict[int, int] = field(default_factory=dict)
    """By the place of a planted duplicate, that of the row that it repeats."""
    secrets: dict[int, str] = field(default_factory=dict)

    def question(self) -> str:
        return f"{self.asked.pop()} This is about case {self.rng.randrange(1000, 99999)}."

    def sentences(self, num: int) -> list[str]:
        """Sentences, each about a topic of its own; different ones, if there are so many."""
        draw = self.rng.sample if num <= len(SENTENCES) else self.rng.choices
        return [self.filled(form) for form in draw(SENTENCES, k=num)]

    def filled(self, form: str) -> str:
        topic = self.rng.choice(list(TOPICS))
        words = self.rng.sample(TOPICS[topic], 3)
        return form.format(*words, topic=topic, num=self.rng.randrange(12, 9999))

    def reply(self, num: int = 4) -> str:
        return " ".join(self.sentences(num))

    def row(self, reply: str) -> Row:
        asked = self.question()
        if self.rng.random() < 0.3:
            return _chat(asked, reply)
        return {"prompt": asked, "response": reply}

    def pair(self, chosen: str, rejected: str, prompt: str = "") -> Row:
        return {"prompt": prompt or self.question(), "chosen": chosen, "rejected": rejected}

    def add(self, kind: str, row: Row) -> int:
        """Add a row, and give back its place."""
        self.rows.append((kind, json.dumps(row, ensure_ascii=self.rng.random() < 0.5).encode()))
        return len(self.rows) - 1

    def plant(self, kind: str, reply: Callable[[int], str]) -> None:
        """Add rows whose replies are faulty."""
        for at in range(NUM_EACH):
            self.add(kind, self.row(reply(at)))


def _chat(*texts: str) -> Row:
    roles = ("user", "assistant") * len(texts)
    return {"messages": [{"role": role, "content": text} for role, text in zip(roles, texts, strict=False)]}


def faulty_corpus(folder: Path, seed: int = 0) -> FaultyCorpus:
    """Write the file with its evaluation set and its list of words, and say what it holds."""
    drawn = dict(questions(4 * NUM_ROWS, seed))
    protected = [text for text, topic in drawn.items() if topic in _EVALUATED][:NUM_PROTECTED]
    sower = _Sower(Random(seed), [text for text, topic in drawn.items() if topic not in _EVALUATED])
    _plant_form(sower)
    _plant_text(sower)
    _plant_private(sower)
    _plant_leaks(sower, protected)
    _plant_pairs(sower)
    _sow_clean(sower)
    against, words, file = (folder / name for name in ("evaluation.jsonl", "words.txt", "corpus.jsonl"))
    against.write_text("".join(json.dumps({"question": text, "answer": "yes"}) + "\n" for text in protected))
    words.write_text("# what nobody says\n" + "\n".join(_HARMFUL) + "\n")
    places = list(range(len(sower.rows)))
    sower.rng.shuffle(places)
    file.write_bytes(b"\n".join(sower.rows[place][1] for place in places) + b"\n")
    line = {place: number for number, place in enumerate(places, start=1)}
    # The first of two twins stays, whichever it is.
    twins = {max(line[one], line[other]): min(line[one], line[other]) for one, other in sower.twins.items()}
    planted: dict[str, set[int]] = defaultdict(set)
    for place, (kind, _) in enumerate(sower.rows):
        if place in sower.twins:
            planted[kind].add(max(line[place], line[sower.twins[place]]))
        elif kind:
            planted[kind].add(line[place])
    return FaultyCorpus(
        file=file,
        settings=Curation(
            language=Language(allowed=["en"]),
            length=Length(max_tokens=_MAX_TOKENS),
            harm=Harm(words=str(words)),
            contamination=Contamination(against=[str(against)]),
        ),
        planted={kind: frozenset(lines) for kind, lines in planted.items()},
        twins=twins,
        secrets={line[place]: secret for place, secret in sower.secrets.items()},
    )


def _plant_form(sower: _Sower) -> None:
    for _ in range(NUM_EACH):
        whole = json.dumps(sower.row(sower.reply())).encode()
        sower.rows.append(("json", whole[: len(whole) - sower.rng.randrange(3, 20)]))
        blank = whole.index(b" ", len(whole) // 2)
        sower.rows.append(("encoding", whole[:blank] + b" caf\xe9" + whole[blank:]))
    sower.plant("empty", lambda at: " " * (at % 3))
    sower.plant("control", lambda at: sower.reply() + "\x00\x07\x1b"[at % 3])
    sower.plant("markup", lambda at: sower.reply() + _TEMPLATE_MARKS[at % 3])
    # UTF-8 that was read as Windows-1252.
    sower.plant("mojibake", lambda at: _ACCENTED[at % 2].encode().decode("cp1252") + sower.reply())


def _plant_text(sower: _Sower) -> None:
    foreign = list(FOREIGN.values())
    sower.plant("language", lambda at: " ".join(sower.rng.sample(foreign[at % len(foreign)], 4)))
    sower.plant("too_long", lambda _: sower.reply(60))
    sower.plant("repetitive", lambda at: " \n"[at % 2].join(sower.sentences(1) * 12))
    sower.plant("placeholder", lambda at: _PLACEHOLDERS[at % 5])
    sower.plant("disclaimer", lambda at: f"{_DISCLAIMERS[at % 3]} {sower.reply(2)}")
    sower.plant("symbols", lambda _: " ".join(sower.rng.choices(_MARKS, k=60)))
    sower.plant("shouting", lambda _: sower.reply().upper())
    sower.plant("cut_off", lambda at: f"{sower.reply(3)} {_OPEN_ENDS[at % 4]}")
    sower.plant("harmful", lambda at: f"{sower.reply(2)} {_SAID_BADLY[at % 5]} {sower.reply(1)}")
    for _ in range(NUM_EACH):
        asked = sower.question()
        sower.add("echo", {"prompt": asked, "response": asked.lower().rstrip(".")})


def _plant_private(sower: _Sower) -> None:
    for kind, make in MAKERS.items():
        for at in range(NUM_EACH):
            secret = make(sower.rng, at)
            # A number without the code of its country is one where it is called.
            held = f"Call me at {secret}." if secret.startswith("0") else f"For more, use {secret} as it is."
            told = f"{sower.reply(2)} {held} {sower.reply(1)}"
            row = {"prompt": told, "response": sower.reply()} if at % 5 == 0 else sower.row(told)
            sower.secrets[sower.add(kind, row)] = secret


def _plant_leaks(sower: _Sower, protected: Sequence[str]) -> None:
    verbatim, passages, reworded = (protected[i * NUM_EACH : (i + 1) * NUM_EACH] for i in range(3))
    for at, text in enumerate(verbatim):
        said = (text, text.upper(), f"  {text.replace('?', ' ?')}", text.replace(",", ""))[at % 4]
        sower.add("verbatim", {"prompt": said, "response": sower.reply()})
    for at, text in enumerate(passages):
        around = f"{sower.reply(1)} {text} {sower.reply(1)}"
        sower.add("passage", {"prompt": around, "response": sower.reply()} if at % 2 else sower.row(around))
    for text in reworded:
        backwards = " ".join(reversed(re.split(r"(?<=[.?])\s", text)))
        sower.add("reworded", {"prompt": f"And then also: {backwards}", "response": sower.reply()})


def _plant_pairs(sower: _Sower) -> None:
    for at in range(NUM_EACH):
        said = sower.reply(3)
        same = (said.upper(), f" {said}\n", said.replace(".", " !"))[at % 3]
        sower.add("same_sides", sower.pair(said, same))
        sides = (said, f"{said} {sower.reply(2)}") if at % 2 else (sower.reply(10), sower.reply(1))
        sower.add("length_only", sower.pair(*(sides if at % 4 < 2 else sides[::-1])))
    for _ in range(NUM_EACH // 2):
        asked, one, other = sower.question(), sower.reply(3), sower.reply(3)
        sower.add("contradictory_pair", sower.pair(one, other, asked))
        sower.add("contradictory_pair", sower.pair(other, one, asked.lower()))
        told = sower.filled(sower.rng.choice(LABELLED))
        sower.add("label_conflict", {"prompt": told, "response": "positive"})
        sower.add("label_conflict", {"prompt": f"{told} ", "response": "Negative."})


def _sow_clean(sower: _Sower) -> None:
    """Duplicates with the clean rows that they repeat, and clean rows until there are enough."""
    for kind, again in (("duplicate", _respaced), ("near_duplicate", _edited)):
        for _ in range(NUM_EACH):
            asked, reply = sower.question(), sower.reply(6)
            first = sower.add("", {"prompt": asked, "response": reply})
            sower.twins[sower.add(kind, again(asked, reply))] = first
    for asked, reply in BAITS:
        sower.add("", {"prompt": asked, "response": reply})
    for at in range(NUM_ROWS - len(sower.rows)):
        if at % 4 == 0:
            sower.add("", sower.pair(sower.reply(4), sower.reply(3)))
        elif at % 8 == 1:
            label = sower.rng.choice(("positive", "negative"))
            sower.add("", {"prompt": sower.filled(sower.rng.choice(LABELLED)), "response": label})
        elif at % 8 == 2:
            sower.add("", _chat(sower.question(), sower.reply(2), sower.question(), sower.reply(3)))
        else:
            sower.add("", sower.row(sower.reply()))


def _respaced(asked: str, reply: str) -> Row:
    return {"instruction": f"{asked} ", "output": reply.replace(". ", ".\n", 1)}


def _edited(asked: str, reply: str) -> Row:
    """The row with a word more at the beginning of its reply, and one less in its middle."""
    told = reply.split()
    middle = next(place for place in range(len(told) // 2, len(told)) if told[place].isalpha())
    return {"prompt": asked, "response": f"Well, {' '.join(told[:middle] + told[middle + 1 :])}"}

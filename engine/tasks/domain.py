"""A user's own domain: examples that `ratchet curate` has divided, to learn from and to be judged by.

    task: {name: domain, directory: data}

The set ``train`` is learnt, ``validation`` is the part probe, ``test`` is divided into gate and sealed. Only
a question that stands alone can be asked, so that examples which go on with a chat are learnt and never
asked; those that no named scorer can judge are for a judge's preference (`exam`).
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

from configs.tasks import AnyTask, DomainTask, Shares
from engine.records import Problem, Reference
from engine.tasks import problem_id
from engine.tasks.curated import read_curated
from engine.tasks.examples import SPLITS, Example
from engine.tasks.fixed import Fixed, Record
from engine.tasks.lines import JUDGING, Line
from engine.tasks.records import scorer_settings
from engine.tasks.snapshots import no_set
from engine.tasks.suite import DataError
from engine.terminal import counted

NAME = "domain"
VERIFIERS = ("semantic",)
"""Of a suite the verifier is the scorer of its config."""
EXAMPLES, CHATS, PAIRS = "examples", "chats", "pairs"
"""The slices: replies to questions that can be asked, replies that go on with a chat, and preferences."""
_PARTS = {"train": "train", "validation": "probe", "test": JUDGING}
_ANEW = "with another task.directory: what is divided stays so"
_SHARE_KEYS = {
    "train": f"task.curation.shares.train {_ANEW}",
    "probe": f"task.curation.shares.validation {_ANEW}",
    "gate": f"task.curation.shares.test and task.sealed {_ANEW}",
    "sealed": f"task.curation.shares.test and task.sealed {_ANEW}",
}


class Domain(Fixed):
    """The suite of a curated directory."""

    def __init__(
        self, records: Iterable[Record], *, settings: DomainTask, system: str, examples: Sequence[Example]
    ) -> None:
        """`examples` are all of the directory, also those that cannot be asked."""
        super().__init__(
            records,
            shares=Shares(train=0, probe=0, gate=1 - settings.sealed, sealed=settings.sealed),
            per_test=settings.per_test,
            verifiers=(settings.scorer.name,),
            system=system,
            unit="example",
            share_keys=_SHARE_KEYS,
        )
        self.exam = settings.exam
        self.notes: tuple[str, ...] = ()
        self._examples = examples

    @property
    def digest(self) -> str:
        """That of all suites, and of all texts of the examples: problems hold no rejected reply."""
        said = sorted(_hash(each) for each in self._examples)
        return hashlib.sha256("\n".join([super().digest, *said]).encode()).hexdigest()[:16]


def open(settings: AnyTask) -> Domain:
    """The suite of a curated directory. Raises DataError where it is none, or holds nothing to ask."""
    assert isinstance(settings, DomainTask), "the task's own leaf"
    sets = {split: examples_in(settings, split) for split in SPLITS}
    system = _system([example for split in SPLITS[1:] for example in sets[split]])
    every = [example for examples in sets.values() for example in examples]
    extra = _extra(settings, [example for example in every if _can_be_asked(example, system)])
    stories = _stories(every)
    records: list[Record] = []
    left_out = 0
    for split, examples in sets.items():
        accepted = _accepted(examples)
        for key, alike in _by_id(examples).items():
            asked = _can_be_asked(alike[0], system)
            if split != SPLITS[0] and not asked:
                left_out += 1
                continue
            # Whatever is replied to one chat is asked once.
            chat = _chat_id(alike[0])
            story = stories.get(chat, chat)
            problem = _problem(key, alike[0], accepted[chat], extra, story, asked=asked)
            records.append(Record(problem=problem, story=story, split=_PARTS[split]))
    suite = Domain(records, settings=settings, system=system, examples=every)
    if not suite.records("gate"):
        raise DataError(
            f"{settings.directory} holds no example that can be asked in {SPLITS[2]}.jsonl: a question that "
            "stands alone, with the system message of most of them"
        )
    if left_out:
        suite.notes = (
            f"{counted(left_out, 'example')} of {SPLITS[1]} and {SPLITS[2]} cannot be asked: they go on with "
            "a chat, or have another system message",
        )
    return suite


def read(path: Path) -> list[Problem]:
    """The questions of a file in a curated layout, judged by their replies' meaning. Raises DataError."""
    return problems_in(DomainTask(directory=str(path.parent)), path)


def problems_in(settings: DomainTask, path: Path) -> list[Problem]:
    """The questions of a file in a curated layout, judged as a task's settings say. Raises DataError."""
    examples = list(read_curated(path))
    system = _system(examples)
    asked = [example for example in examples if _can_be_asked(example, system)]
    if not asked:
        raise DataError(f"{path} holds no example that can be asked: each goes on with a chat")
    extra = _extra(settings, asked)
    stories, accepted = _stories(examples), _accepted(examples)
    problems = []
    for key, (first, *_) in _by_id(asked).items():
        chat = _chat_id(first)
        story = stories.get(chat, chat)
        problems.append(_problem(key, first, accepted[chat], extra, story, split="public"))
    return problems


def examples_of(settings: DomainTask) -> Mapping[str, Sequence[Example]]:
    """What there is to learn, by the id of its problem: examples that reply to one chat share one."""
    return _by_id(examples_in(settings, SPLITS[0]))


def examples_in(settings: DomainTask, split: str) -> Sequence[Example]:
    """The examples of one set. Raises DataError where the directory is none of curation's."""
    path = Path(settings.directory) / f"{split}.jsonl"
    if not path.is_file():
        raise no_set(settings, path.name)
    stat = path.stat()
    return _read(path, stat.st_mtime_ns, stat.st_size)


@cache
def _read(path: Path, *version: int) -> Sequence[Example]:
    """The examples of a file, read once in a process as long as the file stays the same."""
    return tuple(read_curated(path))


def _by_id(examples: Iterable[Example]) -> dict[str, list[Example]]:
    """Examples by kind and chat: blanks do not count, nor do file, place and replies."""
    found: dict[str, list[Example]] = {}
    for example in examples:
        found.setdefault(problem_id(NAME, example.kind, *_said(example)), []).append(example)
    return found


def _hash(example: Example) -> str:
    """A hash of all texts of an example."""
    said = [*(f"{turn.role} {turn.text}" for turn in example.chat), example.chosen, example.rejected]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def _chat_id(example: Example) -> str:
    """What an example and a pair with one chat have in common."""
    return problem_id(NAME, *_said(example))


def _stories(examples: Iterable[Example]) -> dict[str, str]:
    """What each chat stays together with: the cluster, or else the story, that an example of it names."""
    named = ((_chat_id(example), example.cluster or example.story) for example in examples)
    return {chat: name for chat, name in named if name}


def _accepted(examples: Iterable[Example]) -> dict[str, tuple[str, ...]]:
    """The replies to each chat that an example gives or a pair prefers, once each."""
    found: dict[str, dict[str, None]] = {}
    for example in examples:
        found.setdefault(_chat_id(example), {})[example.chosen] = None
    return {chat: tuple(replies) for chat, replies in found.items()}


def _said(example: Example) -> list[str]:
    return [" ".join(turn.text.split()) for turn in example.chat]


def _problem(
    key: str,
    first: Example,
    accepted: tuple[str, ...],
    extra: dict[str, str],
    story: str,
    *,
    asked: bool = True,
    split: str = "",
) -> Problem:
    """The problem that examples with the chat of the `first` pose, to which these replies are `accepted`.

    One that cannot be `asked` has no gold reply, as nobody could show or learn it without what went before.
    """
    return Problem(
        id=key,
        task=NAME,
        slice=PAIRS if first.kind == "pair" else EXAMPLES if asked else CHATS,
        turns=(first.prompt,),
        truth=Reference(accepted=accepted, extra=extra),
        gold=(first.chosen,) if asked else (),
        split=split,
        origin=f"{Path(first.file).name}#{first.id or first.number}",
        story=story,
    )


def _extra(settings: DomainTask, asked: Sequence[Example]) -> dict[str, str]:
    """What the scorer must know beside the answers. Raises DataError for a reply that it cannot judge."""
    lines = [
        Line(
            file=example.file,
            number=example.number,
            id=example.id,
            prompt=example.prompt,
            system="",
            accepted=(example.chosen,),
            reply=example.chosen,
            slice="",
            story=example.story,
            split="",
        )
        for example in asked
    ]
    return scorer_settings(settings.scorer, lines)


def _system(examples: Sequence[Example]) -> str:
    """The system message of most examples that stand alone; empty where most have none."""
    alone = Counter(_system_of(example) for example in examples if _stands_alone(example))
    return alone.most_common(1)[0][0] if alone else ""


def _can_be_asked(example: Example, system: str) -> bool:
    return _stands_alone(example) and _system_of(example) == system


def _stands_alone(example: Example) -> bool:
    return [turn.role for turn in example.chat if turn.role != "system"] == ["user"]


def _system_of(example: Example) -> str:
    return example.chat[0].text if example.chat[0].role == "system" else ""

"""Suites over a finite set of problems: which of them may be learnt, judged on again, or judged on once.

Every record belongs to one part, by its story or its text, so that the order of a file does not matter and a
file that grows keeps what it has where it was. A draw belongs to a part by its split: what is learnt comes
from ``train``, figures that steer a campaign from ``probe``, both of which may be used again; tests that move
the champion take fresh problems of ``gate``; ``sealed`` is opened once. In the parts that judge, a draw asks
one question a story, and what shares a story with a problem that was used counts as used. Records with the
split ``sentinel`` are kept apart: no draw takes them, and the gate asks one of each story.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace

from configs.tasks import Shares
from engine.records import Problem
from engine.tasks.lines import JUDGING, PARTS, SENTINEL
from engine.tasks.suite import DataError, Task
from engine.terminal import counted

ONCE = ("gate", "sealed")
"""Parts whose problems are not used twice."""
READ = "eval"
"""What `ratchet eval` has read: it may be learnt, and tests that move the champion do without it."""
_SPLITS = {"gate": "gate", "pass-at-k": "gate", "sealed": "sealed"}
_PROBING = ("probe", "carry", "select", "baseline", "eval")
"""How splits begin that are judged on and decide nothing that is claimed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A problem of a finite set, and what decides about its part."""

    problem: Problem
    story: str = ""
    """Records with one story stay together; empty where it stands alone."""
    split: str = ""
    """The part that it names itself; empty where shares decide."""

    @property
    def key(self) -> str:
        """What stays together."""
        return self.story or self.problem.id


def part_of(split: str) -> str:
    """The part that a draw's split takes its problems from."""
    if split in _SPLITS:
        return _SPLITS[split]
    return "probe" if split.startswith(_PROBING) else "train"


class Fixed:
    """A suite whose problems are given, and are used up where they must be fresh."""

    task: Task
    is_finite = True

    def __init__(
        self,
        records: Iterable[Record],
        *,
        shares: Shares,
        per_test: bool = False,
        verifiers: Sequence[str] = ("exact",),
        system: str = "",
        unit: str = "record",
        share_keys: Mapping[str, str] | None = None,
    ) -> None:
        """`unit` is what messages call a problem, `share_keys` the keys that say how large a part is.

        Without them these are ``task.shares.PART``.
        """
        self.unit = unit
        self.share_keys = share_keys or {part: f"task.shares.{part}" for part in PARTS}
        self.per_test, self.verifiers, self.system = per_test, tuple(verifiers), system
        self._parts: dict[str, list[Record]] = {part: [] for part in (*PARTS, SENTINEL)}
        self._stories: dict[str, str] = {}
        for record in records:
            self._parts[_part_of_record(record, shares)].append(record)
            self._stories[record.problem.id] = record.key

    @property
    def slices(self) -> list[str]:
        """The slices of what can be learnt, in the order of their names."""
        return sorted({record.problem.slice for record in self._parts["train"]})

    @property
    def sentinels(self) -> tuple[Problem, ...]:
        """What a model must not lose, one question of each story, in the order of their ids."""
        first: dict[str, Problem] = {}
        for record in sorted(self._parts[SENTINEL], key=lambda record: record.problem.id):
            first.setdefault(record.key, replace(record.problem, split=SENTINEL))
        return tuple(first.values())

    @property
    def digest(self) -> str:
        """Content hash of problems, answers and parts: it changes with records and shares, not with order."""
        said = sorted(
            f"{part} {each.problem.id} {each.problem.truth} {each.problem.gold}"
            for part, rows in self._parts.items()
            for each in rows
        )
        return hashlib.sha256("\n".join(said).encode()).hexdigest()[:16]

    @property
    def sizes(self) -> dict[str, int]:
        """How many problems each part can give one draw: of what judges, one for each story."""
        return {
            part: len(rows) if part == "train" else len({each.key for each in rows})
            for part, rows in self._parts.items()
        }

    def records(self, part: str) -> Sequence[Record]:
        """All records of a part."""
        return tuple(self._parts[part])

    def without(self, used: Mapping[str, Set[str]]) -> "Fixed":
        """The suite without what was used before, by part: ids of problems that a line has to do with.

        What was learnt is never judged on, and is no sentinel. What was used for anything, or read by
        `ratchet eval`, is no fresh problem of a gate test or of the sealed ones; with `per_test` what was
        only judged on is.
        """
        learnt = self._keys(used.get("train", frozenset()))
        probed = learnt.union(
            *(self._keys(used.get(part, frozenset())) for part in ("probe", SENTINEL, READ))
        )
        judged = [self._keys(used.get(part, frozenset())) for part in ONCE]
        stale = probed if self.per_test else probed.union(*judged)
        left = Fixed(
            [],
            shares=Shares(),
            per_test=self.per_test,
            verifiers=self.verifiers,
            system=self.system,
            unit=self.unit,
            share_keys=self.share_keys,
        )
        for part, rows in self._parts.items():
            gone = {"train": set(), "probe": learnt, SENTINEL: learnt}.get(part, stale)
            left._parts[part] = [each for each in rows if each.key not in gone]
        left._stories = self._stories
        if hasattr(self, "task"):
            left.task = self.task
        return left

    def _keys(self, problems: Set[str]) -> set[str]:
        """What stays together with any of some problems."""
        return {self._stories.get(each, each) for each in problems}

    def draw(
        self,
        num: int,
        *,
        split: str,
        seed: int,
        start: int = 0,
        exclude: Set[str] = frozenset(),
        weights: Mapping[str, float] | None = None,
        questions: int = 1,
    ) -> list[Problem]:
        """`num` different problems of the split's part, from place `start` of the order that the seed names.

        Of a part that is not used up, problems in `exclude` come last; of one that is, they do not come.
        `weights` are of slices. Raises DataError where too few are left, and for several questions a story.
        """
        if questions > 1:
            raise DataError(
                f"task {self.task.name} asks one question a story: questions must be 1, got {questions}"
            )
        part = part_of(split)
        order = self._order(part, split, seed, weights)
        if split == "plan" and order:
            # A sample of the texts, which may repeat itself.
            order = order * -(-num // len(order))
        if part in ONCE and self.per_test:
            # Each test draws from all of them; its looks are apart by their places.
            chosen = order[start:]
        else:
            turned = order[start % len(order) :] + order[: start % len(order)] if order else []
            stale = self._keys(exclude) if part != "train" else set(exclude)
            is_stale = [(each.problem.id if part == "train" else each.key) in stale for each in turned]
            chosen = [each for each, old in zip(turned, is_stale, strict=True) if not old]
            if part not in ONCE:
                chosen += [each for each, old in zip(turned, is_stale, strict=True) if old]
        if len(chosen) < num:
            raise DataError(self._too_few(part, split, num, len(chosen)))
        return [replace(each.problem, split=split) for each in chosen[:num]]

    def _order(self, part: str, split: str, seed: int, weights: Mapping[str, float] | None) -> list[Record]:
        """All records of a part in the order of a draw; of a part that judges, one of each story.

        Weighted draws without replacement: Efraimidis and Spirakis 2006.
        """
        counts: dict[str, int] = {}
        for record in self._parts[part]:
            counts[record.problem.slice] = counts.get(record.problem.slice, 0) + 1

        def place(record: Record) -> float:
            # The looks of a gate test and its other draws go through one order, from its two ends.
            chance = _chance(f"{_SPLITS.get(split, split)}/{seed}/{record.problem.id}")
            if not weights:
                return chance
            weight = weights.get(record.problem.slice, 0.0) / counts[record.problem.slice]
            return 1 - chance ** (1 / weight) if weight > 0 else 1 + chance

        ordered = sorted(self._parts[part], key=lambda record: (place(record), record.problem.id))
        if part != "train":
            first: dict[str, Record] = {}
            for record in ordered:
                first.setdefault(record.key, record)
            ordered = list(first.values())
        return ordered[::-1] if split == "pass-at-k" else ordered

    def _too_few(self, part: str, split: str, num: int, left: int) -> str:
        used = " that nothing has used" if part in ONCE and not self.per_test else ""
        return (
            f"the draw '{split}' needs {counted(num, self.unit)} of the {part} part{used}, but {left} "
            f"{'is' if left == 1 else 'are'} left; a larger share: {self.share_keys[part]}"
        )


def _part_of_record(record: Record, shares: Shares) -> str:
    if record.split in (*PARTS, SENTINEL):
        return record.split
    allowed = [part for part in PARTS if record.split != JUDGING or part != "train"]
    sizes: list[float] = [getattr(shares, part) for part in allowed]
    place = _chance(f"part/{record.key}") * sum(sizes)
    for part, size in zip(allowed, sizes, strict=True):
        place -= size
        if place < 0:
            return part
    # Rounding, or no share at all.
    return max(zip(sizes, allowed, strict=True))[1]


def _chance(text: str) -> float:
    """A number from 0 to 1 that a text names, the same on every machine."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big") / 2**56

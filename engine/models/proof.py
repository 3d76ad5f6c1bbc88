"""The proof that an engine holds the weights it was given: the engine itself is asked, not only its files.

An engine that takes a model's weights scores texts whose log-likelihoods are known for that model and for the
one before it (`reference.py`). Let d be the difference of the two references, and x what the engine says:

- every number of x is finite;
- x is as near to the model's own reference as rounding lets it be. The engine's rounding was measured on the
  models that it held and proved before; on its first model it may be that of bfloat16 in transformers;
- x has gone the way from the old reference to the new one: its projection on d is 1 for the new weights, 0
  for the old ones, and in between where some layers are new and some old.

The texts are those on which the two models differ most, as many as it takes to make rounding small beside d.
Where all texts together are too few for that, an engine that answers as before to the last digit is refused,
and of any other it is said that no more can be proved. `evidence.py` has the arithmetic.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

from engine.models.evidence import (
    FEWEST,
    LEAST_ROUNDING,
    Ids,
    LogProbs,
    Pair,
    Trial,
    Unproven,
    chosen,
    judged,
)
from engine.models.identity import WEIGHTS
from engine.models.reference import Reference, computed, joined, of_parent

Score: TypeAlias = Callable[[Sequence[Ids]], list[LogProbs]]
"""Asks an engine for the log-likelihoods of texts, on the path by which it answers."""
Keep: TypeAlias = Callable[[str, Reference], None]
"""Keeps a reference that had to be computed, by the id of its model."""


_LIKE_BFLOAT16 = 0.1
"""An engine that is off by more than this share of what bfloat16 is off computes in 16 bits itself."""


class Version(NamedTuple):
    """A model that an engine is to hold."""

    id: str
    path: Path
    reference: Reference | None
    """As it was kept; None where there is none."""


class Proof(NamedTuple):
    """What became of a proof that did not fail."""

    sentence: str
    complete: bool
    """False where nothing could be asked, or the model cannot be told from the one before it."""


class Prover:
    """Proves what one engine holds, swap by swap: `expect` a model, let the engine take it, and `check`.

    `score` asks the engine for texts, none of which is longer than `longest` tokens.
    """

    def __init__(self, score: Score, longest: int, keep: Keep) -> None:
        self._score, self._longest, self._keep = score, longest, keep
        self._held: Version | None = None
        self._refused: Version | None = None
        self._gain = 0.0
        """The engine's rounding in units of bfloat16's in transformers; 0 until it is measured."""
        self._trial: tuple[Version, Trial | None] | None = None
        """What is expected."""

    @property
    def has_proved(self) -> bool:
        """Whether the engine has proved any model; its rounding is then known."""
        return self._gain > 0

    def begin(self, version: Version) -> None:
        """Note what the engine has started with; it is proved before the first swap, or by expecting it."""
        self._held = version

    def expect(self, new: Version, beside: Version | None = None) -> None:
        """Prepare the proof of a model, while the engine still holds the one before.

        `beside` is a model that an engine which has just started might hold instead. Raises Unproven where
        the engine does not hold what it should hold so far, and ModelError for damaged files.
        """
        if self._trial:
            # It was never checked: the engine may have taken a part of it.
            self._refused, self._trial = self._trial[0], None
        other = self._held or beside
        if other and other.id == new.id:
            other = self._refused
        if other is None:
            new = new._replace(reference=new.reference or self._compute(new))
            self._trial = new, self._alone(new)
            return
        is_held, is_swap = other is self._held, other is not beside
        new, other = self._with_references(new, other)
        if is_held and not self.has_proved and (first := self._alone(other)):
            self._settled(other, first)
        new, trial = self._against(new, other, is_swap=is_swap)
        self._trial = new, trial or self._alone(new)

    def check(self) -> Proof:
        """Prove the model that is expected, now that the engine should hold it. Raises Unproven."""
        assert self._trial, "no model is expected"
        (new, trial), self._trial = self._trial, None
        if trial is None:
            proof = Proof(f"{new.id} is not proved: transformers has no reference for it", complete=False)
        else:
            try:
                proof = Proof(self._settled(new, trial), complete=trial.apart)
            except Unproven:
                self._refused = new
                raise
        self._held, self._refused = new, None
        return proof

    def _with_references(self, new: Version, other: Version) -> tuple[Version, Version]:
        """Both with their references: a child's tells of its parent too, and what is missing is computed."""
        own, its = new.reference, other.reference
        if its and its.parent_id == new.id:
            own = joined(own, of_parent(its))
        if own and own.parent_id == other.id:
            its = joined(its, of_parent(own))
        own, its = own or self._compute(new), its or self._compute(other)
        return new._replace(reference=own), other._replace(reference=its)

    def _compute(self, version: Version) -> Reference | None:
        """A version's reference from its files, also on all general texts; as it is where they are gone."""
        if not any(version.path.glob(f"*{WEIGHTS}")):
            return version.reference
        found = computed(version.path, version.reference)
        if found and found != version.reference:
            self._keep(version.id, found)
        return found

    def _alone(self, new: Version) -> Trial | None:
        """A trial of the model by its own reference, where it has one."""
        if new.reference is None:
            return None
        texts = new.reference.texts[: 2 * FEWEST]
        pairs = self._cut(Pair(text.ids, text.logprobs, text.logprobs) for text in texts)
        return Trial(new.id, "", pairs, self._rounding(new.reference))

    def _against(self, new: Version, other: Version, *, is_swap: bool) -> tuple[Version, Trial | None]:
        """A trial of a model beside the one before it, where both have a reference of the same texts.

        Where those do not tell the two apart, both get a reference of more texts. In a swap the engine has
        the other's weights now, so that what it says of them is known.
        """
        if new.reference is None or other.reference is None:
            return new, None
        trial = self._chosen(new, other)
        if trial.pairs and not trial.apart:
            new, other = (each._replace(reference=self._compute(each)) for each in (new, other))
            trial = self._chosen(new, other)
            if not trial.apart:
                trial = trial._replace(pairs=trial.pairs[: 2 * FEWEST])
                if is_swap:
                    trial = trial._replace(said=self._ask(trial))
        return new, trial if trial.pairs else None

    def _chosen(self, new: Version, other: Version) -> Trial:
        assert new.reference and other.reference
        rounding = self._rounding(new.reference)
        pairs, deviation = chosen(self._cut(paired(new.reference, other.reference)), rounding)
        return Trial(new.id, other.id, pairs, rounding, deviation)

    def _rounding(self, reference: Reference) -> float:
        return max(LEAST_ROUNDING, reference.rounding * (self._gain or 1.0))

    def _cut(self, pairs: Iterable[Pair]) -> list[Pair]:
        """As much of each text as the engine's context holds beside the one token of its answer."""
        most = self._longest - 1
        return [Pair(ids[:most], own[: most - 1], other[: most - 1]) for ids, own, other in pairs]

    def _ask(self, trial: Trial) -> list[LogProbs]:
        return self._score([pair.ids for pair in trial.pairs])

    def _settled(self, version: Version, trial: Trial) -> str:
        """Ask the engine and judge what it says, which also measures its rounding. Raises Unproven."""
        assert version.reference
        sentence, off = judged(trial, self._ask(trial))
        measured = off / version.reference.rounding if version.reference.rounding else 1.0
        # It rounds as bfloat16 does, and then as much as that model by model, or far less, as in float32.
        self._gain = max(self._gain, 1.0 if measured > _LIKE_BFLOAT16 else measured, 1e-9)
        return sentence


def paired(own: Reference, other: Reference) -> list[Pair]:
    """The texts that two references share."""
    its = {text.ids: text.logprobs for text in other.texts}
    return [Pair(text.ids, text.logprobs, its[text.ids]) for text in own.texts if text.ids in its]

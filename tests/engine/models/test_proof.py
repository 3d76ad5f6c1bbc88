"""What proves that an engine holds its weights, with engines that are arithmetic; the real ones are tested in
`tests/engine/sample/test_proof.py`.
"""

import math
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from engine.models import proof
from engine.models.evidence import Ids, LogProbs, Unproven
from engine.models.proof import Proof, Prover, Version
from engine.models.reference import Reference, Text

TEXTS = [tuple(range(100 * place, 100 * place + 40)) for place in range(96)]
ROUNDING = 0.06


def reference(seed: int, size: float, base: Reference | None = None, num: int = 16) -> Reference:
    """Log-likelihoods of random texts, or those of a `base` moved by `size` nats a token."""
    rng = random.Random(seed)
    texts = []
    for place, ids in enumerate(TEXTS[:num]):
        given = base.texts[place].logprobs if base else [rng.expovariate(0.4) * -1 for _ in ids[1:]]
        moved = tuple(min(-1e-3, value + size * rng.gauss(0, 1)) for value in given)
        texts.append(Text(ids=ids, logprobs=moved))
    return Reference(texts=tuple(texts), rounding=ROUNDING)


def halfway(old: Reference, new: Reference, seed: int = 0) -> Reference:
    """What a model says whose layers are half old and half new: half of the way, and off it by as much."""
    rng = random.Random(seed)
    texts = []
    for before, after in zip(old.texts, new.texts, strict=True):
        steps = [b - a for a, b in zip(before.logprobs, after.logprobs, strict=True)]
        beside = [rng.choice((-0.5, 0.5)) * step for step in steps]
        values = (a + 0.5 * b + c for a, b, c in zip(before.logprobs, steps, beside, strict=True))
        texts.append(Text(ids=before.ids, logprobs=tuple(values)))
    return Reference(texts=tuple(texts), rounding=ROUNDING)


class FakeEngine:
    """Says what the reference says that it holds, but for a rounding that is always the same."""

    def __init__(self, noise: float = 0.05) -> None:
        self.noise, self.holds = noise, reference(0, 0)
        self.asked: list[int] = []

    def score(self, texts: Sequence[Ids]) -> list[LogProbs]:
        self.asked.append(len(texts))
        held = {text.ids: text.logprobs for text in self.holds.texts}
        # Longer tails than a normal distribution has, as rounding in vLLM.
        return [
            tuple(
                value
                + (1 - math.exp(value)) * self.noise * rng.gauss(0, 1) * rng.choice((0.4, 0.7, 1.0, 1.6))
                for rng in [random.Random(str((ids, held[ids])))]
                for value in held[ids]
            )
            for ids in texts
        ]


A, C = reference(0, 0, num=96), reference(7, 0, num=96)


def version(name: str, own: Reference | None) -> Version:
    return Version(name, Path("/nowhere"), own)


def begun(engine: FakeEngine, held: Reference = A) -> Prover:
    prover = Prover(engine.score, 512, lambda *_: None)
    prover.begin(version("a", held))
    engine.holds = held
    return prover


def swapped(prover: Prover, engine: FakeEngine, new: Version, holds: Reference | None = None) -> Proof:
    """Swap, after which the engine holds the new weights or, with a fault, others."""
    prover.expect(new)
    engine.holds = holds or new.reference or engine.holds
    return prover.check()


def near(size: float, seed: int = 1) -> Reference:
    return reference(seed, size, A, num=96)


@pytest.mark.parametrize("size", [3.0, 0.3, 0.05, 0.03])
def test_new_weights_are_proved_and_old_ones_refused_wholly_and_by_half(size: float) -> None:
    new = near(size)
    engine = FakeEngine()
    shown = swapped(begun(engine), engine, version("b", new))
    assert shown.complete and "the engine holds b" in shown.sentence and "from that of a" in shown.sentence
    for held in (A, halfway(A, new)):
        engine = FakeEngine()
        prover = begun(engine)
        with pytest.raises(Unproven, match="the engine does not hold b: .* of the way there from that of a"):
            swapped(prover, engine, version("b", new), held)
        # The same again, and back to the old ones, which is what a server does then.
        with pytest.raises(Unproven):
            swapped(prover, engine, version("b", new), held)
        assert swapped(prover, engine, version("a", A)).complete


def test_few_texts_are_asked_where_models_differ_much_and_more_where_they_are_close() -> None:
    asked = []
    for size in (3.0, 0.03, 0.02):
        engine = FakeEngine()
        swapped(begun(engine), engine, version("b", near(size)))
        asked.append(engine.asked[-1])
    assert asked[0] == 4 < asked[1] < asked[2] <= 96, asked


def test_models_that_rounding_hides_are_said_to_be_alike_and_the_same_digits_are_refused() -> None:
    new, engine = near(0.002), FakeEngine()
    prover = begun(engine)
    shown = swapped(prover, engine, version("b", new))
    assert not shown.complete and engine.asked[-2:] == [8, 8]
    assert "the engine holds b or a: they differ by 0.00" in shown.sentence
    assert "nats, less than its rounding lets be told; what it says is" in shown.sentence
    with pytest.raises(Unproven, match="to the last digit as with b"):
        swapped(prover, engine, version("c", near(0.002, seed=2)), new)
    # Weights that are equal give the same digits.
    engine = FakeEngine()
    assert not swapped(begun(engine), engine, version("d", A)).complete


def test_close_models_get_more_texts_before_the_engine_is_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = {"a": A, "b": near(0.008)}

    def cut(known: Reference) -> Reference:
        return Reference(texts=known.texts[:16], rounding=known.rounding)

    monkeypatch.setattr(proof, "computed", lambda path, known: whole[path.name])
    monkeypatch.setattr(Path, "glob", lambda *_: ["model.safetensors"])
    engine, kept = FakeEngine(), dict[str, Reference]()
    prover = Prover(engine.score, 512, kept.__setitem__)
    engine.holds = A
    prover.begin(Version("a", Path("a"), cut(A)))
    prover.expect(Version("b", Path("b"), cut(whole["b"])))
    engine.holds = whole["b"]
    shown = prover.check()
    assert shown.complete and 16 < engine.asked[-1] <= 96
    assert kept == whole


def test_the_tolerance_is_what_the_engine_measured_on_the_model_before() -> None:
    """A fault of a tenth of a nat is within bfloat16's rounding, and not within that of an exact engine."""
    new = near(1.0)
    off = reference(9, 0.1, new, num=96)
    for noise, refused in ((0.05, False), (1e-5, True)):
        engine = FakeEngine(noise)
        prover = begun(engine)
        if refused:
            with pytest.raises(Unproven, match=r"at most 0.0009, "):
                swapped(prover, engine, version("b", new), off)
        else:
            assert swapped(prover, engine, version("b", new), off).complete


def test_an_engine_that_grows_worse_from_swap_to_swap_is_refused_in_the_end() -> None:
    engine, models = FakeEngine(0.02), [A, C] * 6
    prover = begun(engine)
    with pytest.raises(Unproven):
        for number, model in enumerate(models):
            engine.noise *= 2
            swapped(prover, engine, version("ca"[number % 2], [C, A][number % 2]), [C, A][number % 2])
            assert model


def test_what_is_not_finite_is_refused() -> None:
    engine = FakeEngine()
    prover = begun(engine)
    prover.expect(version("b", near(1.0)))
    engine.noise = math.nan
    with pytest.raises(Unproven, match="no finite likelihood"):
        prover.check()


def test_an_engine_that_starts_beside_a_close_parent_is_not_taken_for_stale() -> None:
    """It has the new weights already when it is first asked, so that equal digits show nothing."""
    child = near(0.002)
    for noise in (2e-4, 0.05):
        engine = FakeEngine(noise)
        prover = Prover(engine.score, 512, lambda *_: None)
        engine.holds = child
        prover.expect(version("b", child), version("a", A))
        shown = prover.check()
        assert not shown.complete and "the engine holds b or a" in shown.sentence


def test_an_engine_that_starts_is_held_against_its_own_reference_and_its_parents() -> None:
    child = near(0.2)
    for beside in (None, version("a", A)):
        engine = FakeEngine()
        prover = Prover(engine.score, 512, lambda *_: None)
        prover.expect(version("b", child), beside)
        engine.holds = child
        assert prover.check().complete and prover.has_proved
        prover = Prover(engine.score, 512, lambda *_: None)
        prover.expect(version("b", child), beside)
        engine.holds = C
        with pytest.raises(Unproven):
            prover.check()
    engine.holds = A
    prover.expect(version("b", child), version("a", A))
    with pytest.raises(Unproven, match=r" -?\d % of the way"):
        prover.check()


def test_an_engine_that_never_held_what_it_should_is_found_at_the_first_swap() -> None:
    engine = FakeEngine()
    prover = begun(engine)
    engine.holds = C
    with pytest.raises(Unproven, match="the engine does not hold a"):
        prover.expect(version("b", near(1.0)))


def test_a_childs_reference_tells_of_a_parent_that_has_none() -> None:
    new = near(0.5)
    both = zip(new.texts, A.texts, strict=True)
    texts = tuple(Text(ids=text.ids, logprobs=text.logprobs, before=its.logprobs) for text, its in both)
    child = Reference(texts=texts, rounding=ROUNDING, parent_id="a")
    engine = FakeEngine()
    prover = Prover(engine.score, 512, lambda *_: None)
    prover.begin(version("a", None))
    engine.holds = A
    assert swapped(prover, engine, version("b", child)).complete
    assert swapped(prover, engine, version("a", None), A).complete
    with pytest.raises(Unproven):
        swapped(prover, engine, version("b", child), A)


def test_without_any_reference_it_says_so() -> None:
    engine = FakeEngine()
    prover = Prover(engine.score, 512, lambda *_: None)
    prover.begin(version("a", None))
    shown = swapped(prover, engine, version("b", None), A)
    assert not shown.complete and shown.sentence == "b is not proved: transformers has no reference for it"
    assert not engine.asked


def test_texts_are_cut_to_the_engines_context() -> None:
    engine = FakeEngine()
    seen: list[int] = []

    def score(texts: Sequence[Ids]) -> list[LogProbs]:
        seen.extend(map(len, texts))
        held = {
            ids[:15]: logprobs[:14] for ids, logprobs in ((t.ids, t.logprobs) for t in engine.holds.texts)
        }
        return [held[ids] for ids in texts]

    prover = Prover(score, 16, lambda *_: None)
    prover.begin(version("a", A))
    engine.holds = A
    assert swapped(prover, engine, version("b", near(1.0))).complete
    assert set(seen) == {15}


@pytest.mark.parametrize("num", [200, pytest.param(2000, marks=pytest.mark.soak)])
def test_true_swaps_raise_no_alarm(num: int) -> None:
    """Among models of all distances, at rounding that differs from model to model by a half."""
    rng, engine = random.Random(1), FakeEngine()
    models = [("m0", A)] + [(f"m{i}", near(0.04 * 1.5**i, seed=i)) for i in range(1, 10)]
    prover, held = begun(engine), ("a", A)
    num_complete = 0
    for _ in range(num):
        new = rng.choice([each for each in models if each[0] != held[0]])
        engine.noise = 0.05 * rng.uniform(0.7, 1.5)
        num_complete += swapped(prover, engine, version(*new)).complete
        held = new
    assert num_complete == num

"""Two hundred true swaps of a real engine, among models near and far: none is refused."""

import random
import time
from pathlib import Path
from typing import Any

import pytest
import ray

from configs.schema import Sampler
from engine.models.identity import model_id
from engine.models.nodes import ModelRef
from engine.models.proof import Proof
from engine.sample.group import SamplerGroup
from tests.support.stale import neighbour
from tests.support.tiny_model import make_tiny_model

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3600)]

NUM_SWAPS = 200
DISTANCES = (0.003, 0.01, 0.03, 0.1, 0.3)
TEXT = "The ferry left the harbour a little after six."


class Listening(SamplerGroup):
    """Keeps the proofs of its engine."""

    proofs: list[Proof]

    def _swapped(self, actor: Any, ref: ModelRef, swapping: Any) -> None:
        if swapped := ray.get(swapping):
            self.proofs.append(swapped[0])
        super()._swapped(actor, ref, swapping)


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_two_hundred_true_swaps(local_ray: None, tmp_path: Path, dtype: str) -> None:
    first = make_tiny_model(tmp_path / "first", spread=0.1)
    models = [first, make_tiny_model(tmp_path / "other", seed=1, spread=0.1)]
    models += [neighbour(first, tmp_path / f"{size}", size, seed=1) for size in DISTANCES]
    settings = Sampler(
        max_num_seqs=8, max_model_len=512, kv_cache_gib=0.1, dtype=dtype, max_new_tokens=8, max_restarts=0
    )
    rng, held, scores = random.Random(0), first, dict[Path, float]()
    with Listening(settings, first, threads=2, gpus=0, share_gpu=False) as group:
        group.proofs = []
        began = time.monotonic()
        for _ in range(NUM_SWAPS):
            held = rng.choice([model for model in models if model != held])
            (score,) = group.score(held, [TEXT])
            assert score.model_id == model_id(held)
            assert scores.setdefault(held, score.nll) == score.nll, "the same weights say the same"
        seconds = time.monotonic() - began
    assert not group._anew, "an engine that was refused is started anew"
    assert len(group.proofs) == NUM_SWAPS
    complete = sum(proof.complete for proof in group.proofs)
    print(f"{dtype}: {NUM_SWAPS} swaps in {seconds:.0f} s, {complete} proved, none refused")
    assert complete > NUM_SWAPS / 2

"""Full SFT by our driver on one GPU, with DeepSpeed's ZeRO-2 and without it, of the same rows."""

import json
from pathlib import Path

from tests.bench.gpu.work import Failed, Work
from tests.bench.work import draw, gold_rows, settings, train_ours

NUM_ROWS = 256
WAYS = {"ZeRO-2": ("loop.train.deepspeed=zero2.json",), "without": ()}
_APART = 0.05
"""Largest relative difference of the last losses: ZeRO keeps weights in bf16 that are fp32 without it."""


def overrides(model: Path, way: str) -> list[str]:
    return [
        f"base={json.dumps(str(model))}",
        "resources.num_gpus=1",
        "loop.train.tuning=full",
        "loop.train.learning_rate=1e-4",
        "loop.train.epochs=1",
        "loop.train.rehearsal_share=0",
        *WAYS[way],
    ]


def train_both_ways(work: Work) -> None:
    import ray

    from cluster.connect import connect

    losses: dict[str, float] = {}
    config, plan, base = settings(*overrides(work.model, "without"))
    rows = gold_rows(config, draw(config, NUM_ROWS, "bench-train"))
    connect(plan)
    try:
        for way in WAYS:
            config, plan, base = settings(*overrides(work.model, way))
            trained = train_ours(config, plan, base, rows, work.place / way)
            losses[way] = trained.final_loss
            work.found(way, trained.tokens_per_second, "tokens/s")
            work.found(f"{way}, last losses", trained.final_loss)
    finally:
        ray.shutdown()
    if abs(losses["ZeRO-2"] - losses["without"]) > _APART * losses["without"]:
        raise Failed(
            f"the losses differ: {losses['ZeRO-2']:.4f} with ZeRO-2, {losses['without']:.4f} without"
        )

"""A round of ours against a glue script that does the same work, and where our round's time goes.

The same problems sampled and verified, the same rows learnt, both models asked the same questions.
`python -m tests.bench.bench_round`. Our start-up, once a campaign, is shown apart.
"""

import json
import os
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from engine.evaluate import answer, open_benches
from engine.prompts import messages
from engine.records import Problem
from engine.sampler import Sampling
from engine.tasks import Suite
from engine.vllm_setup import engine_environment
from tests.bench.glue import STAGES
from tests.bench.harness import Spread, keep, side_by_side
from tests.bench.work import as_trl, draw, gold_rows, raw_engine, run_anew, settings, train_ours

NUM_PROBLEMS, SAMPLES, NUM_EVALUATED = 80, 2, 100
"""A quarter of what the quickstart's round proposes, and two looks."""


def main() -> None:
    before = dict(os.environ)
    started = time.perf_counter()
    from cluster.connect import connect

    config, plan, base = settings("train.epochs=1", "train.rehearsal_share=0")
    proposed = draw(config, NUM_PROBLEMS, "bench-propose")
    asked = draw(config, NUM_EVALUATED, "bench-evaluate")
    rows = gold_rows(config, proposed)
    length = config.sampler.max_new_tokens
    connect(plan)
    joined = time.perf_counter()
    suite = Suite(config.task.name, config.task.slices)
    parts: dict[str, list[float]] = {"sampling and verifying": [], "training steps": [], "all else": []}
    with tempfile.TemporaryDirectory() as scratch, open_benches(config, plan, suite, base) as benches:
        benches.labels.sampler.score(base, ["The sampler is there."])
        ready = time.perf_counter()
        print(f"start-up: Ray {joined - started:.1f} s, samplers and checkers {ready - joined:.1f} s")

        def ours() -> float:
            began = time.perf_counter()
            sampling = Sampling(samples=SAMPLES, temperature=0.5, max_new_tokens=length)
            answer(benches.labels, base, proposed, sampling)
            sampled = time.perf_counter() - began
            challenger = train_ours(config, plan, base, rows, Path(scratch) / "ours")
            trained = time.perf_counter()
            for model in (base, Path(challenger.path)):
                answer(benches.gate, model, asked, Sampling(max_new_tokens=length))
            seconds = time.perf_counter() - began
            sampled += time.perf_counter() - trained
            parts["sampling and verifying"].append(sampled / seconds)
            parts["training steps"].append(challenger.seconds / seconds)
            parts["all else"].append(1 - (sampled + challenger.seconds) / seconds)
            return 3600 / seconds

        work = {
            "base": str(base),
            "samples": SAMPLES,
            "max_new_tokens": length,
            "train": config.train.model_dump(mode="json"),
            "engine": raw_engine(config),
        }
        at = Path(scratch) / "glue"
        at.mkdir()
        (at / "settings.json").write_text(json.dumps(work))
        (at / "rows.json").write_text(json.dumps(as_trl(rows)))
        for name, problems in (("propose", proposed), ("evaluate", asked)):
            (at / f"{name}.json").write_text(json.dumps(_chats(config.system, problems)))
        environment = before | engine_environment(plan.samplers.threads)

        def glue() -> float:
            began = time.perf_counter()
            for stage in STAGES:
                run_anew("tests.bench.glue", environment, stage, str(at))
            return 3600 / (time.perf_counter() - began)

        side_by_side("round", "rounds/hour", {"ours": ours, "glue script": glue}, repeats=3, least=1.5)
    print("our round's time, as shares")
    for part, shares in parts.items():
        print(f"  {part:<28} {Spread.of(shares)}")
    keep("round parts", parts)


def _chats(system: str, problems: list[Problem]) -> list[dict[str, object]]:
    return [{"problem": asdict(p), "chat": messages(system, p.prompt)} for p in problems]


if __name__ == "__main__":
    main()

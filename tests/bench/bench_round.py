"""A round of ours against a glue script that does the same work, and where our round's time goes.

The same problems sampled and verified, the same rows learnt, both models asked the same questions.
`python -m tests.bench.bench_round`. Our start-up, once a campaign, is not in a round; the ratio with all of
it in one round is shown too.
"""

import json
import os
import tempfile
import time
from pathlib import Path

from engine.measure.bench import open_benches
from engine.measure.evaluate import answer
from engine.models.prompts import messages
from engine.models.reference import References
from engine.records import Problem, to_json
from engine.sample.protocol import Sampling
from engine.sample.vllm_setup import engine_environment
from engine.tasks import suite_of
from tests.bench.glue import STAGES
from tests.bench.harness import Spread, keep, side_by_side
from tests.bench.work import as_chat, as_trl, draw, gold_rows, raw_engine, run_anew, settings, train_ours

NUM_PROBLEMS, SAMPLES, NUM_EVALUATED = 80, 2, 100
"""A quarter of the problems of the quickstart's round, and two looks."""


def main() -> None:
    before = dict(os.environ)
    started = time.perf_counter()
    from cluster.connect import connect

    config, plan, base = settings("loop.train.epochs=1", "loop.train.rehearsal_share=0")
    proposed = draw(config, NUM_PROBLEMS, "bench-propose")
    asked = draw(config, NUM_EVALUATED, "bench-evaluate")
    rows = gold_rows(config, proposed)
    length = config.sampler.max_new_tokens
    connect(plan)
    seconds: dict[str, list[float]] = {"ours": [], "glue": []}
    parts: dict[str, list[float]] = {"sampling and verifying": [], "training steps": [], "all else": []}
    with (
        tempfile.TemporaryDirectory() as scratch,
        open_benches(
            config.sampler, config.verify, config.system, plan, suite_of(config), base, References()
        ) as benches,
    ):
        benches.labels.sampler.score(base, ["The sampler is there."])
        startup = time.perf_counter() - started

        def ours() -> float:
            began = time.perf_counter()
            sampling = Sampling(samples=SAMPLES, temperature=0.5, max_new_tokens=length)
            answer(benches.labels, base, proposed, sampling)
            sampled = time.perf_counter() - began
            challenger = train_ours(config, plan, base, rows, Path(scratch) / "ours")
            trained = time.perf_counter()
            for model in (base, Path(challenger.path)):
                answer(benches.gate, model, asked, Sampling(max_new_tokens=length))
            took = time.perf_counter() - began
            sampled += time.perf_counter() - trained
            parts["sampling and verifying"].append(sampled / took)
            parts["training steps"].append(challenger.seconds / took)
            parts["all else"].append(1 - (sampled + challenger.seconds) / took)
            seconds["ours"].append(took)
            return 3600 / took

        work = {
            "base": str(base),
            "samples": SAMPLES,
            "max_new_tokens": length,
            "train": config.loop.train.model_dump(mode="json"),
            "engine": raw_engine(config),
        }
        at = Path(scratch) / "glue"
        at.mkdir()
        (at / "settings.json").write_text(json.dumps(work))
        (at / "rows.json").write_text(json.dumps(as_trl(rows)))
        for name, problems in (("propose", proposed), ("evaluate", asked)):
            (at / f"{name}.json").write_text(json.dumps(_chats(benches.labels.system, problems)))
        environment = before | engine_environment(plan.samplers.threads)

        def glue() -> float:
            began = time.perf_counter()
            for stage in STAGES:
                run_anew("tests.bench.glue", environment, stage, str(at))
            took = time.perf_counter() - began
            seconds["glue"].append(took)
            return 3600 / took

        side_by_side("round", "rounds/hour", {"ours": ours, "glue script": glue}, repeats=3, least=1.5)
    whole = [theirs / (mine + startup) for mine, theirs in zip(seconds["ours"], seconds["glue"], strict=True)]
    print(f"with our start-up of {startup:.1f} s in each round: {Spread.of(whole)}")
    print("our round's time, as shares")
    for part, shares in parts.items():
        print(f"  {part:<28} {Spread.of(shares)}")
    keep("round parts", {"startup": startup, "with startup": whole, **parts})


def _chats(system: str, problems: list[Problem]) -> list[dict[str, object]]:
    return [{"problem": to_json(p), "chat": as_chat(messages(system, p.turns))} for p in problems]


if __name__ == "__main__":
    main()

"""Our trainer, through Ray Train, against plain TRL with its defaults: the same rows, by non-padding tokens.

One set has the rows of the quickstart, the other four rows about each story, as `prontoqa.yaml` does.

`python -m tests.bench.bench_train`. Start-up is in neither: `bench_start` has it.
"""

import json
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from configs.training import Sft
from engine.records import TrainingRow
from tests.bench.harness import side_by_side
from tests.bench.work import as_trl, draw, gold_rows, run_anew, settings, train_ours, train_plainly

NUM_ROWS = 40
ALONE = ("loop.train.epochs=1", "loop.train.rehearsal_share=0")
STORIES = (
    *ALONE,
    "task.slices={hops: [5], irrelevant: [0], distractors: [1], layout: [ontology]}",
    "loop.train.max_length=512",
)


def main() -> None:
    if len(sys.argv) == 5:
        model, rows, out = map(Path, sys.argv[1:4])
        print(train_plainly(model, rows, out, Sft.model_validate_json(sys.argv[4])))
        return
    # Plain TRL gets the environment as it was found, without what `connect` sets for ours.
    found = dict(os.environ)
    from cluster.connect import connect

    connect(settings(*ALONE)[1])
    compare("trainer", ALONE, 1, found)
    compare("trainer of stories", STORIES, 4, found)


def compare(name: str, overrides: tuple[str, ...], questions: int, found: dict[str, str]) -> None:
    config, plan, base = settings(*overrides)
    rows = gold_rows(config, draw(config, NUM_ROWS, "bench-train", questions=questions))
    apart = [replace(row, story="") for row in rows]
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "rows.json"
        file.write_text(json.dumps(as_trl(rows)))

        def ours(rows: list[TrainingRow]) -> float:
            return train_ours(config, plan, base, rows, Path(scratch) / "ours").tokens_per_second

        def theirs() -> float:
            arguments = [str(base), str(file), f"{scratch}/theirs", config.loop.train.model_dump_json()]
            return float(run_anew("tests.bench.bench_train", found, *arguments).split()[-1])

        variants = {"ours": lambda: ours(rows), "plain TRL": theirs}
        if questions > 1:
            variants["ours, each row by itself"] = lambda: ours(apart)
        side_by_side(name, "tokens/s", variants, repeats=4, least=1.2)


if __name__ == "__main__":
    main()

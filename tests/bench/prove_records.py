"""What `ratchet prove` makes of public records: the share answered, errors among the answers, replies drawn.

python -m tests.bench.prove_records proofwriter/smollm2-135m dev-200.json --task proofwriter --out rows.jsonl

Each record is asked as people ask, without its label, which is held against the answer afterwards. A row is
kept of each record as soon as it is decided; the same command goes on with those that have none. MODEL is
named as for `ratchet eval`, and `--task` is a task or a campaign's config.
"""

import argparse
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from cluster.connect import connect, settled_here
from engine.disk.home import ratchet_home
from engine.disk.jsonl import objects
from engine.measure.stats import interval
from engine.plan.plan import plan_sampling
from engine.prove.model import campaign_of, chat_for, model_for, room_for
from engine.prove.question import question_in
from engine.prove.run import answer, checkers
from engine.prove.search import Budget, Search
from engine.prove.styles import Posed, pose, tasks_for
from engine.records import Problem, Theory
from engine.sample.group import SamplerGroup

AT_ONCE = 16
"""Records that are asked together, and lost together where the measurement is interrupted."""


def measured(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """The rows of all records: those that were kept, and new ones."""
    home, campaign = ratchet_home(), campaign_of(arguments.task)
    (task,) = tasks_for(arguments.task, campaign)
    problems = task.read(arguments.file)[: arguments.num]
    posed = [pose(question_in(problem.turns[0]), [task]) for problem in problems]
    answering = model_for(home, arguments.model, campaign, posed)
    about = {"model": answering.path.name, "samples_allowed": arguments.samples, "seed": arguments.seed}
    rows = objects(arguments.out)
    if any({name: row[name] for name in about} != about for row in rows):
        raise SystemExit(f"{arguments.out} has rows of another model or budget: name another file")
    known = {row["id"] for row in rows}
    left = [pair for pair in zip(problems, posed, strict=True) if pair[0].id not in known]
    if not left:
        return rows
    chats = [chat_for(home, answering, each) for _, each in left]
    asking, machine = settled_here(room_for(answering, chats), home)
    plan = plan_sampling(asking.sampler, asking.resources, str(answering.path), machine, home)
    connect(plan)
    with SamplerGroup(
        asking.sampler,
        answering.path,
        threads=plan.samplers.threads,
        gpus=plan.samplers.gpus,
        share_gpu=False,
    ) as sampler:
        budget = Budget(samples=arguments.samples, seed=arguments.seed)
        for start in range(0, len(left), AT_ONCE):
            part, began = left[start : start + AT_ONCE], time.monotonic()
            searches = [
                Search(each.problem, str(number), chat)
                for number, ((_, each), chat) in enumerate(zip(part, chats[start:], strict=False))
            ]
            with checkers(searches, asking.verify) as pool:
                answer(searches, sampler, answering.path, pool, budget, asking.sampler.max_new_tokens)
            seconds = (time.monotonic() - began) / len(part)
            new = [
                about | row_of(*pair, search, seconds) for pair, search in zip(part, searches, strict=True)
            ]
            keep(arguments.out, new)
            rows += new
            print(f"{len(rows)} of {len(problems)}: {sum(map(is_answered, rows))} answered", flush=True)
    return rows


def row_of(problem: Problem, posed: Posed, search: Search, seconds: float) -> dict[str, Any]:
    """One record and its outcome."""
    assert isinstance(problem.truth, Theory), "records of tasks about proofs"
    outcome = search.outcome()
    return {
        "id": problem.id,
        "origin": problem.origin,
        "task": posed.tasks[0].name,
        "label": problem.truth.answer,
        "answer": outcome.answer,
        "samples": outcome.samples,
        "reason": outcome.reason,
        "faults": outcome.faults,
        "reply": outcome.reply,
        "seconds": round(seconds, 2),
    }


def keep(file: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Add rows to the file; they are on disk when this returns."""
    with file.open("a") as out:
        out.writelines(json.dumps(row) + "\n" for row in rows)
        out.flush()
        os.fsync(out.fileno())


def is_answered(row: dict[str, Any]) -> bool:
    return bool(row["answer"])


def figures(rows: Sequence[dict[str, Any]]) -> list[str]:
    """What was measured, of all records and by label."""
    lines = []
    for label in ("", "True", "False", "Unknown"):
        of = [row for row in rows if label in ("", row["label"])]
        if not of:
            continue
        answered = [row for row in of if is_answered(row)]
        wrong = [row for row in answered if row["answer"] != row["label"]]
        share = interval(len(answered), len(of))
        refused = sum(not row["samples"] for row in of)
        drawn = f"{mean(row['samples'] for row in answered):.1f}" if answered else "none"
        lines.append(
            f"{label or 'all':<8} {len(of):>5} records, answered {share.rate:6.1%} "
            f"({share.low:.1%} to {share.high:.1%}), errors {len(wrong)} of {len(answered)}, refused unasked "
            f"{refused}; replies a record {mean(row['samples'] for row in of):.1f}, a record answered {drawn}"
        )
        lines += [f"  error: {row['origin']}: {row['answer']}, labelled {row['label']}" for row in wrong]
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("file", type=Path)
    parser.add_argument("--task", required=True)
    parser.add_argument("--samples", type=int, default=Budget().samples)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-n", dest="num", type=int, default=None)
    parser.add_argument("--out", type=Path, required=True)
    rows = measured(parser.parse_args())
    print("\n".join(figures(rows)))


if __name__ == "__main__":
    main()

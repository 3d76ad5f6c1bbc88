"""A realistic run directory of a sweep, written from the records: trials of every fate, a winner judged."""

import json
import math
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from configs.sweep import Sweep, Value
from engine.records import Challenger, Evaluation, Final, TrainFailure, TrainFault, to_json
from tests.support.fixtures_report import BASE, WARM, challenger, evaluation, judged, warm_start, write_run
from tune.outcome import TrialRecord

SPACE: dict[str, Any] = {
    "warm_start": {
        "train": {
            "learning_rate": {"log_uniform": [2e-4, 3e-3]},
            "lora_rank": {"choice": [8, 32]},
            "rehearsal_share": {"uniform": [0.0, 0.5]},
            "schedule": {"choice": ["cosine", "constant"]},
            "gradient_checkpointing": {"choice": [True, False]},
        }
    }
}
NUM_PROBLEMS = 60
TICK = 1_790_000_000.0
"""When the first stage of the first trial began, in seconds since 1970."""


def model(number: int, rung: int) -> str:
    return f"{number:06x}{rung:02x}aa55aa55"


def values(number: int) -> dict[str, Value]:
    """A trial's values; the first has none."""
    rng = random.Random(number)
    train = "warm_start.train."
    return {} if number == 0 else {
        train + "learning_rate": float(f"{math.exp(rng.uniform(math.log(2e-4), math.log(3e-3))):.4g}"),
        train + "lora_rank": rng.choice([8, 32]),
        train + "rehearsal_share": float(f"{rng.uniform(0, 0.5):.4g}"),
        train + "schedule": rng.choice(["cosine", "constant"]),
        train + "gradient_checkpointing": rng.choice([True, False]),
    }  # fmt: skip


def score(number: int, rung: int) -> float:
    """Best at a learning rate of 1e-3, in whole problems."""
    rate = values(number).get("warm_start.train.learning_rate", 3e-4)
    peak = 0.55 - 0.5 * abs(math.log10(float(rate) / 1e-3))
    luck = random.Random(1000 + number).gauss(0, 0.03)
    return round(NUM_PROBLEMS * max(0.02, (peak + luck) * (0.6, 1.0)[rung])) / NUM_PROBLEMS


def rung_of(number: int, rung: int) -> Evaluation:
    return evaluation(model(number, rung), score(number, rung), score(number, rung) + 0.2, NUM_PROBLEMS)


def trained(number: int, rung: int) -> Challenger:
    made = challenger(model(number, rung), BASE, "sft")
    return replace(made, num_tokens=20_000 * (1, 3)[rung], stopped_early=False)


def fate(number: int, num: int) -> str:
    """The first finishes, the second fails if there are more, and every third finishes."""
    if number == 0 or num <= 2:
        return "finished"
    return "failed" if number == 1 else "finished" if number % 3 == 0 else "stopped"


def trial(number: int, num: int, reason: str = "loss 9.1 after a mean of 1.2") -> TrialRecord:
    status: Any = fate(number, num)
    rungs = {"finished": 2, "stopped": 1, "failed": 0}[status]
    stages = [(rung, name) for rung in range(rungs) for name in ("train", "select")] or [(0, "train")]
    return TrialRecord(
        number=number,
        values=values(number),
        status=status,
        reason=reason if status == "failed" else "",
        rungs=tuple(rung_of(number, rung) for rung in range(rungs)),
        challenger=trained(number, rungs - 1) if rungs else None,
        seconds={
            f"rungs/{rung}/{name}": (40.0 if name == "train" else 15.0) * (1 + rung) for rung, name in stages
        },
        memory_mib=1800 + number if rungs else 0,
    )


def write_trial(run_dir: Path, record: TrialRecord, begin: float) -> float:
    """Write a trial's run directory, and return when its last stage ended."""
    path = run_dir / "trials" / f"{record.number:03d}"
    (path / "rungs").mkdir(parents=True)
    now = begin
    with (path / "journal.jsonl").open("w") as journal:
        for stage, seconds in record.seconds.items():
            now += seconds
            rung = int(stage.split("/")[1])
            done: Any = trained(record.number, rung)
            if stage.endswith("select"):
                done = record.rungs[rung]
            elif record.status == "failed":
                done = TrainFailure(fault=TrainFault.LOSS_EXPLODED, reason=record.reason)
            (path / stage).parent.mkdir(exist_ok=True)
            (path / f"{stage}.json").write_text(to_json(done))
            journal.write(json.dumps({"stage": stage, "seconds": seconds, "sha256": "", "time": now}) + "\n")
    with (path / "metrics.jsonl").open("w") as metrics:
        for step in range(1, 13 * len(record.rungs) + 1):
            row = {"time": begin + step, "round": (step - 1) // 13, "stage": "train", "step": step}
            row |= {"loss": 1.6 * math.exp(-step / 11) + 0.01 * record.number, "learning_rate": 3e-4}
            row |= {"grad_norm": 2.4 * math.exp(-step / 15), "memory_mib": record.memory_mib}
            metrics.write(json.dumps(row) + "\n")
            if step % 5 == 0:
                look = {"time": begin + step, "round": row["round"], "stage": "train", "step": step}
                metrics.write(json.dumps(look | {"validation_loss": 1.5 * math.exp(-step / 12)}) + "\n")
    return now


def write_sweep(
    run_dir: Path, num: int = 9, until: str = "end", reason: str = "loss 9.1 after a mean of 1.2"
) -> Path:
    """Write the files of a sweep up to its ``start``, one trial under way (``trials``), the end of the
    ``search``, or its ``end``."""
    ended = until == "end"
    trials = [trial(number, num, reason) for number in range(num)]
    winner = max((it for it in trials if it.status == "finished"), key=lambda it: it.rungs[-1].score)
    rounds = ()
    if ended:
        record = judged(1)
        challenger_id = winner.challenger.model_id if winner.challenger else ""
        record = replace(
            record,
            challenger=winner.challenger,
            decision=replace(record.decision, challenger_id=challenger_id),
        )
        rounds = (warm_start(), record)
    write_run(run_dir, rounds, ended)
    (run_dir / "metrics.jsonl").unlink()
    sweep = Sweep(
        name="quick-sweep",
        campaign="../quickstart.yaml",
        space=SPACE,
        trials=max(num, 2),
        num_problems=NUM_PROBLEMS,
    )
    (run_dir / "sweep.yaml").write_text(yaml.safe_dump(sweep.model_dump(mode="json"), sort_keys=False))
    if until == "start":
        return run_dir
    now = TICK
    with (run_dir / "tried.jsonl").open("w") as tried:
        for record in trials:
            tried.write(json.dumps({"number": record.number, "values": record.values}) + "\n")
            # Between the first two trials the sweep was interrupted for a day.
            now = write_trial(run_dir, record, now + 86_400 * (record.number == 1))
    material = run_dir / "material/0123456789ab"
    material.mkdir(parents=True)
    entry = {"stage": "rehearse-160", "seconds": 31.0, "sha256": "", "time": TICK}
    (material / "journal.jsonl").write_text(json.dumps(entry) + "\n")
    if until == "trials":
        left = run_dir / "trials" / f"{num - 1:03d}"
        first = (left / "journal.jsonl").read_text().splitlines()[0]
        (left / "journal.jsonl").write_text(first + '\n{"stage": "rungs/0/sel')
        return run_dir
    (run_dir / "trials.jsonl").write_text("".join(to_json(it) + "\n" for it in trials))
    if ended and winner.challenger:
        sealed = evaluation(winner.challenger.model_id, 0.44, 0.7, 80)
        final = Final(baseline=evaluation(WARM, 0.35, 0.6, 80), champion=sealed, wins=14, losses=7, entropy=1)
        (run_dir / "final.json").write_text(to_json(final))
    return run_dir

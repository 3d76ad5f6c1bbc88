"""The log of an experiment: `experiment.yaml` in its run's directory, for people and for any YAML reader.

    python -c "import yaml; print(yaml.safe_load(open('.ratchet/runs/latest/experiment.yaml'))['conclusion'])"

It is written when the experiment begins and again at its end, and by `ratchet report`, from the files of the
run alone. `ratchet experiments` reads these logs.
"""

import math
from collections import Counter
from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from configs.load import config_hash
from configs.price import Price
from engine.disk.files import locked, replace_file
from engine.disk.journal import append_line, drop_torn_line
from engine.disk.jsonl import objects
from engine.measure.evaluate import suite_digest
from tune.arms import ArmTrial, weak_slices
from tune.effects import Range
from tune.experiment_data import ExperimentFiles
from tune.findings import Findings
from tune.ground import CHAMPION
from tune.lessons import conclusion, lessons, observations
from tune.listing import LOG, PAGE
from tune.meter import Spent
from tune.words import difference_text, saving

NOT_REPORTED = "not reported"
_KILOWATT_HOUR = 3.6e6
"""Joules."""
_ONE_LINE = 60
"""Characters of values that stand in one line."""


class _Dumper(yaml.SafeDumper):
    """Writes short lists and mappings of plain values in one line."""

    def represent_sequence(
        self, tag: str, sequence: Any, flow_style: bool | None = None
    ) -> yaml.SequenceNode:
        return super().represent_sequence(tag, sequence, _is_short(sequence))

    def represent_mapping(self, tag: str, mapping: Any, flow_style: bool | None = None) -> yaml.MappingNode:
        return super().represent_mapping(tag, mapping, _is_short(mapping.values()))


def _is_short(values: Collection[Any]) -> bool:
    plain = not any(isinstance(value, dict | list) for value in values)
    return plain and sum(len(str(value)) + 2 for value in values) < _ONE_LINE


def today() -> str:
    """The date of this moment, in UTC."""
    return datetime.now(UTC).strftime("%Y-%m-%d")


def new_id(home: Path, run_id: str, date: str) -> str:
    """The id of an experiment, which no other of this home has or had; a run that has one keeps it."""
    folder = home / "experiments"
    with locked(folder):
        file = folder / "ids.jsonl"
        drop_torn_line(file)
        known = objects(file)
        for each in known:
            if each["run_id"] == run_id:
                return str(each["id"])
        number = sum(each["id"].startswith(f"EXP-{date}-") for each in known) + 1
        new = f"EXP-{date}-{number:03d}"
        append_line(file, {"id": new, "run_id": run_id})
    return new


def write_log(run_dir: Path, files: ExperimentFiles, found: Findings | None) -> Path:
    """Write an experiment's log in one step, at any time; `found` is None before anything is measured."""
    target = run_dir / LOG
    tree = log_of(run_dir, files, found)
    text = yaml.dump(tree, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
    replace_file(target, text.encode())
    return target


def log_of(run_dir: Path, files: ExperimentFiles, found: Findings | None) -> dict[str, Any]:
    """The content of the log, as plain values."""
    settings, evidence = files.design.settings, files.evidence
    results: dict[str, Any] = {"metrics": {}, "observations": []}
    learnt: list[str] = []
    concluded = "Nothing is measured yet."
    if evidence and found:
        results = {"metrics": _metrics(found), "observations": observations(evidence, found)}
        learnt, concluded = lessons(evidence, found), conclusion(evidence, found)
    artifacts = {
        "run": str(run_dir),
        "report": str(run_dir / PAGE),
        "champion": evidence.ground.champion if evidence else None,
    }
    return {
        "experiment_id": files.begun.experiment_id,
        "date": files.begun.date,
        "description": f"{settings.name}: {', '.join(settings.arms)} on {settings.campaign}",
        "hypothesis": settings.hypothesis,
        "status": "finished" if files.ended else "under way",
        "configuration": _configuration(files),
        "data_snapshot": _data(files),
        "results": {**results, "artifacts": artifacts},
        "resources": resources(files),
        "failures": _failures(found),
        "lessons": learnt,
        "conclusion": concluded,
        "reproducibility": {
            "code_version": files.begun.code_version,
            "config_hash": config_hash(files.design.config),
            "environment": files.run.environment,
        },
    }


def _configuration(files: ExperimentFiles) -> dict[str, Any]:
    settings, config = files.design.settings, files.design.config
    base = config.base if isinstance(config.base, str) else config.base.model_dump()
    trainings = {
        key.partition(".")[2]: each.model_dump(mode="json") for key, each in config.loop.trains.items()
    }
    return {
        "base_model": base,
        "start": config.start,
        "training_data": {
            "task": config.task.name,
            "loop": config.loop.name,
            "learnt_tokens": settings.learnt_tokens,
        },
        "training_config": trainings.get("train", trainings),
        "arms": {arm: changes or {} for arm, changes in settings.arms.items()},
        "treatment": settings.treated,
        "control": settings.control,
        "seeds": sorted({seed for _, seed in files.design.trials}),
        "checkpoints": [settings.share(rung) for rung in range(settings.rungs)],
        "matters": settings.matters,
    }


def _data(files: ExperimentFiles) -> dict[str, Any]:
    """Everything that was learnt and asked, by hash."""
    evidence = files.evidence
    if evidence is None:
        return {}
    trained = evidence.ground.trained
    return {
        "problems": {
            "digest": suite_digest(evidence.problems),
            "num": len(evidence.problems),
            "entropy": files.begun.entropy,
        },
        "champion": {"training_set": trained.training_set_id, "tokens": trained.num_tokens}
        if trained
        else {},
        "weak_slices": list(weak_slices(evidence.ground.weaknesses)),
        "trials": [_learnt(trial) for trial in files.trials if trial.learnt],
    }


def _learnt(trial: ArmTrial) -> dict[str, Any]:
    assert trial.learnt
    return {
        "arm": trial.arm,
        "seed": trial.seed,
        "training_set": trial.learnt.training_set_id,
        "rows": trial.learnt.num_rows,
        "learnt_tokens": trial.learnt.num_tokens,
        **({"aimed_at": list(trial.learnt.aimed_at)} if trial.learnt.aims else {}),
    }


def _metrics(found: Findings) -> dict[str, Any]:
    return {
        "verdict": found.verdict,
        "more_seeds": found.more_seeds,
        "more_problems": found.more_problems,
        "primary": found.place or found.primary,
        "unit": found.unit,
        "comparisons": [
            {
                "arm": each.arm,
                "against": each.against,
                "where": each.where if each.kind in ("slice", "sentinel") else each.kind,
                "text": difference_text(each.effect, each.unit),
                "unit": each.unit,
                "difference": _rounded(each.effect.mean),
                "interval": _range(each.effect.both),
                "over_seeds": _range(each.effect.over_seeds),
                "over_problems": _range(each.effect.over_problems),
                "seeds": each.effect.num_seeds,
                "problems": each.effect.num_problems,
                "won": each.effect.won,
                "lost": each.effect.lost,
            }
            for each in found.comparisons
            if each.kind != "slice" or each.against != CHAMPION
        ],
        "data_ratios": [
            {
                "arm": each.arm,
                "where": each.kind,
                "text": saving(each.ratio),
                "ratio": None if each.ratio.value is None else _rounded(each.ratio.value),
                "interval": _range(each.ratio.both),
                "over_seeds": _range(each.ratio.over_seeds),
            }
            for each in found.savings
        ],
        "against_champion": [
            {
                "arm": each.arm,
                "seed": each.seed,
                "won": each.won,
                "lost": each.lost,
                "shown_better": each.shown,
            }
            for each in found.against_champion
        ],
    }


def resources(files: ExperimentFiles) -> dict[str, Any]:
    """What the experiment took so far."""
    spent, trials = files.spent, files.trials
    trained = files.evidence.ground.trained if files.evidence else None
    memory = [each.memory_mib for each in trials]
    memory += [row.get("memory_mib", 0) for row in files.run.metrics]
    challengers = [each.challenger for each in trials if each.challenger] + ([trained] if trained else [])
    return {
        "wall_seconds": round(spent.wall_seconds, 1),
        "seconds_by_stage": files.seconds,
        "core_hours": _rounded(spent.core_hours),
        "gpu_hours": _rounded(spent.gpu_hours),
        "train_worker_mib": max(memory, default=0) or NOT_REPORTED,
        "tokens": {
            "learnt": round(sum(each.num_tokens for each in trials)),
            "trained": sum(each.num_tokens for each in challengers),
            "sampled": files.asked.sampled,
            "read": files.asked.read,
        },
        "energy_kwh": {
            "processors": _kwh(spent.cpu_joules),
            "gpus": _kwh(spent.gpu_joules),
        },
        "cost": _cost(spent, files.design.settings.price),
    }


def _kwh(joules: float | None) -> float | str:
    return NOT_REPORTED if joules is None else _rounded(joules / _KILOWATT_HOUR)


def _cost(spent: Spent, price: Price | None) -> str:
    """What the machine cost, with its currency."""
    if price is None:
        return NOT_REPORTED
    cost = price.of(hours=spent.wall_seconds / 3600, core_hours=spent.core_hours, gpu_hours=spent.gpu_hours)
    return f"{cost:.2f} {price.currency}"


def _failures(found: Findings | None) -> dict[str, Any]:
    """How many trials failed, by kind, and each with its reason."""
    faults = found.faults if found else ()
    return {
        "by_kind": dict(Counter(each.kind for each in faults)),
        "trials": [
            {
                "trial": each.number,
                "arm": each.arm,
                "seed": each.seed,
                "kind": each.kind,
                "reason": each.reason,
            }
            for each in faults
        ],
    }


def _rounded(value: float) -> float | str:
    return float(f"{value:.5g}") if math.isfinite(value) else "unbounded"


def _range(interval: Range) -> list[float | str]:
    return [_rounded(interval.low), _rounded(interval.high)]

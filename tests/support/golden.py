"""Stage files of today in the shape that the golden files were written in (commit 558b134).

The golden files hold what runs of that commit wrote: all stage files of the tiny campaign and the tiny sweep.
Records have changed their shape since; nothing that a record says has. What depends on floating-point
arithmetic is compared on the kind of processor that wrote the files, up to the last bits, which the trainer
has changed since, and left out on any other.
"""

import hashlib
import json
import math
import os
import platform
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.records import Problem, to_json

GOLDEN = Path(__file__).parents[1] / "golden"
VOLATILE = ("seconds", "tokens_per_second", "time", "memory_mib")
NOT_STAGES = ("environment.json", "journal.jsonl", "metrics.jsonl", "tried.jsonl")

Tree = dict[str, Any]
_FRACTION = re.compile(r"\d+\.\d+(?:e-?\d+)?|\d+e-\d+")
"""A number in a sentence that is no count."""


def processor() -> str:
    """The kind of processor, by name, features and cores: it decides the last bits of trained weights."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if platform.system() == "Linux" else []
    told = {line.partition(":")[0].strip(): line.partition(":")[2].strip() for line in lines}
    features = hashlib.sha256(told.get("flags", "").encode()).hexdigest()[:12]
    return f"{told.get('model name', '')}, {features}, {len(os.sched_getaffinity(0))} cores"


def stages_of(run: Path) -> Tree:
    """Every stage file of a run by its old name, in the old shape, without times and places."""
    home, found = str(run.parents[1]), {}
    for file in sorted(run.rglob("*.json*")):
        parts = file.relative_to(run).parts
        if file.name in NOT_STAGES or parts[0] == "tune" or "training" in parts:
            continue
        name = "/".join(("material", *parts[2:]) if parts[0] == "material" else parts)
        lines = file.read_text().splitlines()
        found[name] = (
            [json.loads(line) for line in lines] if file.suffix == ".jsonl" else json.loads(lines[0])
        )
    return without_times(dict(_as_it_was(found)), home)


def without_times(value: Any, home: str) -> Any:
    if isinstance(value, dict):
        return {key: without_times(each, home) for key, each in value.items() if key not in VOLATILE}
    if isinstance(value, list):
        return [without_times(each, home) for each in value]
    return value.replace(home, "<home>") if isinstance(value, str) else value


def drawn(stages: Tree) -> Tree:
    """Of every stage in which problems were answered, these and their samples: no arithmetic decides them."""
    asked = ("probe", "look", "sample")
    return {
        name: [_asked(each) for each in stage]
        for name, stage in stages.items()
        if name.rpartition("/")[2].partition("-")[0].removesuffix(".jsonl") in asked
    }


def _asked(tree: Tree) -> list[Any]:
    """Problem and sample of an answer or a duel, in the old shape."""
    if "problem" in tree:
        return [tree["problem"]["id"], 0]
    return [tree["attempt"]["problem_id"], tree["attempt"]["sample"]]


def assert_as_golden(run: Path, name: str) -> None:
    """A finished run says what the golden one of `name` said, stage by stage."""
    wanted = json.loads((GOLDEN / f"{name}.json").read_text())
    got = json.loads(json.dumps(stages_of(run)))
    if json.loads((GOLDEN / "machine.json").read_text())["processor"] != processor():
        assert drawn(got) == drawn(wanted)
        assert set(got) >= set(drawn(wanted))
        return
    differing = list(_differences(_by_training(got), _by_training(wanted)))
    assert not differing, f"differs from {name}.json: {differing[:5]}"


def _by_training(stages: Tree) -> Tree:
    """Every model by the stage that trained it: its own name follows from the last bits of its weights."""
    text = json.dumps(stages)
    for stage, tree in stages.items():
        if stage.endswith("train.json"):
            text = text.replace(tree["model_id"], f"<model of {stage}>")
    renamed: Tree = json.loads(text)
    return renamed


def _differences(got: Any, wanted: Any, path: str = "") -> Iterator[str]:
    if isinstance(got, dict) and isinstance(wanted, dict):
        for key in sorted(got.keys() | wanted.keys()):
            if key in got and key in wanted:
                yield from _differences(got[key], wanted[key], f"{path}/{key}")
            else:
                yield f"{path}/{key} is in one of them"
    elif isinstance(got, list) and isinstance(wanted, list) and len(got) == len(wanted):
        for at, pair in enumerate(zip(got, wanted, strict=True)):
            yield from _differences(*pair, f"{path}/{at}")
    elif isinstance(got, float) and isinstance(wanted, float):
        if not math.isclose(got, wanted, rel_tol=1e-3, abs_tol=1e-3):
            yield f"{path}: {got} for {wanted}"
    elif isinstance(got, str) and isinstance(wanted, str):
        if _FRACTION.sub("#", got) != _FRACTION.sub("#", wanted):
            yield f"{path}: {got} for {wanted}"
    elif got != wanted:
        yield f"{path}: {got} for {wanted}"


def _as_it_was(found: Tree) -> Iterator[tuple[str, Any]]:
    sets = {
        tree["id"]: training_set(tree, "sft" if "/000/" in name else "rft")
        for name, tree in found.items()
        if name.endswith(("/gold.json", "/prefer.json"))
    }
    ids = {new: old["id"] for new, old in sets.items()}
    for name, tree in found.items():
        folder, _, leaf = name.rpartition("/")
        stage = leaf.partition(".")[0]
        match stage:
            case "gold" | "prefer":
                yield f"{folder}/prefer.json", sets[tree["id"]]
            case "sealed-answers":
                pass  # not kept at that time
            case "start":
                yield (
                    name,
                    _without(tree, "working", "refusals", "touched", "written", "lived", "system_in_turn"),
                )
            case "baseline":
                yield name, {each["where"]: evaluation(each["evaluation"]) for each in tree["measured"]}
            case "final":
                ends = {key: evaluation(tree[key]) for key in ("baseline", "champion")}
                yield name, _without(tree, "panels") | ends
            case "summary":
                yield name, _summary(tree)
            case "train":
                yield name, challenger(tree, ids)
            case "select":
                yield name, evaluation(tree)
            case "alive":
                yield name, check(tree)
            case "round":
                yield name, _round(tree, ids)
            case "trials":
                yield name, [_trial(each, ids) for each in tree]
            case "probe" | "sample":
                yield name, [answer(each) for each in tree]
            case "mine":
                yield name, [_without(each, "signal", "limit") for each in tree]
            case _ if stage.startswith("look-"):
                yield name, [_duel(each) for each in tree]
            case _ if folder.startswith("sentinels"):
                if "english" in folder:
                    yield f"sentinels/{leaf}", _sentinels(tree, found[f"sentinels/instructions/{leaf}"])
            case _:
                yield name, tree


def _without(tree: Tree, *keys: str) -> Tree:
    return {key: value for key, value in tree.items() if key not in keys}


def old_problem(problem: Problem) -> Tree:
    return _problem(json.loads(to_json(problem)))


def _problem(tree: Tree) -> Tree:
    truth, (turn,) = tree["truth"], tree["turns"]
    theory = truth["kind"] == "theory"
    return {
        "id": tree["id"],
        "task": tree["task"],
        "slice": tree["slice"],
        "premises": truth["premises"] if theory else [],
        "question": truth["question"] if theory else turn,
        "prompt": turn,
        "gold_answer": truth["answer"] if theory else truth["accepted"][0],
        "gold_text": "".join(tree["gold"]),
        "notation": truth["notation"] if theory else "english",
        "split": tree["split"],
        "origin": tree["origin"],
        "story": tree["story"],
    }


def _attempt(tree: Tree) -> Tree:
    (text,) = tree["replies"]
    return _without(tree, "replies") | {"text": text}


def _verdict(tree: Tree) -> Tree:
    proof = tree["proof"] or {"valid": tree["right"], "steps": [], "num_valid": 0, "fault_step": 0}
    return _without(tree, "right", "grade", "proof", "worlds") | {
        "answer_right": tree["right"],
        "proof_valid": proof["valid"],
        "steps": proof["steps"],
        "num_valid_steps": proof["num_valid"],
        "fault_step": proof["fault_step"],
    }


def answer(tree: Tree) -> Tree:
    return {"attempt": _attempt(tree["attempt"]), "verdict": _verdict(tree["verdict"])}


def _duel(tree: Tree) -> Tree:
    return {
        "problem": _problem(tree["problem"]),
        "champion": answer(tree["champion"]),
        "challenger": answer(tree["challenger"]),
    }


def evaluation(tree: Tree) -> Tree:
    figures = {figure["key"]: figure["value"] for figure in tree["figures"]}
    return {
        "model_id": tree["model_id"],
        "suite": tree["suite"],
        "accuracy": figures["accuracy"],
        "strict": figures["strict"],
        # A task without proof lines had a share of 0 of none, and then only answers were counted.
        "step_validity": figures.get("step_validity", 0.0),
        "step_validity_with_answer": figures.get("step_validity_with_answer", figures["accuracy"]["rate"]),
        "num_undecided": tree["num_undecided"],
        "pass_at_k": figures.get("pass_at_k"),
        "k": tree["k"],
        "majority": figures.get("majority"),
        "distinct_per_problem": figures["distinct"],
        "mean_tokens": figures["tokens"],
        "slices": [
            {
                "slice": each["slice"],
                "strict": each["shares"]["strict"],
                "accuracy": each["shares"]["accuracy"],
            }
            for each in tree["slices"]
        ],
    }


def funnel(tree: Tree | None) -> Tree | None:
    if tree is None:
        return None
    station = {each["name"]: (each["num_in"], each["num_out"]) for each in tree["stations"]}
    lost = {name: went_in - came_out for name, (went_in, came_out) in station.items()}
    return {
        "problems": station["sampled"][0],
        "generated": station["sampled"][1],
        "unparsed": lost["parsed"],
        "duplicate": lost["distinct"],
        "leaked": lost["not leaked"],
        "undecided": lost["decided"],
        "failed": lost["passed"],
        "kept": station["passed"][1],
        "unsolved_problems": lost["solved"],
        "trivial_problems": lost["contrast"],
        "rows": station["rows"][1],
    }


def training_set(tree: Tree, method: str) -> Tree:
    rows = [_row(row) for row in tree["rows"]]
    lines = "\n".join(json.dumps(row, separators=(",", ":"), ensure_ascii=False) for row in rows)
    return {
        "id": hashlib.sha256(lines.encode()).hexdigest()[:16],
        "method": method,
        "rows": rows,
        "num_rehearsal": sum(row["role"] == "hold" for row in tree["rows"]),
        "funnel": funnel(tree["funnel"]),
    }


def _row(tree: Tree) -> Tree:
    assert tree["weight"] == 1.0
    said = {turn["role"]: turn["text"] for turn in tree["chat"]}
    return {
        "problem_id": tree["problem_id"],
        "prompt": said.get("user", ""),
        "chosen": tree["chosen"],
        "rejected": tree["rejected"],
        "system": said.get("system", ""),
        "ends": tree["ends"],
        "story": tree["story"],
    }


def challenger(tree: Tree | None, ids: dict[str, str]) -> Tree | None:
    return tree and _without(tree, "not_learnt") | {"training_set_id": ids[tree["training_set_id"]]}


def check(tree: Tree) -> Tree:
    return _without(tree, "value", "limit", "unit")


def _round(tree: Tree, ids: dict[str, str]) -> Tree:
    at = {(each["who"], each["where"]): evaluation(each["evaluation"]) for each in tree["measured"]}
    places = [("champion", "probe")]
    places += [(who, where) for where in ("gate", "sampled") for who in ("champion", "challenger")]
    decision = tree["decision"] | {"checks": [check(each) for each in tree["decision"]["checks"]]}
    assert not tree.get("carries")
    since = ("measured", "panels", "carries", "working_before", "working_after", "due", "watched", "usage")
    return _without(tree, *since) | {
        **{f"{who}_{where}": at.get((who, where)) for who, where in places},
        "challenger": challenger(tree["challenger"], ids),
        "decision": decision,
        "funnel": funnel(tree["funnel"]),
        "samples": [
            {
                "problem": duel["problem"],
                "before": duel["champion"]["attempt"],
                "before_verdict": duel["champion"]["verdict"],
                "after": duel["challenger"]["attempt"],
                "after_verdict": duel["challenger"]["verdict"],
            }
            for duel in map(_duel, tree["samples"])
        ],
    }


def _trial(tree: Tree, ids: dict[str, str]) -> Tree:
    rungs = [evaluation(each) for each in tree["rungs"]]
    return tree | {"rungs": rungs, "challenger": challenger(tree["challenger"], ids)}


def _sentinels(english: Tree, instructions: Tree) -> Tree:
    return {
        "model_id": english["model_id"],
        "nll": english["scores"],
        "num_tokens": english["num_tokens"],
        "answered": [bool(score) for score in instructions["scores"]],
    }


def _summary(tree: Tree) -> Tree:
    later = ("headline", "base", "baseline", "best", "carried", "working", "usage", "not_judged")
    return _without(tree, *later) | {
        "strict_base": tree["base"],
        "strict_baseline": tree["baseline"],
        "strict_champion": tree["best"],
    }

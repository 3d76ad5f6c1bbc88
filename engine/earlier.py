"""Files of the version before the loops had settings of their own (0.1.0 up to commit 558b134).

Registries and models of that version are read as they are: what today's records have besides has defaults.
Readings are converted here. A run's stages are of another shape: an unfinished run is refused with the way to
finish it, and a finished one with what is left of it.
"""

from pathlib import Path
from typing import Any

import yaml

from configs.load import load
from configs.schema import Config

_LAST = "558b134"
_TITLES = {
    "accuracy": "accuracy",
    "strict": "strict",
    "step_validity": "valid steps",
    "step_validity_with_answer": "valid steps, answer counted",
    "pass_at_k": "any of k samples passes",
    "majority": "most frequent answer right",
    "distinct_per_problem": "distinct completions a problem",
    "mean_tokens": "tokens, mean",
}
_KEYS = {"distinct_per_problem": "distinct", "mean_tokens": "tokens"}
_UNITS = {"distinct_per_problem": "", "mean_tokens": "tokens"}


def config_of(run: Path) -> Config:
    """The resolved config of a run. One that was begun before models were carried carries none.

    Raises ConfigError.
    """
    path = run / "config.yaml"
    try:
        gate = yaml.safe_load(path.read_text(encoding="utf-8"))["gate"]
    except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError):
        return load(path)
    return load(path, ["gate.carry=false"] if isinstance(gate, dict) and "carry" not in gate else [])


def begun_by_earlier(run: Path) -> str | None:
    """Why a run of the earlier version cannot be opened, and what to do; None for any other directory."""
    try:
        tree = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return None
    if not isinstance(tree, dict) or not isinstance(tree.get("loop"), str) or "propose" not in tree:
        return None
    if (run / "summary.json").exists():
        return (
            f"run {run.name} was begun and finished by an earlier version of Ratchet: nothing of it is left "
            "to do, that version wrote its report.html, and its line and models in the registry are read by "
            "this one"
        )
    return (
        f"run {run.name} was begun by an earlier version of Ratchet, whose stages this one does not read: "
        f"finish it with that version (git checkout {_LAST}, then `ratchet resume {run.name}`), or start a "
        "new run; its line and models in the registry are read by both"
    )


def reading_of_earlier(tree: dict[str, Any]) -> dict[str, Any]:
    """A kept reading (`ratchet eval --data`) in today's shape; any other tree as it is."""
    evaluations = tree.get("evaluations")
    if not isinstance(evaluations, dict):
        return tree
    num = len(tree.get("problems") or ())
    return tree | {"evaluations": {name: _evaluation(each, num) for name, each in evaluations.items()}}


def _evaluation(old: Any, num_problems: int) -> Any:
    if not isinstance(old, dict) or "strict" not in old or "figures" in old:
        return old
    figures = [
        {
            "key": _KEYS.get(key, key),
            "title": title,
            "value": old[key],
            "unit": _UNITS.get(key, "share"),
        }
        for key, title in _TITLES.items()
        if old.get(key) is not None
    ]
    shares = ("accuracy", "strict")
    return {
        "model_id": old["model_id"],
        "suite": old["suite"],
        "k": old["k"],
        "num_problems": num_problems,
        "num_undecided": old["num_undecided"],
        "headline": "strict",
        "figures": figures,
        "slices": [
            {"slice": each["slice"], "shares": {key: each[key] for key in shares}} for each in old["slices"]
        ],
    }

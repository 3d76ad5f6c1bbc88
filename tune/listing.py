"""The list of a home's experiments, read from their logs alone: `ratchet experiments`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from engine.terminal import printable

LOG = "experiment.yaml"
"""The log of an experiment, in its run's directory."""
PAGE = "experiment.html"


@dataclass(frozen=True, slots=True, kw_only=True)
class Logged:
    """An experiment as the list shows it."""

    id: str
    run_id: str
    date: str
    status: str
    hypothesis: str
    arms: tuple[str, ...]
    treatment: str
    control: str
    verdict: str
    difference: str
    """The difference of treatment and control with its interval; empty before both have finished a seed."""
    data_ratio: str
    conclusion: str
    cost: str
    report: str


def logged(home: Path) -> list[Logged]:
    """All experiments of a home, the oldest first. A log that cannot be read is left out."""
    found = []
    for file in sorted((home / "runs").glob(f"*/{LOG}")):
        if file.parent.is_symlink():
            continue
        try:
            tree = yaml.safe_load(file.read_text(encoding="utf-8"))
            found.append(_logged(file, tree))
        except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError, AttributeError):
            continue
    return sorted(found, key=lambda each: each.id)


def _logged(file: Path, tree: Mapping[str, Any]) -> Logged:
    configuration, metrics = tree["configuration"], tree["results"]["metrics"]
    treatment, control = configuration["treatment"], configuration["control"]
    judged = [
        each
        for each in metrics.get("comparisons", [])
        if (each["arm"], each["against"], each["where"]) == (treatment, control, metrics["primary"])
    ]
    ratios = [
        each
        for each in metrics.get("data_ratios", [])
        if (each["arm"], each["where"]) == (treatment, metrics["primary"])
    ]
    return Logged(
        id=str(tree["experiment_id"]),
        run_id=file.parent.name,
        date=tree["date"],
        status=tree["status"],
        hypothesis=tree["hypothesis"],
        arms=tuple(configuration["arms"]),
        treatment=treatment,
        control=control,
        verdict=metrics.get("verdict", "undecided"),
        difference=judged[0]["text"] if judged else "",
        data_ratio=ratios[0]["text"] if ratios else "",
        conclusion=tree["conclusion"],
        cost=str(tree["resources"]["cost"]),
        report=str(file.with_name(PAGE)),
    )


def print_list(experiments: Sequence[Logged]) -> None:
    """Print a line for each experiment, and below them what each asked and what came of it."""
    if not experiments:
        print("there is no experiment yet: `ratchet experiment configs/experiments/error-driven.yaml`")
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for head in ("id", "arms", "effect", "data ratio", "conclusion"):
        table.add_column(head, overflow="fold", no_wrap=head == "id")
    for each in experiments:
        verdict = each.verdict if each.status == "finished" else f"{each.verdict} ({each.status})"
        arms = f"{each.treatment} against {each.control}, of {len(each.arms)}"
        cells = (each.id, arms, each.difference or "–", each.data_ratio or "–", verdict)
        table.add_row(*(Text(printable(cell)) for cell in cells))
    Console().print(table)
    for each in experiments:
        print(printable(f"\n{each.id}  {each.hypothesis}\n  {each.conclusion}\n  run {each.run_id}"))

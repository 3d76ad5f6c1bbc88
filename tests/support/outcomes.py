"""Outcomes of two models for tests: from counts, from pairs of the gate, and as files."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.gate.arithmetic import Pair
from engine.gate.outcomes import Outcomes, of_values


def of_pairs(pairs: Sequence[Pair], prefix: str = "q") -> tuple[Outcomes, Outcomes]:
    """Two models' outcomes from (old passed, new passed) of each item."""
    old, new = ({f"{prefix}{at}": pair[side] for at, pair in enumerate(pairs)} for side in (0, 1))
    return of_values(old, "old"), of_values(new, "new")


def of_counts(won: int, lost: int, num: int, prefix: str = "q") -> tuple[Outcomes, Outcomes]:
    """Two models' outcomes on `num` items, the rest of them passed by both."""
    pairs = [(False, True)] * won + [(True, False)] * lost + [(True, True)] * (num - won - lost)
    return of_pairs(pairs, prefix)


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    """Write a file of JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write_pair(folder: Path, won: int, lost: int, num: int, prefix: str = "q") -> tuple[str, str]:
    """Write two models' outcomes on `num` items as files, and return their paths."""
    old, new = of_counts(won, lost, num, prefix)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, outcomes in (("old", old), ("new", new)):
        rows = [{"id": each, "pass": bool(item.value)} for each, item in outcomes.items.items()]
        paths.append(str(write_rows(folder / f"{prefix}{name}.jsonl", rows)))
    return paths[0], paths[1]

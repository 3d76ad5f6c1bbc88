"""How long a stage usually takes: as long as it took the last time that the same config ran here."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from engine.disk.jsonl import objects
from engine.terminal import duration

_OF_ONE_RUN = ("run_id:", "seed:", "line:")
"""Keys that say nothing of how much work a config is."""


def usual_seconds(run: Path) -> Mapping[str, float]:
    """Seconds of each stage in the newest other finished run with this run's config; empty without one.

    Other runs may be damaged: this is for people only, and no reason to stop.
    """
    ends = [path for path in run.parent.glob("*/summary.json") if path.parent.name != "latest"]
    for end in sorted(ends, key=lambda path: path.stat().st_mtime, reverse=True):
        with suppress(OSError, ValueError, KeyError, TypeError):
            if _settings(end.parent) == _settings(run):
                return {entry["stage"]: entry["seconds"] for entry in objects(end.parent / "journal.jsonl")}
    return {}


def _settings(run: Path) -> list[str]:
    """The lines of a resolved config that say how much work it is."""
    lines = (run / "config.yaml").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if not line.startswith(_OF_ONE_RUN)]


def in_words(seconds: float | None) -> str:
    """What a stage took the last time, to go behind a sentence; empty where that is not known."""
    return "" if seconds is None or seconds < 10 else f", {duration(seconds)} the last time"

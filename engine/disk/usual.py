"""How long a stage usually takes: as long as it took the last time that the same config ran here."""

from collections.abc import Mapping
from pathlib import Path

from engine.disk.jsonl import objects
from engine.terminal import duration


def usual_seconds(run: Path, name: str) -> Mapping[str, float]:
    """Seconds of each stage in the newest other finished run of a config with this name, if there is one."""
    others = [
        other
        for other in run.parent.iterdir()
        if other.name not in (run.name, "latest")
        and (other / "summary.json").exists()
        and _name(other) == name
    ]
    if not others:
        return {}
    newest = max(others, key=lambda other: (other / "summary.json").stat().st_mtime)
    return {entry["stage"]: entry["seconds"] for entry in objects(newest / "journal.jsonl")}


def _name(run: Path) -> str:
    """The name in a run's config, which is the first line of the file."""
    with open(run / "config.yaml", encoding="utf-8") as file:
        return file.readline().removeprefix("name:").strip()


def in_words(seconds: float | None) -> str:
    """What a stage took the last time, to go behind a sentence; empty where that is not known."""
    return "" if seconds is None or seconds < 10 else f", {duration(seconds)} the last time"

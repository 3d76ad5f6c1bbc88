"""Campaigns whose plans are looked at."""

from pathlib import Path

from configs.load import load
from configs.schema import Config


def config(name: str = "quickstart", *overrides: str) -> Config:
    return load(CONFIGS / f"{name}.yaml", list(overrides))


CONFIGS = Path(__file__).parents[2] / "configs"

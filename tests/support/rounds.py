"""A round without models: a run, its context and recorded stages."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from configs.load import from_tree
from engine.disk.steps import Run
from engine.models.identity import Model
from engine.records import RoundRecord, Start
from engine.registry.registry import Registry
from tests.support.fixtures_report import challenger, warm_start
from tests.support.plans import TWO_CORES
from tests.support.registry import LINE, decision
from tests.support.suites import suite

CHAMPION = Model(id="m0", path=Path("m0"))


def context(run: Run, registry: Registry) -> Any:
    return SimpleNamespace(
        run=run,
        registry=registry,
        config=run.config,
        plan=TWO_CORES,
        suite=suite("prontoqa"),
        begun=Start(champion="m0", epoch=0),
        stage=lambda number, name: f"rounds/{number:03d}/{name}",
    )


def a_run(home: Path) -> Run:
    return Run.create(home, from_tree({"name": "tiny", "line": LINE, "stop": {"rounds": 1}}, "test"), "run")


def recorded(accepted: bool) -> RoundRecord:
    return replace(
        warm_start(),
        round=1,
        champion_before="m0",
        champion_after="m1" if accepted else "m0",
        challenger=challenger("m1", "m0", "rft"),
        decision=decision(accepted),
    )

"""A registry in a temporary home, shared by the tests of several rooms."""

from pathlib import Path

from engine.records import Decision
from engine.registry.registry import Registry
from engine.registry.store import Manifest

LINE = "prontoqa/tiny"


def manifest(model_id: str) -> Manifest:
    return Manifest(
        model_id=model_id,
        parent_id="",
        training_set_id="",
        config_hash="c",
        seed=0,
        code_version="v",
        decision=None,
    )


def store(registry: Registry, home: Path, model_id: str) -> Path:
    source = home / "runs" / model_id
    source.mkdir(parents=True, exist_ok=True)
    (source / "model.safetensors").write_bytes(model_id.encode() * 1000)
    (source / "config.json").write_text("{}")
    return registry.add(source, manifest(model_id))


def decision(accepted: bool) -> Decision:
    return Decision(
        champion_id="m0",
        challenger_id="m1",
        level=0.025,
        entropy=1,
        looks=(),
        checks=(),
        accepted=accepted,
        reason="because",
        second_verifier="none",
    )


def with_baseline(home: Path) -> Registry:
    registry = Registry(home)
    store(registry, home, "m0")
    registry.promote(LINE, "m0", run_id="run", round=0, expected_epoch=0, baseline=True)
    registry.open_ledger(LINE, alpha=0.05, planned_tests=2, run_id="run", fresh=True)
    return registry


def show_better(registry: Registry, round: int, model_id: str, run_id: str = "run") -> None:
    registry.commit_test(LINE, run_id=run_id, round=round, challenger_id=model_id)
    registry.settle_test(LINE, run_id=run_id, round=round, rejected_null=True)

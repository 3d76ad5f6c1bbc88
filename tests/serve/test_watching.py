"""The state that the page shows, where each version has a question of its own task, and readiness."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.serve.exceptions import RayServeException
from starlette.testclient import TestClient

from configs.serving import Serving
from engine.registry.registry import Registry
from engine.registry.store import Example
from serve import routes
from serve.gateway import desk_of
from serve.metrics import Metrics
from serve.slots import Slots, SlotsFile
from serve.watching import examples_of
from tests.support.registry import LINE, manifest, store


def test_each_version_comes_with_the_question_of_its_manifest(tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    store(registry, tmp_path, "m0")
    source = tmp_path / "runs" / "m0"
    example = Example(system="Add.", turns=("What is 2 + 3?", "And twice that?"))
    registry.add(source, replace(manifest("m1"), example=example))
    slots = Slots(line=LINE, epoch=1, active="a", versions={"a": "m1", "b": "m0"})
    assert examples_of(registry, slots) == {
        "m1": {"system": "Add.", "turns": ("What is 2 + 3?", "And twice that?")},
        "m0": None,
    }
    loading = replace(slots, versions={"a": "m1", "b": None})
    assert list(examples_of(registry, loading)) == ["m1"]
    assert examples_of(registry, None) == {}


@pytest.mark.parametrize(
    ("engine", "status", "said"),
    [("m1", 200, "ok"), (None, 503, "loading"), (RayServeException(), 503, "no engine")],
)
def test_a_gateway_is_ready_while_an_engine_holds_the_champion(
    tmp_path: Path, engine: str | Exception | None, status: int, said: str
) -> None:
    async def version() -> str | None:
        if isinstance(engine, Exception):
            raise engine
        return engine

    async def everyone(method: str, *_: Any) -> list[Any]:
        return []

    handle: Any = SimpleNamespace(version=SimpleNamespace(remote=version))
    handle.options = lambda **_: handle
    SlotsFile(tmp_path, LINE).write(Slots(line=LINE, epoch=1, active="a", versions={"a": "m1"}))
    desk = desk_of(Serving(line=LINE), tmp_path, {"a": handle}, Metrics("g"))
    reply = TestClient(routes.build(desk, "own", everyone)).get("/readyz")
    assert (reply.status_code, reply.text) == (status, said)

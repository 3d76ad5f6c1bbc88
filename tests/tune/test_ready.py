"""A sweep over rounds needs a champion, and is told what makes one."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from configs.sweep import load_sweep
from engine.registry.registry import Registry
from engine.registry.store import RegistryError
from tests.support.registry import store
from tune.ready import require_begun

SWEEP: dict[str, Any] = {
    "name": "s",
    "campaign": "../c.yaml",
    "set": {"start": "champion"},
    "space": {"loop": {"samples": {"choice": [2, 8]}}},
    "search": "grid",
}


def ask(home: Path, changes: dict[str, Any], **campaign: Any) -> None:
    """Ask whether a sweep can begin, from files as a user writes them."""
    file = home / "sweeps" / "s.yaml"
    file.parent.mkdir(exist_ok=True)
    (home / "c.yaml").write_text(yaml.safe_dump({"name": "c", "line": "a/b"} | campaign))
    file.write_text(yaml.safe_dump(SWEEP | {"set": SWEEP["set"] | changes}))
    sweep, varied = load_sweep(file)
    require_begun(sweep, varied.config, file, home)


@pytest.mark.parametrize(
    ("changes", "campaign", "command"),
    [
        ({}, {}, "c.yaml stop.rounds=1"),
        ({"line": "a/b", "baseline": None}, {}, "c.yaml stop.rounds=1"),
        ({"line": "a/s"}, {}, "c.yaml stop.rounds=1 line=a/s"),
        ({}, {"start": "champion"}, "c.yaml stop.rounds=1 start=base"),
        (
            {"base": {"hub": "a/b", "revision": "0" * 40}},
            {},
            'c.yaml stop.rounds=1 \'base={"hub": "a/b", "revision": "' + "0" * 40 + "\"}'",
        ),
    ],
)
def test_a_sweep_over_rounds_of_an_empty_line_is_told_what_to_run(
    tmp_path: Path, changes: dict[str, Any], campaign: dict[str, Any], command: str
) -> None:
    with pytest.raises(RegistryError) as error:
        ask(tmp_path, changes, **campaign)
    line = changes.get("line", "a/b")
    assert str(error.value) == (
        f"line {line} has no champion, and each trial of {tmp_path}/sweeps/s.yaml is a round, which starts "
        f"from one: `ratchet run {tmp_path}/{command}` makes one"
    )
    assert not (tmp_path / "registry").exists()


def test_a_line_with_a_champion_can_be_swept(tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    store(registry, tmp_path, "m0")
    registry.promote("a/b", "m0", run_id="first", round=0, expected_epoch=0, baseline=True)
    ask(tmp_path, {})


def test_a_sweep_over_warm_starts_needs_none(tmp_path: Path) -> None:
    file = Path("tests/support/tiny_sweep.yaml")
    sweep, campaign = load_sweep(file)
    require_begun(sweep, campaign.config, file, tmp_path)

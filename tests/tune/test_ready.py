"""What ends a sweep or an experiment later is refused before it begins."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from configs.load import ConfigError, from_tree
from configs.sweep import load_sweep
from configs.training import OwnMethod
from engine.plugins import PluginError
from engine.registry.registry import Registry
from engine.registry.store import RegistryError
from engine.tasks import suite_of
from engine.tasks.fixed import Fixed
from engine.tasks.suite import DataError
from tests.support.records_files import sums, write_rows
from tests.support.registry import store
from tests.support.scripted_experiment import design_in
from tune.ready import (
    _require_different,
    require_apart,
    require_begun,
    require_comparable,
    require_playable,
    require_unjudged,
)

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


def of_records(folder: Path, loop: dict[str, Any] | None = None, **changes: Any) -> Any:
    """An experiment on 1,200 records, of which the probe part has some."""
    rows = [row | {"slice": "rare" if i < 300 else "usual"} for i, row in enumerate(sums(1_200))]
    for row in rows[:300]:
        row["split"] = "train"
    task = {"name": "records", "file": str(write_rows(folder / "my.jsonl", rows))}
    return design_in(folder, {"task": task, "loop": loop or {"name": "error_driven"}}, **changes)


ARMS: dict[str, Any] = {"fast": {"loop": {"samples": 3}}, "slow": {}}


@pytest.mark.parametrize(
    ("loop", "arms", "probe", "before"),
    [
        ({}, {}, 20, 96),
        ({}, {"wide": {"loop": {"probe": {"num_problems": 110}}}}, 20, 110),
        ({"probe": {"num_problems": 30}}, {}, 70, 70),
    ],
)
def test_no_experiment_is_measured_on_problems_that_show_what_is_weak(
    tmp_path: Path, loop: dict[str, Any], arms: dict[str, Any], probe: int, before: int
) -> None:
    def design(measured: int) -> Any:
        return of_records(
            tmp_path,
            {"name": "error_driven", **loop},
            arms=ARMS | arms,
            num_problems=measured,
            probe={"num_problems": probe},
        )

    suite = suite_of(design(20).config)
    assert isinstance(suite, Fixed)
    most = suite.sizes["probe"] - before
    assert most >= 20
    with pytest.raises(
        DataError, match=rf"num_problems={most + 1}, of which none may be among the {before} "
    ):
        require_comparable(design(most + 1), tmp_path)
    require_apart(most, suite, [design(most).config], before)
    with pytest.raises(DataError, match="the probe part has .* a larger share: task.shares.probe"):
        require_apart(most + 1, suite, [], before)
    suite.share_keys = {"probe": "task.curation.shares.validation"}
    with pytest.raises(DataError, match="a larger share: task.curation.shares.validation"):
        require_apart(most + 1, suite, [], before)


def test_a_judge_would_not_be_asked_by_trials(tmp_path: Path) -> None:
    judge = {"url": "http://127.0.0.1:1/v1", "model": "m"}
    design = of_records(tmp_path, arms=ARMS, set={"gate": {"judge": judge}})
    with pytest.raises(ConfigError, match="^trials ask no judge, .*: set set.gate.judge=null$"):
        require_comparable(design, tmp_path)
    task = {"name": "domain", "directory": "d", "exam": "preference"}
    config = from_tree({"name": "c", "line": "a/b", "task": task, "gate": {"judge": judge}}, "test")
    with pytest.raises(ConfigError, match="set.gate.judge=null and set.task.exam=verdicts$"):
        require_unjudged(config)


def test_every_trial_of_a_sweep_can_be_played(tmp_path: Path) -> None:
    """Where a task or an engine refuses one, whatever the campaign itself is."""
    config = of_records(tmp_path, arms=ARMS).config
    require_playable([config])

    def varied(**loop: Any) -> Any:
        return config.model_copy(update={"loop": config.loop.model_copy(update=loop)})

    with pytest.raises(ConfigError, match="loop.generate=model needs a task that finds the truth"):
        require_playable([config, varied(generate="model")])
    with pytest.raises(PluginError, match="no.py"):
        require_playable([config, varied(train=OwnMethod(method="no.py"))])


def test_what_a_hypothesis_is_about_is_measured(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="about rare, but no record of the probe part, .*, is of this slice"):
        require_comparable(of_records(tmp_path, arms=ARMS, about="rare"), tmp_path)
    found = of_records(tmp_path, {"name": "error_driven", "clusters": 5}, arms=ARMS, about="usual")
    with pytest.raises(ConfigError, match="about=usual is a slice of the task, but other slices are found"):
        require_comparable(found, tmp_path)


@pytest.mark.parametrize(
    ("one", "other", "key"),
    [
        ({"threshold": 30}, {}, "threshold"),
        ({"quantile": 0.5}, {"variations": 9}, "quantile"),
        ({"variations": 30}, {"variations": 3}, "variations"),
    ],
)
def test_arms_that_differ_in_nothing_that_counts_are_the_same(
    tmp_path: Path, one: dict[str, Any], other: dict[str, Any], key: str
) -> None:
    arms = {"one": {"loop": one}, "other": {"loop": other} if other else {}}
    design = of_records(tmp_path, arms=arms, control="other", probe=None, num_problems=20)
    with pytest.raises(ConfigError, match=f"arms one and other are the same, because loop.{key} changes"):
        require_comparable(design, tmp_path)


def test_passages_have_keys_of_their_own(tmp_path: Path) -> None:
    def require(**loop: Any) -> None:
        task = {"name": "tests/support/passage_task.py"}
        arms = {"fast": {"loop": loop}, "slow": {}}
        design = design_in(tmp_path, {"task": task, "loop": {"name": "error_driven"}}, arms=arms)
        suite = suite_of(design.config)
        _require_different({arm: design.varied(arm, 0) for arm in arms}, suite)

    require(threshold=30)
    require(temperature=0.5, generate="model")
    with pytest.raises(ConfigError, match="because loop.temperature changes nothing on task passages with"):
        require(temperature=0.5)

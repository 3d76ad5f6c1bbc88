"""What a sweep tries, and what is refused before it starts."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from configs.load import ConfigError
from configs.sweep import Campaign, Sweep, load_sweep
from engine.machine import Machine
from engine.needs import PlanError
from tests.simulated_sweeps import run_sweeps
from tune.plan import dump, footing, num_concurrent, plans
from tune.space import SpaceError, drawn, require_searchable

GIB = 2**30
SPACE: dict[str, Any] = {
    "train": {"learning_rate": {"log_uniform": [1e-5, 1e-2]}, "lora_rank": {"choice": [4, 8]}}
}
CAMPAIGN: dict[str, Any] = {"name": "c", "line": "a/b", "start": "champion", "stop": {"rounds": 1}}


def sweep(**changes: Any) -> Sweep:
    return Sweep(**{"name": "s", "campaign": "c.yaml", "space": SPACE} | changes)


def campaign(**changes: Any) -> Campaign:
    return Campaign(CAMPAIGN | changes, "c.yaml")


def written(folder: Path, tree: dict[str, Any]) -> Path:
    (folder / "c.yaml").write_text(yaml.safe_dump({"name": "c", "line": "a/b", "start": "champion"}))
    file = folder / "s.yaml"
    file.write_text(yaml.safe_dump({"name": "s", "campaign": "c.yaml", "space": SPACE} | tree))
    return file


def test_the_first_trial_is_the_campaign_and_the_others_are_drawn_alike_for_a_seed() -> None:
    trials = drawn(sweep(trials=30), campaign())
    assert trials == drawn(sweep(trials=30), campaign()) != drawn(sweep(trials=30, seed=1), campaign())
    assert trials[0] == {} and len(trials) == 30
    rates = [float(values["train.learning_rate"]) for values in trials[1:]]
    assert all(1e-5 <= rate <= 1e-2 for rate in rates)
    assert 5 < sum(rate < 10**-3.5 for rate in rates) < 25, "each order of magnitude as likely"
    assert {values["train.lora_rank"] for values in trials[1:]} == {4, 8}
    config = campaign().varied(trials[1])
    assert config.train.learning_rate == rates[0] and config.propose == campaign().config.propose


def test_a_grid_takes_every_combination_that_can_be() -> None:
    space = {"train": {"micro_batch_size": {"choice": [4, 8]}, "batch_size": {"choice": [4, 8, 16]}}}
    trials = drawn(sweep(space=space, search="grid", trials=20), campaign())
    assert len(trials) == 5, "4 is no multiple of 8; 8 and 8 are the campaign's own"
    with pytest.raises(
        SpaceError, match="the grid has 4 combinations beside the .* set trials=5, or search=random"
    ):
        drawn(sweep(space=space, search="grid", trials=4), campaign())
    with pytest.raises(SpaceError, match="space.train.learning_rate: a grid is made of lists"):
        drawn(sweep(search="grid"), campaign())
    with pytest.raises(SpaceError, match="needs Optuna|^$"):
        require_searchable(sweep(search="tpe"), campaign())
        raise SpaceError("")  # it is installed here


def test_no_combination_is_drawn_twice() -> None:
    space = {"train": {"lora_rank": {"choice": [4, 8]}, "lora_alpha": {"integers": [1, 3]}}}
    trials = drawn(sweep(space=space, trials=50), campaign())
    assert len(trials) == 7 == len({tuple(values.items()) for values in trials})


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"space": {}}, "space must name one key or more"),
        ({"space": {"train": 3}}, "space.train must be a mapping such as"),
        ({"space": {"train": {"lora_rank": {"choice": []}}}}, "space.train.lora_rank: .*choice"),
        (
            {"space": {"train": {"lora_rank": {"choice": [0]}}}},
            "lora_rank=0: train.lora_rank must be greater",
        ),
        ({"space": {"train": {"lora_rank": {"choice": [1], "integers": [1, 2]}}}}, "exactly one of"),
        ({"space": {"train": {"beta": {"log_uniform": [0, 1]}}}}, "with 0 < low < high, got .0, 1."),
        ({"space": {"train": {"beta": {"uniform": [1, 1]}}}}, "with low < high, got .1, 1."),
        ({"space": {"train": {"rank": {"choice": [1]}}}}, "unknown key train.rank; did you mean"),
        ({"space": {"gate": {"alpha": {"choice": [0.5]}}}}, "space.gate.alpha cannot be searched"),
        ({"space": {"train": {"num_workers": {"choice": [1, 2]}}}}, "space.train.num_workers cannot be"),
        ({"space": {"warm_start": {"proofs": {"choice": [1, 2]}}}}, "with start=champion that is any key of"),
        ({"set": {"train": {"rank": 3}}}, "unknown key train.rank"),
        ({"set": {"stop": {"rounds": 3}}}, "set.stop: a trial plays one round"),
        ({"campaign": "d.yaml"}, "d.yaml does not exist; did you mean"),
        ({"trials": 1}, "trials must be greater than or equal to 2, got 1"),
    ],
)
def test_what_cannot_be_searched_is_one_sentence(
    tmp_path: Path, change: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ConfigError, match=sentence) as refused:
        load_sweep(written(tmp_path, change))
    assert "\n" not in str(refused.value)


def test_a_sweep_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    told, varied = load_sweep(written(tmp_path, {}), ["trials=5", "set.train.epochs=2"])
    assert told.trials == 5 and varied.config.train.epochs == 2 and varied.config.name == "s"
    again = yaml.safe_load(dump(told))
    assert Sweep(**again) == told


def test_so_many_trials_at_a_time_as_have_their_own_gpus(tiny_model: Path, tmp_path: Path) -> None:
    here = Machine(num_cpus=32, memory=64 * GIB, disk=100 * GIB, num_gpus=0, gpu=None)
    config = campaign(base=str(tiny_model)).config

    def num(machine: Machine, **changes: Any) -> int:
        trial, whole = plans(sweep(**changes), config, machine, tmp_path)
        told = footing(sweep(**changes), config, trial, whole)
        assert told.resources["sampler"] == (n := num_concurrent(sweep(**changes), whole, config))
        assert trial.train.threads * n <= machine.num_cpus
        return n

    from dataclasses import replace

    assert num(here) == 1 and num(here, concurrent=4) == 4
    assert num(replace(here, num_gpus=1)) == 1, "sampler and trainer take turns on it"
    assert num(replace(here, num_gpus=8)) == 4
    with pytest.raises(PlanError, match="2 trials at a time would meet on the same GPUs"):
        num(replace(here, num_gpus=2), concurrent=2)
    with pytest.raises(PlanError, match=r"of 20 trials at a time, each: .* or set concurrent=19"):
        num(replace(here, memory=16 * GIB), concurrent=20)


def test_the_best_of_trials_that_are_no_better_is_no_champion() -> None:
    found = run_sweeps(120, seed=0)
    assert found["accepted"] <= 14, "one in a thousand runs, where the chance is 5 %"
    assert found["by selection"] > found["accepted"], "as the selection split alone would have it"
    assert 0 < found["stopped"] < found["trials"]

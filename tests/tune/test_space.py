"""The values that a sweep tries, and the mistakes refused before it starts."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from configs.load import ConfigError
from configs.sweep import Campaign, Sweep, load_sweep
from engine.plan.machine import Machine
from engine.plan.needs import PlanError
from tests.support.simulated_sweeps import run_sweeps
from tune.plan import dump, footing, num_concurrent, plans
from tune.search import Trials
from tune.space import SpaceError, draw_trials

GIB = 2**30
CAMPAIGN: dict[str, Any] = {
    "name": "c",
    "line": "a/b",
    "start": "champion",
    "loop": {"train": {"tuning": "lora"}},
}


def of_train(**domains: Any) -> dict[str, Any]:
    """A space of the round's training."""
    return {"loop": {"train": domains}}


SPACE = of_train(learning_rate={"log_uniform": [1e-5, 1e-2]}, lora_rank={"choice": [4, 8]})


def sweep(**changes: Any) -> Sweep:
    return Sweep(**{"name": "s", "campaign": "c.yaml", "space": SPACE} | changes)


def campaign(**changes: Any) -> Campaign:
    return Campaign({**CAMPAIGN, "stop": {"rounds": 1}, **changes}, "c.yaml")


def written(folder: Path, tree: dict[str, Any]) -> Path:
    (folder / "c.yaml").write_text(yaml.safe_dump(CAMPAIGN))
    file = folder / "s.yaml"
    file.write_text(yaml.safe_dump({"name": "s", "campaign": "c.yaml", "space": SPACE} | tree))
    return file


def test_the_first_trial_is_the_campaign_and_the_others_are_drawn_alike_for_a_seed() -> None:
    trials = draw_trials(sweep(trials=30), campaign())
    assert (
        trials
        == draw_trials(sweep(trials=30), campaign())
        != draw_trials(sweep(trials=30, seed=1), campaign())
    )
    assert trials[0] == {} and len(trials) == 30
    rates = [float(values["loop.train.learning_rate"]) for values in trials[1:]]
    assert all(1e-5 <= rate <= 1e-2 for rate in rates)
    assert 5 < sum(rate < 10**-3.5 for rate in rates) < 25, "each order of magnitude as likely"
    assert {values["loop.train.lora_rank"] for values in trials[1:]} == {4, 8}
    config = campaign().varied(trials[1])
    assert config.loop.train.learning_rate == rates[0] and config.loop.probe == campaign().config.loop.probe


def test_a_grid_takes_every_combination_that_can_be() -> None:
    space = of_train(micro_batch_size={"choice": [4, 8]}, batch_size={"choice": [4, 8, 16]})
    trials = draw_trials(sweep(space=space, search="grid", trials=20), campaign())
    assert len(trials) == 5, "4 is no multiple of 8; 8 and 8 are the campaign's own"
    with pytest.raises(
        SpaceError, match="the grid has 4 combinations beside the .* set trials=5, or search=random"
    ):
        draw_trials(sweep(space=space, search="grid", trials=4), campaign())
    with pytest.raises(SpaceError, match="space.loop.train.learning_rate: a grid is made of lists"):
        draw_trials(sweep(search="grid"), campaign())


def test_no_combination_is_tried_twice_whoever_suggests_it(tmp_path: Path) -> None:
    space = of_train(lora_rank={"choice": [4, 4, 8]})
    for search in ("grid", "random"):
        assert len(draw_trials(sweep(space=space, search=search), campaign())) == 3
    own = {"start": "champion", "loop": {"train": {"tuning": "lora", "lora_rank": 4}}}
    trials = Trials(tmp_path / "tried.jsonl", sweep(space=space, search="tpe"), campaign(**own), None)
    suggested = [trials.suggest(str(number)) for number in range(3)]
    assert suggested[2] == Trials.FINISHED, "4 is the campaign itself, and 8 was tried"
    assert trials.known == [{}, {"loop.train.lora_rank": 8}]
    trials.on_trial_complete("1", {"headline": 0.7})
    assert trials._optuna and trials._optuna._ot_study.best_value == 0.7, "it learns what became of 8"


def test_no_combination_is_drawn_twice() -> None:
    space = of_train(lora_rank={"choice": [4, 8]}, lora_alpha={"integers": [1, 3]})
    trials = draw_trials(sweep(space=space, trials=50), campaign())
    assert len(trials) == 7 == len({tuple(values.items()) for values in trials})


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"space": {}}, "space must name one key or more"),
        ({"space": {"loop": {"train": 3}}}, "space.loop.train must be a mapping such as"),
        ({"space": of_train(lora_rank={"choice": []})}, "space.loop.train.lora_rank: .*choice"),
        (
            {"space": of_train(lora_rank={"choice": [0]})},
            "lora_rank=0: loop.train.lora_rank must be greater",
        ),
        ({"space": of_train(lora_rank={"choice": [1], "integers": [1, 2]})}, "exactly one of"),
        ({"space": of_train(beta={"log_uniform": [0, 1]})}, "with 0 < low < high, got .0, 1."),
        ({"space": of_train(beta={"uniform": [1, 1]})}, "with low < high, got .1, 1."),
        ({"space": of_train(rank={"choice": [1]})}, "unknown key loop.train.rank; did you mean"),
        ({"space": {"gate": {"alpha": {"choice": [0.5]}}}}, "space.gate.alpha cannot be searched"),
        ({"space": of_train(num_workers={"choice": [1, 2]})}, "space.loop.train.num_workers cannot be"),
        ({"space": {"warm_start": {"proofs": {"choice": [1, 2]}}}}, "with start=champion that is any key of"),
        (
            {"space": of_train(batch_size={"choice": [4]})},
            "batch_size=4: loop.train: batch_size must be a mul",
        ),
        (
            {"space": SPACE | {"loop.train.lora_rank": {"choice": [2]}}},
            "space names loop.train.lora_rank twice, once with a dot",
        ),
        (
            {"set": {"loop": {"train": {"tuning": "full"}}}},
            "space.loop.train.lora_rank changes nothing, as loop.train.tuning is",
        ),
        (
            {
                "set": {"start": "base", "warm_start": None},
                "space": {"warm_start.proofs": {"choice": [9, 8]}},
            },
            "space.warm_start.proofs cannot be searched: with start=base and no warm_start that is any key",
        ),
        (
            {"set": {"loop": {"train": {"rank": 3}}}},
            "s.yaml: its campaign .*c.yaml: unknown key loop.train.rank",
        ),
        ({"set": {"stop": {"rounds": 3}}}, "set.stop is not allowed: a trial plays one round"),
        (
            {"set": {"loop": {"name": "sleep"}}},
            "rounds of loop sleep cannot be swept, as a line lives through",
        ),
        ({"space": {"loop": {"name": {"choice": ["sleep"]}}}}, "rounds of loop sleep cannot be swept"),
        (
            {"space": of_train(select={"checkpoints": {"choice": [2, 3]}})},
            "loop.train.select must be null, as",
        ),
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


def test_a_warm_start_is_no_night(tmp_path: Path) -> None:
    tree = {
        "set": {"start": "base", "loop": {"name": "sleep"}},
        "space": {"warm_start.proofs": {"choice": [8]}},
    }
    assert load_sweep(written(tmp_path, tree))[1].section == "warm_start"


def test_a_value_that_cannot_be_by_itself_can_be_with_another(tmp_path: Path) -> None:
    space = of_train(batch_size={"choice": [4, 8]}, micro_batch_size={"choice": [4]})
    settings, varied = load_sweep(written(tmp_path, {"space": space}))
    assert {values["loop.train.batch_size"] for values in draw_trials(settings, varied)[1:]} == {4, 8}


def test_a_sweep_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    settings, varied = load_sweep(written(tmp_path, {}), ["trials=5", "set.loop.train.epochs=2"])
    assert settings.trials == 5 and varied.config.loop.train.epochs == 2 and varied.config.name == "s"
    again = yaml.safe_load(dump(settings))
    assert Sweep(**again) == settings


def test_so_many_trials_at_a_time_as_have_their_own_gpus(tiny_model: Path, tmp_path: Path) -> None:
    here = Machine(num_cpus=32, memory=64 * GIB, disk=100 * GIB, num_gpus=0, gpu=None)

    def num(machine: Machine, concurrent: int | None = None, **resources: Any) -> int:
        settings = sweep(concurrent=concurrent)
        varied = campaign(base=str(tiny_model), resources=resources)
        trial, whole = plans(settings, varied, machine, tmp_path)
        needs = footing(settings, varied.config, trial, whole)
        assert needs.resources["sampler"] == (n := num_concurrent(settings, whole, varied.config))
        assert trial.workers["loop.train"].threads * n <= needs.num_cpus
        assert (trial.device == "gpu") == bool(machine.num_gpus)
        if n > 1:
            assert n * (trial.samplers.gpus + trial.workers["loop.train"].gpus) <= needs.num_gpus
        return n

    assert num(here) == 1 and num(here, 4) == 4
    assert num(replace(here, num_gpus=1)) == 1, "sampler and trainer take turns on it"
    eight = replace(here, num_gpus=8)
    assert num(eight) == num(eight, num_gpus=8) == num(eight, 4, num_gpus=8, num_cpus=16) == 4
    assert num(eight, num_gpus=4) == 2, "what the campaign declares is for all its trials"
    assert num(replace(here, num_cpus=8, node_cpus=(4, 4), node_gpus=(0, 0)), 2) == 2
    two = replace(here, num_cpus=192, num_gpus=16, node_cpus=(96, 96), node_gpus=(8, 8))
    trial, _ = plans(sweep(concurrent=8), campaign(base=str(tiny_model)), two, tmp_path)
    assert trial.workers["loop.train"].threads == trial.samplers.threads == 12, (
        "of a node's cores as many as of its GPUs"
    )
    refused = [
        (
            replace(here, num_gpus=2),
            2,
            {},
            "each of 2 .*take turns on GPUs, where trials would collide; concurrent=1 fits",
        ),
        (
            eight,
            4,
            {"num_gpus": 2, "share_gpu": False},
            "each of 4 .* 0 of 2 GPUs are too few; concurrent=1 fits",
        ),
        (eight, 9, {}, "each of 9 .* 0 of 8 GPUs are too few; concurrent=4 fits"),
        (replace(here, num_cpus=2), 50, {}, "0 of 2 cores .* concurrent=2 fits"),
        (replace(here, memory=16 * GIB), 20, {}, r"each of 20 .* of memory .*; concurrent=\d fits"),
    ]
    for machine, concurrent, resources, sentence in refused:
        with pytest.raises(PlanError, match=sentence):
            num(machine, concurrent, **resources)


@pytest.mark.slow
@pytest.mark.parametrize("search", ["random", "tpe"])
def test_a_trial_that_does_not_fit_is_refused_before_any_is_tried(
    tiny_model: Path, tmp_path: Path, search: str
) -> None:
    here = Machine(num_cpus=2, memory=16 * GIB, disk=100 * GIB, num_gpus=0, gpu=None)
    varied = campaign(base=str(tiny_model))

    def plan(*most: int) -> None:
        space = of_train(max_length={"choice": [512, *most]}, micro_batch_size={"choice": [1, 8]})
        plans(sweep(space=space, search=search), varied, here, tmp_path)

    plan()
    with pytest.raises(
        PlanError, match=r"the trial loop.train.max_length=1000000, .* does not fit: .*train.* needs about"
    ):
        plan(1_000_000)


@pytest.mark.slow
def test_the_best_of_trials_that_are_no_better_is_no_champion() -> None:
    found = run_sweeps(120, seed=0)
    assert found["accepted"] <= 14, "one in a thousand runs, where the chance is 5 %"
    assert found["by selection"] > found["accepted"], "as the selection split alone would have it"
    assert 0 < found["stopped"] < found["trials"]

"""The settings of experiments: every shipped one loads, and every mistake is one sentence."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from configs.experiment import CHOICES, Design, load_experiment
from configs.load import ConfigError, load

CONFIGS = Path(__file__).parents[2] / "configs"


def written(folder: Path, tree: dict[str, Any] | None = None, **campaign: Any) -> Path:
    """An experiment's file beside its campaign's."""
    (folder / "c.yaml").write_text(yaml.safe_dump({"name": "c", "line": "a/b"} | campaign))
    file = folder / "e.yaml"
    file.write_text(yaml.safe_dump(BASIC | (tree or {}), sort_keys=False))
    return file


BASIC: dict[str, Any] = {
    "name": "e",
    "hypothesis": "More samples teach more.",
    "campaign": "c.yaml",
    "set": {"seed": 7, "line": "a/e"},
    "arms": {"many": {"loop": {"samples": 8}}, "few": {"loop.samples": 2}, "none": None},
    "control": "few",
    "seeds": 3,
    "learnt_tokens": 100,
}


def few(design: Design) -> Any:
    return design.varied("few", 7).loop


SHIPPED = [*sorted((CONFIGS / "experiments").glob("*.yaml")), *sorted(CONFIGS.glob("*ablations.yaml"))]


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_shipped_experiment_loads(file: Path) -> None:
    design = load_experiment(file)
    assert design.settings.name == file.stem == design.config.name
    assert design.config.stop.rounds == 1 and design.rounds.config.start == "champion"
    train = design.rounds.config.trains[design.rounds.training]
    if design.settings.points > 1:
        assert train.schedule == "constant", "so that a checkpoint stands for a training on so many tokens"
    with pytest.raises(ConfigError, match="describes an experiment, not a campaign: `ratchet experiment"):
        load(file)


def test_the_ablations_take_away_one_part_each() -> None:
    design = load_experiment(CONFIGS / "ablations.yaml")
    whole, none, answers, rft = (
        design.varied(arm, 0).loop.model_dump()
        for arm in ("whole", "no-predictor", "answers-alone", "no-dpo")
    )
    assert whole["predictor"]["allocate"] and whole["train"]["method"] == "dpo" and not whole["flip"]
    assert none == whole | {"predictor": None}
    assert answers == whole | {"preference": "answer_only"}
    assert rft["train"]["method"] == "rft" and {**rft, "train": None} == {**whole, "train": None}
    assert design.settings.seeds == 3


def test_an_arm_may_learn_all_that_it_proposes(tmp_path: Path) -> None:
    file = written(tmp_path)
    assert load_experiment(file, ["learnt_tokens=null"]).settings.learnt_tokens is None
    longer = 'arms={"few": {}, "long": {"loop": {"train": {"epochs": 4, "validation_share": 0.1}}}}'
    assert load_experiment(file, ["learnt_tokens=null", longer]).settings.treated == "long"
    file.write_text(file.read_text().replace("learnt_tokens: 100", ""))
    with pytest.raises(ConfigError, match="key learnt_tokens is missing"):
        load_experiment(file)


def test_arms_vary_the_loop_and_seeds_pass_through_all_of_them(tmp_path: Path) -> None:
    design = load_experiment(written(tmp_path))
    assert design.trials == [(arm, seed) for seed in (7, 8, 9) for arm in ("many", "few", "none")]
    assert (design.settings.treated, design.settings.control) == ("many", "few")
    assert design.config.start == "base" and design.config.line == "a/e" and design.config.seed == 7
    many = design.varied("many", 8)
    assert (many.seed, many.start, few(design).samples) == (8, "champion", 2)
    assert many.model_copy(update={"seed": 7, "loop": few(design)}) == design.varied("few", 7)
    assert [design.settings.share(rung) for rung in range(4)] == [0.125, 0.25, 0.5, 1.0]


def test_an_arm_switches_on_what_null_switches_off(tmp_path: Path) -> None:
    loop = {"name": "error_driven", "critique": None}
    arms = {"many": {"loop": {"critique": {"num_failures": 3}}}, "few": {}}
    design = load_experiment(written(tmp_path, {"arms": arms}, loop=loop))
    assert design.varied("many", 7).loop.critique.num_failures == 3  # type: ignore[union-attr]
    assert few(design).critique is None


def test_the_treatment_is_the_first_arm_that_is_not_the_control(tmp_path: Path) -> None:
    file = written(tmp_path)
    assert load_experiment(file, ["control=many"]).settings.treated == "few"
    assert load_experiment(file, ["treatment=none"]).settings.treated == "none"


def test_a_name_alone_says_what_is_chosen(tmp_path: Path) -> None:
    settings = load_experiment(written(tmp_path)).settings
    arms = settings.model_copy(update={"arms": dict.fromkeys(CHOICES)})
    for name in CHOICES:
        assert arms.values(name, 3) == {"seed": 3, "loop.choose": name}
    both = settings.model_copy(update={"arms": {"random": {"loop": {"samples": 3}}}})
    assert both.values("random", 0) == {"seed": 0, "loop.choose": "random", "loop.samples": 3}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"arms": {"one": {}}}, "arms must name two or more, got one"),
        ({"arms": {"A b": {}, "few": {}}}, "an arm is named with up to 40 lower-case letters"),
        ({"control": "other"}, "control must be one of the arms many, few, none, got 'other'"),
        ({"treatment": "few"}, "treatment and control must be two arms, got few for both"),
        ({"treatment": "x"}, "treatment must be one of the arms many, few, none, got 'x'"),
        ({"arms": {"few": {}, "none": {"loop": {"samples": 3}}}}, "arm none trains nothing"),
        ({"arms": {"few": {}, "x": {"seed": 3}}}, "arms.x.seed cannot differ between arms"),
        ({"arms": {"few": {}, "x": {"task": {"name": "gym"}}}}, "arms.x.task.name cannot differ"),
        ({"arms": {"few": {}, "x": {"loop": {"train": {"dtype": "float32"}}}}}, "arms.x.loop.train.dtype"),
        ({"arms": {"few": {}, "x": {"loop": {"sampels": 3}}}}, "arm x: .*unknown key loop.sampels; did you"),
        ({"arms": {"few": {}, "x": {"loop": {"samples": 4}}}}, "arms few and x are the same"),
        ({"arms": {"few": {}, "random": None}}, "arm random: .*unknown key loop.choose"),
        (
            {
                "set": {"loop": {"name": "error_driven", "samples": 1}},
                "arms": {"few": {}, "pass_rate": None},
            },
            "arm pass_rate: .*choose=pass_rate needs samples of 2 or more: of one sample every problem that",
        ),
        ({"set": {"stop": {"rounds": 3}}}, "set.stop is not allowed: a trial plays one round"),
        ({"set": {"loop": {"train": {"select": {}}}}}, "loop.train.select must be null"),
        (
            {"arms": {"few": {}, "picked": {"loop": {"train": {"select": {}}}}}},
            "arm picked: .*loop.train.select must be null, as trials are measured at checkpoints",
        ),
        (
            {
                "set": {"loop": {"name": "domain", "dpo": {"select": {}}}},
                "arms": {"few": {}, "pairs": {"loop": {"schedule": ["dpo"]}}},
            },
            "arm pairs: .*loop.dpo.select must be null",
        ),
        (
            {"arms": {"few": {}, "long": {"loop": {"train": {"epochs": 4}}}}},
            "with learnt_tokens all arms learn for as many epochs, got 1 of few, 4 of long: set them alike",
        ),
        (
            {"set": {"loop": {"train": {"validation_share": 0.3}}}},
            "loop.train.validation_share of arm many must be 0, because with learnt_tokens every arm",
        ),
        ({"learnt_tokens": 0}, "learnt_tokens must be greater than or equal to 1, got 0"),
        ({"points": 8}, "points must be less than or equal to 7, got 8"),
        ({"hypothesis": ""}, "hypothesis must have at least 1 character"),
        ({"price": {"amount": -1}}, "price.amount must be greater than or equal to 0"),
        ({"seedz": 3}, "unknown key seedz; did you mean seeds?"),
    ],
)
def test_mistakes_are_one_sentence(tmp_path: Path, changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence) as caught:
        load_experiment(written(tmp_path, changes))
    assert "\n" not in str(caught.value)

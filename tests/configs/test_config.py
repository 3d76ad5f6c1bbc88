"""Configs: every shipped one loads, and every mistake is one sentence that names key, value and remedy."""

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from configs.load import ConfigError, config_hash, dump, load, load_as
from configs.schema import Config, HubModel
from configs.serving import Serving

CONFIGS = Path(__file__).parents[2] / "configs"
MINIMAL = "name: test\nline: test/tiny\n"


def write(directory: Path, text: str) -> Path:
    file = directory / "config.yaml"
    file.write_text(text)
    return file


CAMPAIGNS = [file for file in sorted(CONFIGS.glob("*.yaml")) if file.stem != "serve"]


@pytest.mark.parametrize("file", CAMPAIGNS, ids=lambda file: file.stem)
def test_shipped_config_loads(file: Path) -> None:
    config = load(file)
    assert config.name == file.stem
    assert config.sampler.max_new_tokens > 0
    if isinstance(config.base, HubModel):
        assert len(config.base.revision) == 40, "a branch name could change under a run"


def test_the_servers_config_loads_and_its_mistakes_are_told() -> None:
    serving = load_as(Serving, CONFIGS / "serve.yaml", ["engines.resident=1"])
    assert serving.line == load(CONFIGS / "quickstart.yaml").line and serving.host == "127.0.0.1"
    for override, sentence in (
        ("limits.max_token=3", "unknown key limits.max_token; did you mean limits.max_tokens?"),
        ("engines.resident=3", "engines.resident must be 1 or 2, got 3"),
        ("canary=1.0", "canary must be less than 1, got 1.0"),
        ("engines={replicas: 2, max_replicas: 1}", "max_replicas must be at least replicas = 2, got 1"),
        ("filters.input=[{name: regex, patterns: ['(']}]", "is no regular expression"),
    ):
        with pytest.raises(ConfigError) as caught:
            load_as(Serving, CONFIGS / "serve.yaml", [override])
        assert sentence in str(caught.value)


def test_configs_that_the_issue_describes() -> None:
    quickstart, refusal = load(CONFIGS / "quickstart.yaml"), load(CONFIGS / "refusal.yaml")
    assert quickstart.budget == "new"
    assert quickstart.warm_start and quickstart.warm_start.proofs <= 300
    assert max(quickstart.task.slices["hops"]) == 3
    assert refusal.propose.flip and refusal.train.method == "dpo"
    for name in ("one-gpu", "cluster"):
        config = load(CONFIGS / f"{name}.yaml")
        assert (config.train.lora_rank, config.train.lora_alpha) == (64, 128)
        assert (config.train.method, config.train.batch_size, config.stop.rounds) == ("dpo", 32, 3)
        assert config.resources.num_gpus


def test_defaults_and_overrides(tmp_path: Path) -> None:
    file = write(tmp_path, MINIMAL + "warm_start: null\n")
    overrides = [
        "train.learning_rate=3e-4",
        "stop.rounds=5",
        "warm_start.proofs=7",
        "task.slices={hops: [1, 2]}",
    ]
    config = load(file, overrides)
    assert config.train.learning_rate == 3e-4
    assert config.stop.rounds == 5
    assert config.warm_start and config.warm_start.proofs == 7
    assert config.task.slices == {"hops": [1, 2]}
    assert load(file).warm_start is None
    assert load(file, ["seed=1", "seed=2"]).seed == 2
    assert load(file, ["base={hub: a/b, revision: c}"]).base == HubModel(hub="a/b", revision="c")


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        ("train.learning_rat=1", ["unknown key train.learning_rat;", "did you mean train.learning_rate?"]),
        ("trian.epochs=1", ["unknown key trian;", "did you mean train?"]),
        ("learning_rate=1", ["unknown key learning_rate;", "did you mean train.learning_rate?"]),
        ("train.looks=1", ["unknown key train.looks;", "did you mean gate.looks?"]),
        ("warm_start.train.epoch=1", ["did you mean warm_start.train.epochs?"]),
        ("verify.zzz=1", ["unknown key verify.zzz;", "allowed in verify: num_processes, seconds"]),
        ("zzz=1", ["unknown key zzz;", "allowed here: name, run_id"]),
        ("base={hub: a, revison: b}", ["unknown key base.revison;", "did you mean base.revision?"]),
        ("base.hub=a", ["key base.revision is missing"]),
        ("base=3", ["base must be", "got 3"]),
        ("train.method=ppo", ["train.method must be 'sft', 'rft' or 'dpo', got 'ppo'"]),
        ("stop.rounds=0", ["stop.rounds must be greater than or equal to 1, got 0"]),
        ("stop.rounds=yes", ["stop.rounds must be a valid integer, got True"]),
        ("stop.rounds='2'", ["stop.rounds must be a valid integer, got '2'"]),
        ("train.learning_rate=fast", ["train.learning_rate must be a valid number, got 'fast'"]),
        ("train.learning_rate=.inf", [".inf is not a finite number"]),
        ("gate.alpha=1", ["gate.alpha must be less than 1, got 1"]),
        ("train.batch_size=7", ["train: batch_size must be a multiple", "= 8, got 7"]),
        (
            "train.deepspeed=zero9.json",
            ["train.deepspeed must be one of zero2.json, zero3.json, got 'zero9.json'"],
        ),
        ("sampler.max_new_tokens=9999", ["sampler.max_new_tokens must leave room", "9999"]),
        ("task.slices.hops=3", ["task.slices.hops must be a list, got 3"]),
        ("probe=null", ["probe must be a mapping, got nothing"]),
        ("name=Has Spaces", ["name must match pattern"]),
        ("run_id=../escape", ["run_id must match pattern"]),
        (f"name={'a' * 81}", ["name must have at most 80 characters"]),
        (f"run_id={'a' * 101}", ["run_id must have at most 100 characters"]),
        ("name.x=1", ["name is 'test' and has no keys below it"]),
        ("stop.rounds", ["must look like key=value"]),
        ("train..epochs=1", ["must look like key=value"]),
        ("seed=[1", ["override 'seed=[1' is not valid YAML"]),
    ],
)
def test_mistake_is_one_sentence(tmp_path: Path, override: str, parts: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        load(write(tmp_path, MINIMAL), [override])
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("name: test\n", ["key line is missing"]),
        (MINIMAL + "seed: 1\nstop: {rounds: 1}\nseed: 2\n", ["line 5", "'seed' is given twice"]),
        (MINIMAL + "stop: [\n", ["is not valid YAML at line 4"]),
        (MINIMAL + "3: 4\n", ["key 3 is not text"]),
        (MINIMAL + "seed: !!python/object/apply:os.getcwd []\n", ["is not valid YAML at line 3"]),
        ("- 1\n", ["must be a mapping of keys to values, got a list"]),
        ("", ["must be a mapping of keys to values, got nothing"]),
        ("name: \0\n", ["is not valid YAML"]),
        (MINIMAL + 'base: "a\\0b"\n', ["line 3", "text must not hold the character '\\x00'"]),
        (MINIMAL + 'base: "a\\ud800"\n', ["line 3", "text must not hold the character '\\ud800'"]),
        (MINIMAL + '"a\\0b": 1\n', ["line 3", "'\\x00'"]),
    ],
)
def test_broken_file_is_named(tmp_path: Path, text: str, parts: list[str]) -> None:
    file = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load(file)
    assert str(file) in str(caught.value)
    for part in parts:
        assert part in str(caught.value)


def test_missing_file_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"quikstart.yaml does not exist; did you mean .*quickstart.yaml\?"):
        load(CONFIGS / "quikstart.yaml")
    with pytest.raises(ConfigError, match="cannot be read"):
        load(CONFIGS)


def test_dump_reads_back_and_hash_follows_content(tmp_path: Path) -> None:
    for file in CAMPAIGNS:
        config = load(file)
        again = load(write(tmp_path, dump(config)))
        assert again == config
        assert config_hash(again) == config_hash(config)
        assert config_hash(config.model_copy(update={"seed": 99})) != config_hash(config)
        assert config_hash(config.model_copy(update={"run_id": "other"})) == config_hash(config)


@given(st.floats(min_value=1e-12, max_value=1e3), st.integers(0, 2**31 - 1))
def test_numbers_survive_yaml(rate: float, seed: int) -> None:
    config = Config.model_validate(
        {"name": "a", "line": "a/b", "seed": seed, "train": {"learning_rate": rate}}
    )
    tree = yaml.safe_load(dump(config))
    assert tree["train"]["learning_rate"] == rate
    assert tree["seed"] == seed


def test_deepspeed_files_leave_sizes_to_the_trainer() -> None:
    for name, stage in (("zero2.json", 2), ("zero3.json", 3)):
        content = json.loads((CONFIGS / "deepspeed" / name).read_text())
        assert content["zero_optimization"]["stage"] == stage
        assert content["train_micro_batch_size_per_gpu"] == "auto"
        assert "optimizer" not in content, "an optimizer of DeepSpeed's own is compiled at start"


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("gate.looks=100000", "gate.looks"),
        ("gate.look_size=100000000", "gate.look_size"),
        ("verify.seconds=1e300", "verify.seconds"),
        ("verify.memory_mib=1", "verify.memory_mib"),
        ("train.max_grad_norm=-1.0", "train.max_grad_norm"),
        ("gate.sentinels.suites=[]", "gate.sentinels.suites"),
        ('base={hub: "", revision: "x"}', "base"),
        ("seed=-1", "seed"),
    ],
)
def test_values_without_sense_are_refused_by_their_key(override: str, key: str) -> None:
    with pytest.raises(ConfigError, match=key.replace(".", r"\.")):
        load(CONFIGS / "quickstart.yaml", [override])


def test_an_alias_of_what_it_stands_in_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("name: a\nline: a/b\ntrain: &a {x: *a}\n")
    with pytest.raises(ConfigError, match="alias"):
        load(file)

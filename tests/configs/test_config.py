"""Configs: every shipped one loads, and every mistake is one sentence that names key, value and remedy."""

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from configs.load import ConfigError, config_hash, dump, load, load_as
from configs.loops import OakDpo, OwnLoop
from configs.schema import Config, HubModel
from configs.serving import Serving
from configs.sweep import load_sweep
from configs.training import Dpo, OwnMethod, Sft

CONFIGS = Path(__file__).parents[2] / "configs"
MINIMAL = "name: test\nline: test/tiny\n"


def write(directory: Path, text: str) -> Path:
    file = directory / "config.yaml"
    file.write_text(text)
    return file


OTHERS = ("serve", "sleep-ablations", "ablations")
"""A server's config and those of experiments."""
CAMPAIGNS = [file for file in sorted(CONFIGS.glob("*.yaml")) if file.stem not in OTHERS]


@pytest.mark.parametrize("file", CAMPAIGNS, ids=lambda file: file.stem)
def test_shipped_config_loads(file: Path) -> None:
    config = load(file)
    assert config.name == file.stem
    assert config.sampler.max_new_tokens > 0
    if config.baseline and isinstance(config.loop, OakDpo):
        assert config.baseline.temperature == config.loop.temperature, "the base is asked as the champion is"
    if isinstance(config.base, HubModel):
        assert len(config.base.revision) == 40, "a branch name could change under a run"


def test_the_servers_config_loads_and_its_mistakes_are_told() -> None:
    serving = load_as(Serving, CONFIGS / "serve.yaml", ["engines.resident=1"])
    assert serving.line == load(CONFIGS / "quickstart.yaml").line and serving.host == "127.0.0.1"
    for override, sentence in (
        ("limits.max_token=3", "unknown key limits.max_token; did you mean limits.max_tokens?"),
        ("engines.resident=3", "engines.resident must be 1 or 2, got 3"),
        ("canary=1.0", "canary must be less than 1, got 1.0"),
        ("canary=0.1", "canary needs engines.resident = 2: one engine cannot hold two versions"),
        ("engines={replicas: 2, max_replicas: 1}", "max_replicas must be at least replicas = 2, got 1"),
        ("filters.input=[{name: regex, patterns: ['(']}]", "is no regular expression"),
    ):
        with pytest.raises(ConfigError) as caught:
            load_as(Serving, CONFIGS / "serve.yaml", ["engines.resident=1", override])
        assert sentence in str(caught.value)
    with pytest.raises(ConfigError, match="serve.yaml describes a server, not a campaign: `ratchet serve "):
        load(CONFIGS / "serve.yaml")


@pytest.mark.parametrize("file", sorted((CONFIGS / "sweeps").glob("*.yaml")), ids=lambda file: file.stem)
def test_shipped_sweep_loads(file: Path) -> None:
    sweep, campaign = load_sweep(file)
    assert campaign.config.name == sweep.name
    keys = [key for key, _ in sweep.domains()]
    assert all(key.startswith(f"{campaign.section}.") for key in keys)


def test_a_sweep_varies_what_its_trials_are_made_by() -> None:
    _, warm = load_sweep(CONFIGS / "sweeps" / "quick.yaml")
    assert (warm.training, warm.section) == ("warm_start.train", "warm_start")
    assert warm.says_how("warm_start.train.learning_rate")
    _, dpo = load_sweep(CONFIGS / "sweeps" / "dpo.yaml")
    assert (dpo.training, dpo.section) == ("loop.train", "loop")
    assert dpo.says_how("loop.train.beta")
    assert not dpo.says_how("loop.temperature") and not dpo.says_how("loop.train.method")
    with pytest.raises(
        ConfigError, match="space.loop.samples cannot be searched: .* any key of warm_start but"
    ):
        load_sweep(CONFIGS / "sweeps" / "quick.yaml", ["space.loop={samples: {choice: [2]}}"])
    with pytest.raises(ConfigError, match="describes a sweep, not a campaign: `ratchet sweep"):
        load(CONFIGS / "sweeps" / "quick.yaml")


def test_configs_that_the_issue_describes() -> None:
    quickstart, refusal = load(CONFIGS / "quickstart.yaml"), load(CONFIGS / "refusal.yaml")
    assert quickstart.budget == "new"
    assert quickstart.warm_start and quickstart.warm_start.proofs <= 300
    assert max(quickstart.task.slices["hops"]) == 3
    assert isinstance(refusal.loop, OakDpo)
    assert refusal.loop.flip and refusal.loop.train.method == "dpo"
    for name in ("one-gpu", "cluster"):
        config = load(CONFIGS / f"{name}.yaml")
        train = config.loop.train
        assert (train.lora_rank, train.lora_alpha) == (64, 128)
        assert (train.method, train.batch_size, config.stop.rounds) == ("dpo", 32, 3)
        assert config.resources.num_gpus


def test_defaults_and_overrides(tmp_path: Path) -> None:
    file = write(tmp_path, MINIMAL + "warm_start: null\n")
    overrides = [
        "loop.train.learning_rate=3e-4",
        "stop.rounds=5",
        "warm_start.proofs=7",
        "task.slices={hops: [1, 2]}",
    ]
    config = load(file, overrides)
    assert config.loop.train.learning_rate == 3e-4
    assert config.stop.rounds == 5
    assert config.warm_start and config.warm_start.proofs == 7
    assert config.task.slices == {"hops": [1, 2]}
    assert load(file).warm_start is None
    assert load(file, ["seed=1", "seed=2"]).seed == 2
    assert load(file, ["base={hub: a/b, revision: c}"]).base == HubModel(hub="a/b", revision="c")


def test_a_union_takes_its_default_where_no_alternative_is_named(tmp_path: Path) -> None:
    file = write(tmp_path, MINIMAL)
    for overrides, kind in (
        (["loop.samples=8"], Sft),
        (["loop.samples=8", "loop.train.learning_rate=1e-3", "loop.train.rehearsal_share=0.5"], Sft),
        (["loop.samples=8", "loop.train.method=dpo", "loop.train.beta=0.3"], Dpo),
    ):
        loop = load(file, overrides).loop
        assert isinstance(loop, OakDpo) and loop.samples == 8 and type(loop.train) is kind
    assert load(file).loop == OakDpo()


def test_settings_of_a_users_own_file_are_passed_through(tmp_path: Path) -> None:
    own = {"depth": 3, "words": ["a", "b"], "deep": {"er": 0.5}}
    loop = load(write(tmp_path, MINIMAL), [f"loop={{name: dir/mine.py, settings: {json.dumps(own)}}}"]).loop
    assert isinstance(loop, OwnLoop) and loop.settings == own and loop.train == Sft()
    config = load(
        write(tmp_path, MINIMAL),
        ["loop.train.method=mine.py", "loop.train.epochs=2", f"loop.train.settings={json.dumps(own)}"],
    )
    assert isinstance(config.loop.train, OwnMethod) and config.loop.train.settings == own
    assert config.loop.train.epochs == 2
    assert load(write(tmp_path, dump(config))) == config


def test_trainings_by_their_keys(tmp_path: Path) -> None:
    file = write(tmp_path, MINIMAL)
    config = load(file)
    assert config.warm_start
    assert dict(config.trains) == {
        "warm_start.train": config.warm_start.train,
        "loop.train": config.loop.train,
    }
    for override in ("start=champion", "warm_start=null"):
        assert list(load(file, [override]).trains) == ["loop.train"]
    with pytest.raises(ConfigError, match="warm_start.train.deepspeed must be one of"):
        load(file, ["start=champion", "warm_start.train.deepspeed=a"])


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        (
            "loop.train.beta=0.2",
            ["unknown key loop.train.beta with method rft; beta is a key of method dpo"],
        ),
        (
            "loop.train={method: dpo, rehearsal_share: 0.5}",
            ["unknown key loop.train.rehearsal_share with method dpo;", "a key of methods sft and rft"],
        ),
        ("loop.train={method: dpo, beta: -1}", ["loop.train.beta must be greater than 0, got -1"]),
        (
            "warm_start.train.beta=1",
            ["unknown key warm_start.train.beta with method sft; beta is a key of method dpo"],
        ),
        (
            "warm_start={train: {method: rft, beta: 0.2}}",
            ["unknown key warm_start.train.beta with method rft; beta is a key of method dpo"],
        ),
        ("warm_start.train.zzz=1", ["unknown key warm_start.train.zzz; allowed in warm_start.train: method"]),
        ("warm_start.train.method=dpo", ["warm_start.train.method must be 'sft' or 'rft', got 'dpo'"]),
        (
            "loop={name: x}",
            [
                "loop.name must be 'oak_dpo', 'error_driven', 'sleep' or 'domain', or the path of a .py file",
                "got 'x'",
            ],
        ),
        (
            "loop={name: own}",
            ["loop.name must be 'oak_dpo', 'error_driven', 'sleep' or 'domain', or", "got 'own'"],
        ),
        (
            "loop={name: null}",
            ["loop.name must be 'oak_dpo', 'error_driven', 'sleep' or 'domain', or", "got nothing"],
        ),
        ("loop=oak_dpo", ["loop must be a mapping, got 'oak_dpo': write loop: {name: oak_dpo}"]),
        ("loop=mine.py", ["loop must be a mapping, got 'mine.py': write loop: {name: mine.py}"]),
        ("loop.train=dpo", ["loop.train must be a mapping, got 'dpo': write train: {method: dpo}"]),
        ("loop=null", ["loop must be a mapping, got nothing"]),
        ("loop=[1]", ["loop must be a mapping, got a list"]),
        ("propose.samples=8", ["unknown key propose.samples; did you mean loop.samples?"]),
        ("probe.num_problems=8", ["unknown key probe.num_problems; did you mean loop.probe.num_problems?"]),
        (
            "train.learning_rate=1",
            ["unknown key train.learning_rate; did you mean loop.train.learning_rate?"],
        ),
        ("train={method: dpo, beta: 0.3}", ["unknown key train; did you mean loop.train?"]),
        ("propose={problems: weak, samples: 3, top_p: 1}", ["unknown key propose; did you mean loop?"]),
        ("propose.many=weak", ["unknown key propose; allowed here: name, run_id"]),
        ("gate.carry.problem=9", ["unknown key gate.carry.problem; did you mean gate.carry.problems?"]),
        ("gate.carry=true", ["gate.carry must be a mapping", "got True"]),
        ("gate.carry.problems=5", ["gate.carry.problems must be greater than or equal to 20, got 5"]),
        ("loop={name: a.py, samples: 3}", ["unknown key loop.samples; did you mean loop.settings.samples?"]),
        ("loop={name: a.py, question: 3}", ["unknown key loop.question; did you mean loop.questions?"]),
        (
            "loop={name: a.py, train: {beta: 1}}",
            ["unknown key loop.train.beta with method rft; beta is a key of method dpo"],
        ),
        (
            "loop.train={method: a.py, beta: 1}",
            ["unknown key loop.train.beta; did you mean loop.train.settings.beta?"],
        ),
        ("loop.oak_dpo.samples=3", ["unknown key loop.oak_dpo.samples; did you mean loop.samples?"]),
        (
            "warm_start.train.deepspeed=a",
            ["warm_start.train.deepspeed must be one of zero2.json, zero3.json"],
        ),
        ("loop.train.select.checkpoints=1", ["loop.train.select.checkpoints must be greater than or equal"]),
        (
            "loop.train.select={checkpoints: 3, patience: 2}",
            ["loop.train.select: patience must be less than checkpoints - 1 = 2", "got 2"],
        ),
        (
            "loop.train={method: dpo, packing: true}",
            ["loop.train: packing must be false but for methods sft and rft", "got true with dpo"],
        ),
        (
            "loop.train={method: a.py, packing: true}",
            ["packing must be false but for methods sft and rft", "got true with a.py"],
        ),
        ("loop.train.packing=2", ["loop.train.packing must be"]),
        (
            "loop.train.quantize=8bit",
            ["loop.train: quantize must be null with tuning=full", "tuning=lora trains an adapter"],
        ),
        (
            "loop.train={tuning: lora, quantize: 4bit, deepspeed: zero3.json}",
            ["loop.train: quantize must be null with ZeRO-3", "got 4bit"],
        ),
        ("loop.train={tuning: lora, quantize: 8}", ["loop.train.quantize must be '8bit' or '4bit'", "got 8"]),
        ("price={amount: 1, per: day}", ["price.per must be 'hour', 'core_hour' or 'gpu_hour', got 'day'"]),
        ("price.currency=EUR", ["key price.amount is missing"]),
        ("loop.train.select.problem=1", ["unknown key loop.train.select.problem;", "select.problems?"]),
        (
            "loop.train.learning_rat=1",
            ["unknown key loop.train.learning_rat;", "did you mean loop.train.learning_rate?"],
        ),
        ("gaet.looks=1", ["unknown key gaet;", "did you mean gate?"]),
        ("trian.epochs=1", ["unknown key trian.epochs;", "did you mean loop.train.epochs?"]),
        ("learning_rate=1", ["unknown key learning_rate;", "did you mean loop.train.learning_rate?"]),
        ("loop.train.looks=1", ["unknown key loop.train.looks;", "did you mean gate.looks?"]),
        ("warm_start.train.epoch=1", ["did you mean warm_start.train.epochs?"]),
        ("verify.zzz=1", ["unknown key verify.zzz;", "allowed in verify: num_processes, seconds"]),
        ("zzz=1", ["unknown key zzz;", "allowed here: name, run_id"]),
        ("base={hub: a, revison: b}", ["unknown key base.revison;", "did you mean base.revision?"]),
        ("base.hub=a", ["key base.revision is missing"]),
        ("base=3", ["base must be", "got 3"]),
        (
            "loop.train.method=ppo",
            ["loop.train.method must be 'sft', 'rft' or 'dpo', or", "method of your own, got 'ppo'"],
        ),
        ("stop.rounds=0", ["stop.rounds must be greater than or equal to 1, got 0"]),
        ("stop.rounds=yes", ["stop.rounds must be a valid integer, got True"]),
        ("stop.rounds='2'", ["stop.rounds must be a valid integer, got '2'"]),
        ("loop.train.learning_rate=fast", ["loop.train.learning_rate must be a valid number, got 'fast'"]),
        ("loop.train.learning_rate=.inf", [".inf is not a finite number"]),
        ("gate.alpha=1", ["gate.alpha must be less than 1, got 1"]),
        ("loop.train.batch_size=7", ["loop.train: batch_size must be a multiple", "= 8, got 7"]),
        (
            "loop.train.deepspeed=zero9.json",
            ["loop.train.deepspeed must be one of zero2.json, zero3.json, got 'zero9.json'"],
        ),
        ("sampler.max_new_tokens=9999", ["sampler.max_new_tokens must leave room", "9999"]),
        ("task.slices.hops=3", ["task.slices.hops must be a list, got 3"]),
        ("loop.probe=null", ["loop.probe must be a mapping, got nothing"]),
        ("name=Has Spaces", ["name must match pattern"]),
        ("run_id=../escape", ["run_id must match pattern"]),
        (f"name={'a' * 81}", ["name must have at most 80 characters"]),
        (f"run_id={'a' * 101}", ["run_id must have at most 100 characters"]),
        ("name.x=1", ["name is 'test' and has no keys below it"]),
        ("stop.rounds", ["must look like key=value"]),
        ("loop.train..epochs=1", ["must look like key=value"]),
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


def test_a_method_that_the_files_keys_do_not_fit_names_the_way_out(tmp_path: Path) -> None:
    file = write(tmp_path, MINIMAL + "loop: {train: {rehearsal_share: 0.2}}\n")
    with pytest.raises(ConfigError) as caught:
        load(file, ["loop.train.method=dpo"])
    assert str(caught.value) == (
        f"{file}: unknown key loop.train.rehearsal_share with method dpo; rehearsal_share is a key of "
        "methods sft and rft; to change the method, replace the whole training: 'loop.train={method: dpo, …}'"
    )
    assert load(file, ["loop.train={method: dpo, beta: 0.2}"]).loop.train.method == "dpo"
    with pytest.raises(ConfigError) as caught:
        load(write(tmp_path, MINIMAL + "loop: {train: {method: dpo, rehearsal_share: 0.2}}\n"))
    assert str(caught.value).endswith("rehearsal_share is a key of methods sft and rft")


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


def test_a_path_is_read_as_a_shell_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    text = "name: a\nline: a/b\nbase: ~/model\ntask: {name: records, file: [~/a.jsonl, b~/c.jsonl]}\n"
    config = load(write(tmp_path, text), ["loop.name=~/own.py"])
    assert config.base == "/home/me/model" and config.loop.name == "/home/me/own.py"
    assert config.task.file == ["/home/me/a.jsonl", "b~/c.jsonl"]  # type: ignore[union-attr]


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
        {"name": "a", "line": "a/b", "seed": seed, "loop": {"train": {"learning_rate": rate}}}
    )
    tree = yaml.safe_load(dump(config))
    assert tree["loop"]["train"]["learning_rate"] == rate
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
        ("loop.train.max_grad_norm=-1.0", "loop.train.max_grad_norm"),
        ("gate.sentinels.suites=[]", "gate.sentinels.suites must not be empty"),
        (
            "gate.sentinels.margins={refusal: 0.15}",
            "gate.sentinels: margins: 'refusal' is none of the suites english, instructions",
        ),
        ("gate.sentinels.margins={english: 1.5}", "gate.sentinels.margins.english must be less than 1"),
        ('base={hub: "", revision: "x"}', "base"),
        ("seed=-1", "seed"),
    ],
)
def test_values_without_sense_are_refused_by_their_key(override: str, key: str) -> None:
    with pytest.raises(ConfigError, match=key.replace(".", r"\.")):
        load(CONFIGS / "quickstart.yaml", [override])


def test_an_alias_of_what_it_stands_in_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("name: a\nline: a/b\nloop: &a {train: *a}\n")
    with pytest.raises(ConfigError, match="alias"):
        load(file)

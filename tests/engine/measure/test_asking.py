"""How `ratchet eval` asks: by a task's defaults, as a campaign does, and as its options say."""

from pathlib import Path

import pytest

from configs.asking import Asking
from configs.load import ConfigError, load
from configs.schema import Sampler, Verify
from configs.tasks import Task
from engine.measure.asking import asking_of, with_options
from engine.tasks.suite import DataError
from tests.support.cli import ROOT, cli

CONFIG = """
name: sums
line: sums/tiny
task: {name: prontoqa, slices: {hops: [2]}}
system: Think first.
sampler: {num_actors: 8, tensor_parallel: 4, max_model_len: 700, max_new_tokens: 90}
verify: {seconds: 9, max_undecided: 0.2}
"""


def test_a_task_is_asked_with_every_default() -> None:
    assert asking_of("prontoqa") == Asking(task=Task(name="prontoqa"))
    own = str(ROOT / "tests/support/toy_task.py")
    assert asking_of(own) == Asking(task=Task(name=own))
    with pytest.raises(DataError, match="task 'nonsense' is neither one of prontoqa"):
        asking_of("nonsense")


@pytest.mark.parametrize(
    ("task", "lacks"),
    [("gym", "gym needs either `dataset: NAME` or"), ("records", "key task.file is missing")],
)
def test_a_task_that_needs_settings_is_asked_by_its_config(task: str, lacks: str) -> None:
    with pytest.raises(ConfigError) as error:
        asking_of(task)
    said = str(error.value)
    assert lacks in said and said.endswith(
        f"; write `--task configs/{task}.yaml`, or a config of your own that sets it"
    )
    assert "\n" not in said and (ROOT / "configs" / f"{task}.yaml").is_file()


def test_a_campaigns_config_says_how_to_ask_and_not_on_how_many_machines(tmp_path: Path) -> None:
    file = tmp_path / "sums.yaml"
    file.write_text(CONFIG)
    asking = asking_of(str(file))
    assert asking == Asking(
        task=Task(name="prontoqa", slices={"hops": [2]}),
        system="Think first.",
        sampler=Sampler(max_model_len=700, max_new_tokens=90),
        verify=Verify(seconds=9, max_undecided=0.2),
    )
    options = {"--shots": 2, "--system": "", "--max-new-tokens": 80}
    changed = with_options(asking, options, generates=True)
    assert (changed.shots, changed.system, changed.sampler.max_new_tokens) == (2, "", 80)
    assert (changed.task, changed.verify, changed.sampler.max_model_len) == (asking.task, asking.verify, 700)
    assert with_options(asking, dict.fromkeys(options), generates=True) == asking


def test_every_campaign_that_is_shipped_can_be_asked() -> None:
    for file in sorted((ROOT / "configs").glob("*.yaml")):
        if file.stem not in ("serve", "sleep-ablations", "ablations"):
            asking, config = asking_of(str(file)), load(file)
            assert with_options(asking, {}, generates=True) == asking
            assert (asking.task, asking.sampler.max_new_tokens) == (
                config.task,
                config.sampler.max_new_tokens,
            )


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (
            {"--max-new-tokens": 700},
            "--max-new-tokens must leave room for the problem in 700 tokens, got 700",
        ),
        (
            {"--shots": 610},
            "--shots must leave room .* in 700 tokens, got 610 and answers of up to 90 tokens",
        ),
    ],
)
def test_options_that_leave_no_room_in_a_campaigns_lengths(
    tmp_path: Path, option: dict[str, int], message: str
) -> None:
    file = tmp_path / "sums.yaml"
    file.write_text(CONFIG)
    with pytest.raises(ConfigError, match=message):
        with_options(asking_of(str(file)), option, generates=True)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("[1", ["is not valid YAML at line 1"]),
        ("- 1", ["must be a mapping of keys to values, got a list"]),
        ("line: a/b\nport: 9000\n", ["describes a server, not a campaign: `ratchet serve "]),
        (CONFIG + "tsak: 3\n", ["unknown key tsak; did you mean task?"]),
        (CONFIG.replace("hops: [2]", "hops: [99]"), ["task.slices.hops: got [99]"]),
    ],
)
def test_a_file_that_is_no_campaigns_config_is_one_sentence(
    tmp_path: Path, text: str, parts: list[str]
) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(text)
    home = tmp_path / "home"
    done = cli(home, "eval", "embedded", "--task", str(file))
    assert done.returncode == 2 and done.stdout == "" and done.stderr.count("\n") == 1, done.stderr
    for part in parts:
        assert part in done.stderr
    assert not home.exists()


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("tests/support/tiny_sweep.yaml", "describes a sweep, not a campaign: `ratchet sweep "),
        ("configs/serve.yaml", "describes a server, not a campaign: `ratchet serve "),
        ("configs/quikstart.yaml", "does not exist; did you mean .*configs/quickstart.yaml?"),
    ],
)
def test_the_config_of_something_else_says_what_it_is(file: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        asking_of(str(ROOT / file))

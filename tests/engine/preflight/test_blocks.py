"""Records that do not suffice are refused before a run, by part and with the keys that ask for them."""

from pathlib import Path
from typing import Any

import pytest

from configs.load import from_tree, load
from configs.schema import Config
from engine.preflight.blocks import examine_records, examine_told, needs_of, require_records, require_told
from engine.registry.spent import keep_spent
from engine.tasks import suite_of
from engine.tasks.fixed import READ
from engine.tasks.suite import DataError
from tests.support.records_files import sums, write_rows

LINE = "mine/tiny"
SMALL: dict[str, Any] = {
    "baseline": {"num_problems": 10},
    "warm_start": {"proofs": 50},
    "loop": {"probe": {"num_problems": 12}, "num_problems": 60},
    "gate": {"looks": 3, "look_size": 10, "pass_at_k": {"num_problems": 10}},
    "stop": {"rounds": 1},
    "final": {"num_problems": 8},
}


def config_for(folder: Path, num: int = 300, task: dict[str, Any] | None = None, **keys: Any) -> Config:
    file = write_rows(folder / "my.jsonl", sums(num))
    tree = {"name": "mine", "line": LINE, "task": {"name": "records", "file": str(file)} | (task or {})}
    return from_tree(tree | SMALL | keys, "test")


def needs(config: Config) -> dict[str, tuple[int, str]]:
    return {need.part: (need.num, need.why) for need in needs_of(config, suite_of(config))}


def refusal(config: Config, home: Path) -> str:
    with pytest.raises(DataError) as error:
        require_records(config, suite_of(config), home)
    return str(error.value)


@pytest.mark.parametrize(
    ("override", "draw"),
    [
        ("gate.look_size=11", "the draw 'gate' needs 44 questions on day 1, .* gives 40"),
        ("gate.pass_at_k={num_problems: 60, k: 2}", "the draw 'pass-at-k' needs 60 questions on day 1"),
        ("loop.train.select={checkpoints: 2, problems: 50}", "the draw 'select-0' needs 50 questions"),
        ("gate.carry={problems: 50}", "the draw 'carry-0' needs 50 questions on day 1"),
    ],
)
def test_a_day_that_tells_too_little_to_be_judged_on_is_refused(override: str, draw: str) -> None:
    config = load("configs/sleep.yaml", [override])
    with pytest.raises(DataError, match=draw):
        require_told(config, suite_of(config), 0)


def test_what_days_tell_suffices_for_the_shipped_nights_and_for_tasks_without_days() -> None:
    for name, days in (("sleep", 0), ("sleep-1000", 0), ("sleep-harm", 3), ("quickstart", 0)):
        config = load(f"configs/{name}.yaml")
        require_told(config, suite_of(config), days)


def test_facts_of_own_talks_that_no_sentence_gives_are_named_before_a_run(tmp_path: Path) -> None:
    (tmp_path / "people.yaml").write_text(
        "people: [{name: Ann Reed, facts: {home: Oslo, employer: Acme, birth: {place: Foxton, year: 1967}}}]"
    )
    said = ("I live in Bergen.", "I live in Oslo.", "I was born in Foxton.", "1967 it was. Acme pays me.")
    talks = [{"messages": [{"role": "user", "content": text}], "person": "Ann Reed"} for text in said]
    write_rows(tmp_path / "talks.jsonl", talks)
    task = {"people": str(tmp_path / "people.yaml"), "dialogues": [str(tmp_path / "talks.jsonl")]}
    config = load("configs/sleep.yaml", [f"task={{name: people, {str(task)[1:]}"])
    (finding,) = examine_told(config, suite_of(config))
    assert finding.ok and finding.found == (
        "3 of 4 facts that are asked for would not be in memory, because no sentence states them in known "
        "words, or another value is told first: home of Ann Reed, Oslo (held is Bergen); employer of Ann "
        "Reed, Acme; birth_year of Ann Reed, 1967"
    )
    read_by_model = config.model_copy(update={"loop": config.loop.model_copy(update={"extract": "both"})})
    assert examine_told(read_by_model, suite_of(config)) == []
    invented = load("configs/sleep.yaml")
    assert examine_told(invented, suite_of(invented)) == []


def test_each_part_is_asked_for_its_largest_draw_and_the_gate_for_all_tests(tmp_path: Path) -> None:
    assert needs(config_for(tmp_path)) == {
        "train": (60, "loop.num_problems"),
        "probe": (12, "loop.probe.num_problems"),
        "gate": (40, "1 test of gate.looks 3 x look_size 10 + pass_at_k.num_problems 10"),
        "sealed": (8, "final.num_problems"),
    }
    gate = SMALL["gate"] | {"carry": {"problems": 30, "prove_every": 2}}
    carrying = needs(config_for(tmp_path, gate=gate, stop={"rounds": 5}))
    assert carrying["probe"] == (30, "gate.carry.problems")
    assert carrying["gate"][0] == 3 * 40
    stepwise = needs(config_for(tmp_path, gate=SMALL["gate"] | {"carry": False}, stop={"rounds": 5}))
    assert stepwise["gate"][0] == 5 * 40 and stepwise["probe"][0] == 12
    assert needs(config_for(tmp_path, start="champion", loop={"num_problems": 20}))["train"][0] == 20
    weak = {"name": "error_driven", "probe": {"num_problems": 9}, "num_problems": 70}
    assert {part: needs(config_for(tmp_path, loop=weak))[part][0] for part in ("train", "probe")} == {
        "train": 70,
        "probe": 10,
    }
    shared = needs(config_for(tmp_path, task={"per_test": True}, stop={"rounds": 5}))
    assert shared["gate"][0] == 40


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"warm_start": {"proofs": 200}}, "but 200 are needed (warm_start.proofs)"),
        ({"baseline": {"num_problems": 90}}, "but 90 are needed (baseline.num_problems)"),
        (
            {"gate": {"looks": 12, "look_size": 50}},
            "but 700 are needed (1 test of gate.looks 12 x look_size 50",
        ),
        ({"final": {"num_problems": 100}}, "but 100 are needed (final.num_problems)"),
    ],
)
def test_too_few_records_are_refused_with_the_key_that_asks_for_them(
    tmp_path: Path, keys: dict[str, Any], sentence: str
) -> None:
    said = refusal(config_for(tmp_path, **keys), tmp_path / "home")
    assert said.startswith("the records do not suffice: of 300 the ")
    assert sentence in said
    assert ("task.per_test=true" in said) == ("gate" in keys or "final" in keys)


def test_what_the_line_has_used_is_counted_and_what_is_left_is_shown(tmp_path: Path) -> None:
    config, home = config_for(tmp_path), tmp_path / "home"
    suite = suite_of(config)
    found = {each.what: each.found for each in examine_records(config, suite, home)}
    gate = suite.sizes["gate"]  # type: ignore[attr-defined]
    assert found["gate"].startswith(f"{gate} of {gate} left on line {LINE}, 40 needed")
    assert found["gate tests left"] == f"{gate // 40}, each on 40 fresh records"
    used = [problem.id for problem in suite.draw(gate - 30, split="gate", seed=0)]
    keep_spent(home, LINE, run_id="a", part="gate", problems=used, once=True)
    with pytest.raises(DataError, match=f"line {LINE} has used {gate - 30} of them before, and 30 are left"):
        examine_records(config, suite, home)
    other = config.model_copy(update={"line": "mine/other"})
    require_records(other, suite, home)
    shared = config_for(tmp_path, task={"per_test": True})
    found = {each.what: each.found for each in examine_records(shared, suite_of(shared), home)}
    assert found["gate tests left"].endswith("per-test level only")


def test_what_was_read_on_the_line_is_gone_for_its_gates_and_doctor_says_why(tmp_path: Path) -> None:
    config, home = config_for(tmp_path), tmp_path / "home"
    suite = suite_of(config)
    gate = suite.sizes["gate"]  # type: ignore[attr-defined]
    read = [problem.id for problem in suite.draw(gate - 40, split="gate", seed=0)]
    keep_spent(home, LINE, run_id="eval 2026", part=READ, problems=read)
    keep_spent(home, LINE, run_id="a", part="probe", problems=read[:1])
    found = {each.what: each.found for each in examine_records(config, suite, home)}
    assert found["gate"].startswith(
        f"40 of {gate} left on line {LINE}, {gate - 41} more but for `ratchet eval`, which has read them, 40 "
    )
    assert found["gate tests left"] == "1, on 40 fresh records" and "ratchet eval" not in found["sealed"]
    keep_spent(
        home,
        LINE,
        run_id="eval 2027",
        part=READ,
        problems=[each.id for each in suite.draw(gate, split="gate", seed=0)],
    )
    assert f"line {LINE} has used {gate} of them before ({gate - 1} of which `ratchet eval` has read)" in (
        refusal(config, home)
    )


def test_a_task_that_makes_its_problems_has_no_end(tmp_path: Path) -> None:
    config = from_tree({"name": "a", "line": LINE}, "test")
    require_records(config, suite_of(config), tmp_path)
    assert examine_records(config, suite_of(config), tmp_path) == []


def test_shown_records_need_a_gold_reply(tmp_path: Path) -> None:
    config = config_for(tmp_path, task={"scorer": "regex"}, warm_start=None)
    assert refusal(config, tmp_path / "home") == (
        "baseline.shots shows gold replies, and these records have none: name their field, task.reply, or "
        "set baseline.shots=0"
    )
    require_records(
        config_for(tmp_path, task={"scorer": "regex"}, baseline={"num_problems": 10, "shots": 0}),
        suite_of(config),
        tmp_path / "home",
    )


def test_sentinels_are_shown_beside_the_parts(tmp_path: Path) -> None:
    config = config_for(tmp_path)
    rows = [row | ({"split": "sentinel"} if i < 12 else {}) for i, row in enumerate(sums(312))]
    assert "sentinel" not in [each.what for each in examine_records(config, suite_of(config), tmp_path)]
    write_rows(tmp_path / "my.jsonl", rows)
    (shown,) = [
        each for each in examine_records(config, suite_of(config), tmp_path) if each.what == "sentinel"
    ]
    assert shown.found == "12, never learnt; every model that is judged answers all of them"
    assert refusal(config_for(tmp_path, num=300, final={"num_problems": 1_000}), tmp_path).startswith(
        "the records do not suffice: of 300 the sealed part"
    )

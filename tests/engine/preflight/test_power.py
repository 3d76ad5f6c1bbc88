"""What is promised of the gate before a run, against the gate that judges."""

from pathlib import Path

import numpy as np
import pytest

from configs.load import load
from configs.schema import PassAtK, Sentinels
from engine.errors import Mistake
from engine.gate import arithmetic as gate
from engine.gate.sentinels import suite_of_name
from engine.measure.paired import paired_drop_bound, paired_drop_power
from engine.preflight.power import (
    PowerError,
    guard_powers,
    pass_at_k_power,
    require_guards,
    require_power,
    sentinel_powers,
)
from engine.tasks import suite_of
from tests.support.records_files import suite_of_rows, sums


def test_every_suite_has_its_size_margin_and_power() -> None:
    powers = {each.suite: each for each in sentinel_powers(Sentinels(margin=0.06, perplexity_ratio=1.2))}
    assert powers.keys() == {"english", "instructions"}
    assert (
        f"{suite_of_name('english').size} documents, perplexity ratio under 1.2" in powers["english"].design
    )
    assert f"{suite_of_name('instructions').size} requests, drop under 6 %" in powers["instructions"].design
    assert powers["instructions"].power == paired_drop_power(suite_of_name("instructions").size, 0.06, 0.10)
    assert [each.suite for each in sentinel_powers(Sentinels(suites=["english"]))] == ["english"]


def test_a_suite_of_ones_own_has_its_power(tmp_path: Path) -> None:
    mine, prose = tmp_path / "mine.jsonl", tmp_path / "prose.jsonl"
    mine.write_text("".join(f'{{"id": "{i}", "prompt": "Say {i}.", "accept": ["{i}"]}}\n' for i in range(40)))
    prose.write_text("".join(f'{{"id": "{i}", "text": "Two words and {i} more."}}\n' for i in range(50)))
    powers = sentinel_powers(Sentinels(suites=["english", str(mine), str(prose)], margin=0.06))
    assert [each.suite for each in powers] == ["english", "mine", "prose"]
    assert powers[1].design.startswith("40 requests, drop under 6 %")
    assert powers[1].key == "gate.sentinels.margin"
    assert powers[1].power == paired_drop_power(40, 0.06, 0.10)
    assert powers[2].design.startswith("50 documents, perplexity ratio") and powers[2].power > 0.99
    with pytest.raises(PowerError, match="gate.sentinels.margin is too small for the sentinel suite mine"):
        require_power(Sentinels(suites=[str(mine)], margin=0.06))
    with pytest.raises(
        Mistake, match="'other' is neither one of arithmetic, english, instructions, knowledge"
    ):
        sentinel_powers(Sentinels(suites=["other"]))


def test_guards_say_how_much_a_model_may_lose() -> None:
    config = load("configs/sleep.yaml")
    powers = guard_powers(config, suite_of(config), 0)
    assert {(each.guard, each.day) for each in powers} >= {("old-facts vs best", 2), ("old-facts vs best", 3)}
    assert not any(each.guard.startswith("old-facts") and each.day == 1 for each in powers)
    for each in powers:
        assert not each.remedy and f"up to {each.most_lost} more lost" in each.design
        assert paired_drop_bound(each.most_lost, 0, each.num_stories) < each.margin
        assert paired_drop_bound(each.most_lost + 1, 0, each.num_stories) >= each.margin
        worded = each.guard.startswith("old-facts") and each.day == 2
        assert each.num_stories == (each.num // 3 if worded else each.num_stories)
        assert f"{each.num_stories} stories in {each.num} problems" in each.design or not worded
    require_guards(config, suite_of(config), 0)
    later = {each.day for each in guard_powers(config, suite_of(config), 5)}
    assert later == {6, 8}, "days of the line before the campaign count"


def test_a_guard_that_nobody_can_pass_is_refused() -> None:
    config = load("configs/sleep.yaml", ["task.people_a_day=2", "task.facts_a_person=3"])
    with pytest.raises(PowerError, match="the guard .*, day 2, has too few problems: even a model"):
        require_guards(config, suite_of(config), 0)
    plain = load("configs/quickstart.yaml")
    assert guard_powers(plain, suite_of(plain), 0) == []


def test_a_suite_of_few_requests_takes_a_margin_of_its_own() -> None:
    suites = ["english", "arithmetic", "knowledge", "refusal"]
    with pytest.raises(PowerError, match="gate.sentinels.margin is too small for the sentinel suite refusal"):
        require_power(Sentinels(suites=suites))
    require_power(Sentinels(suites=suites, margins={"refusal": 0.15}))
    with pytest.raises(PowerError, match="^gate.sentinels.margins.refusal is too small for the sentinel"):
        require_power(Sentinels(suites=suites, margins={"refusal": 0.10}))
    with pytest.raises(
        PowerError, match="margins.english: the suite holds documents, which perplexity_ratio"
    ):
        require_power(Sentinels(margins={"english": 0.10}))


@pytest.mark.slow
def test_power_for_perplexity_agrees_with_simulation() -> None:
    num, ratio = suite_of_name("english").size, 1.03
    rng = np.random.default_rng(0)
    passed = 0
    for _ in range(200):
        change = 100 * rng.normal(0.0, 0.1, num)
        passed += gate.no_harm_perplexity("english", [0.0] * num, change.tolist(), [100] * num, ratio).passed
    (english_power,) = sentinel_powers(Sentinels(suites=["english"], perplexity_ratio=ratio))
    assert 0.3 < english_power.power < 0.9
    assert english_power.power == pytest.approx(passed / 200, abs=0.1)


@pytest.mark.parametrize("settings", [{"margin": 0.03}, {"perplexity_ratio": 1.01}])
def test_a_suite_without_power_is_refused_by_its_key(settings: dict[str, float]) -> None:
    with pytest.raises(PowerError, match=f"gate.sentinels.{next(iter(settings))} is too small") as caught:
        require_power(Sentinels(**settings))
    assert "but 80 % are needed" in str(caught.value)
    require_power(Sentinels())


def test_power_for_pass_at_k_agrees_with_the_gate() -> None:
    settings = PassAtK(num_problems=64, margin=0.10)
    power, design = pass_at_k_power(settings)
    rng = np.random.default_rng(0)
    passed = 0
    for _ in range(400):
        drawn = rng.random(64)
        # The champion alone, the challenger alone, both, neither.
        pairs = [(at < 0.05 or 0.1 <= at < 0.5, 0.05 <= at < 0.5) for at in drawn]
        passed += gate.pass_at_k_not_inferior(pairs, 4, settings.margin).passed
    assert power == pytest.approx(passed / 400, abs=0.08)
    assert 0.6 < power < 0.8 and "64 problems, drop under 10 %" in design


def test_records_that_a_task_keeps_are_a_suite_with_a_power_of_their_own(tmp_path: Path) -> None:
    rows = [row | {"split": "sentinel"} for row in sums(74)]
    kept = suite_of_rows(tmp_path / "my.jsonl", [*rows, *sums(120)[74:]]).sentinels
    settings = Sentinels(suites=["english"], margin=0.1)
    english_power, kept_power = sentinel_powers(settings, kept)
    assert english_power.suite == "english" and kept_power.suite == "kept-records"
    assert kept_power.power == paired_drop_power(74, 0.1, 0.10) >= 0.8
    assert kept_power.design.startswith("74 requests, drop under 10 %")
    require_power(settings, kept)
    with pytest.raises(
        PowerError, match="gate.sentinels.margin is too small for the sentinel suite kept-records"
    ):
        require_power(settings, kept[:40])

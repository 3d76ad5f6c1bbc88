"""Guards on scripted models: whom each is held against, what is asked once, what a refusal shows."""

from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.disk.steps import Run
from engine.gate.guards import guarded, no_harm
from engine.gate.terms import Trial
from engine.gate.trial import conclude, try_baseline, try_carry, try_challenger
from engine.measure.bench import Bench
from engine.measure.paired import by_story, paired_drop_bound
from engine.models.identity import Model
from engine.models.liveness import TEXTS
from engine.records import Check, Decision, Problem
from engine.registry.registry import Registry
from engine.registry.store import RegistryError
from engine.tasks.suite import Guard, guards_of
from engine.verify.pool import VerifierPool
from tests.support.registry import manifest
from tests.support.scripted import SUITE, VERIFIER, Script, Scripted
from tests.support.scripted_campaign import LINE, config_of
from tests.support.scripted_experiment import write_model
from tests.support.verifiers import kept_pool

pytestmark = pytest.mark.slow

OLD = tuple(SUITE.draw(40, split="old", seed=1))
NEW = tuple(SUITE.draw(60, split="newer", seed=2))
KNOWN = tuple(each for each in SUITE.draw(150, split="known", seed=3) if int(each.id[:8], 16) / 16**8 < 0.3)
"""Problems that a script of skill 0.3 proves."""


class Guarding:
    """The scripted suite with guards."""

    def __init__(self, *guards: Guard) -> None:
        self.task, self.slices, self.draw = SUITE.task, SUITE.slices, SUITE.draw
        self.guards = guards


def guard(against: Any, problems: tuple[Problem, ...] = OLD, margin: float | None = 0.1) -> Guard:
    return Guard(name="old-facts", problems=problems, margin=margin, against=against)


def models(**changes: Script) -> dict[str, Script]:
    """All prove the same half of the problems, but for a challenger that proves nearly all."""
    scripts = {
        "base": Script(skill=0.0),
        "frozen": Script(nll=101.0),
        "champion": Script(nll=102.0),
        "earlier": Script(nll=101.5),
        "challenger": Script(skill=0.95, nll=103.0),
    }
    return scripts | changes


@pytest.fixture(scope="module")
def pool() -> Any:
    with kept_pool(f"{VERIFIER}:verify", seconds=1.0) as pool:
        yield pool


@contextmanager
def trial(
    home: Path, pool: VerifierPool, scripts: Mapping[str, Script], *guards: Guard, run_id: str = "r"
) -> Any:
    run = Run.create(home, config_of(home, 2), run_id)
    sampler = Scripted(**scripts)
    names = {name: Model(id=name, path=Path(name)) for name in scripts}
    yield Trial(
        run=run,
        prefix="rounds/001/",
        bench=Bench(sampler, pool, "", 0.05, ""),
        suite=Guarding(*guards),
        settings=run.config.gate,
        max_new_tokens=64,
        champion=names["champion"],
        challenger=names["challenger"],
        reference=(scripts["challenger"].nll,) * len(TEXTS),
        frozen=names["frozen"],
        base=names["base"],
        seen=frozenset(),
    )
    run.close()


def judged(home: Path, pool: VerifierPool, scripts: Mapping[str, Script], *guards: Guard) -> Decision:
    registry = Registry(home)
    registry.open_ledger(LINE, alpha=0.05, planned_tests=2, run_id="r", fresh=False)
    with trial(home, pool, scripts, *guards) as each:
        return conclude(each, try_challenger(each, registry, LINE, 1))


def check_of(decision: Decision, name: str) -> Check:
    (found,) = [check for check in decision.checks if check.name == name]
    return found


def test_a_suite_without_guards_has_none_and_empty_ones_are_left_out() -> None:
    assert guards_of(SUITE) == ()
    assert guards_of(Guarding(guard("best", problems=()), guard("frozen"))) == (guard("frozen"),)


def test_a_better_challenger_that_keeps_what_was_known_is_accepted(tmp_path: Path, pool: Any) -> None:
    decision = judged(tmp_path, pool, models(), guard("champion"), guard("frozen"), guard("best"))
    assert decision.accepted, decision.reason
    names = [check.name for check in decision.checks]
    assert names[-3:] == ["old-facts vs champion", "old-facts vs frozen", "old-facts vs best"]
    # Three models, each asked the same problems once.
    (folder,) = (tmp_path / "runs/r/guards").iterdir()
    assert {file.stem for file in folder.iterdir()} == {"champion", "frozen", "challenger"}


def test_a_challenger_that_lost_what_the_champion_knew_is_refused(tmp_path: Path, pool: Any) -> None:
    """It wins far more than it loses, but not on the old problems: it proves the other half."""
    forgets = models(
        champion=Script(skill=0.3, nll=102.0), challenger=Script(skill=0.7, start=0.3, nll=103.0)
    )
    decision = judged(tmp_path, pool, forgets, guard("champion", KNOWN), guard("frozen", margin=0.9))
    assert not decision.accepted and decision.reason.startswith("old-facts vs champion: ")
    assert check_of(decision, "superiority").passed and check_of(decision, "old-facts vs frozen").passed


def test_a_margin_of_its_own_or_that_of_the_sentinels(tmp_path: Path, pool: Any) -> None:
    decision = judged(tmp_path, pool, models(), guard("champion", NEW, None), guard("frozen", NEW, 0.07))
    assert check_of(decision, "old-facts vs champion").limit == 0.05
    assert check_of(decision, "old-facts vs frozen").limit == 0.07


def test_the_best_ever_is_held_problem_by_problem(tmp_path: Path, pool: Any) -> None:
    """The present champion has forgotten what an earlier one knew; the challenger must know both."""
    early, late = Script(skill=0.5, nll=101.5), Script(skill=0.5, start=0.5, nll=102.0)
    same = models(earlier=early, champion=late, challenger=replace(late, nll=103.0))
    for parent, forgets in (("base", False), ("earlier", True)):
        home, best = tmp_path / parent, guard("best")
        registry = Registry(home)
        for name, made_from in (("earlier", "base"), ("champion", parent)):
            write_model(home / "trained" / name, 0.0)
            registry.add(home / "trained" / name, replace(manifest(name), parent_id=made_from))
        with trial(home, pool, same, best) as each:
            first = replace(each, champion=Model(id="earlier", path=Path("earlier")))
            guarded(replace(first, suite=Guarding(guard("best", OLD[:30]))))
            # A working model that stands in the place of the champion is none of the best.
            guarded(replace(each, champion=each.frozen, who=("working", "challenger")))
        # Another run on the line: what a champion knew is not forgotten with its run.
        with trial(home, pool, same, best, run_id="later") as each:
            (check,), (shown,) = guarded(each)
        assert check.passed is not forgets, check.observed
        assert bool(shown.broken) is forgets and shown.before_id == "best"
        if forgets:
            assert shown.examples[0].before == "prove", "the reply is kept with the line"


def test_a_damaged_best_ever_is_told(tmp_path: Path, pool: Any) -> None:
    with trial(tmp_path, pool, models(), guard("best")) as each:
        guarded(each)
        (tmp_path / "registry/lines" / LINE / "guards.json").write_text("[]")
        with pytest.raises(RegistryError, match="the guards of a line are damaged"):
            guarded(each)


def worded(lost: Sequence[int], gained: Sequence[int], num: int) -> Check:
    """A check of `num` facts in three wordings, of which so many were lost and gained of each fact."""
    old = SUITE.draw(3 * num, split="worded", seed=4)
    problems = [replace(problem, story=f"fact {place // 3}") for place, problem in enumerate(old)]
    pairs = []
    for fact in range(num):
        changes = [(True, False)] * lost[fact] + [(False, True)] * gained[fact]
        pairs += changes + [(True, True)] * (3 - len(changes))
    return no_harm("old-facts", problems, pairs, 0.1)


def test_a_fact_in_several_wordings_counts_once() -> None:
    none = [0] * 40
    whole = worded([3, 3, *none[2:]], none, 40)
    assert whole.value == pytest.approx(paired_drop_bound(2, 0, 40)) and not whole.passed
    assert whole.observed.startswith("100.0% -> 95.0% of 40 stories (120 problems): a drop of 5.0 points, ")
    assert f"under {100 * (whole.value or 0):.1f} (95 %)" in whole.observed
    assert whole.threshold == "a drop of under 10.0 points"
    parts = worded([1, 1, *none[2:]], none, 40)
    assert parts.passed and parts.value == pytest.approx(paired_drop_bound(2 / 3, 0, 40))
    assert "a gain of 5.0 points" in worded(none, [3, 3, *none[2:]], 40).observed
    alone = [replace(problem, story="") for problem in OLD]
    assert no_harm("n", alone, [(True, True)] * 40, 0.1).observed.startswith("100.0% -> 100.0% of 40: a drop")


@pytest.mark.parametrize("together", [0.0, 0.3, 0.5, 0.8, 1.0])
def test_a_drop_at_the_margin_hardly_passes_however_wordings_hang_together(together: float) -> None:
    """Facts in three wordings, of which a tenth is lost: a fact as a whole, or each wording for itself."""
    rng = np.random.default_rng(0)
    for num in (38, 40, 78):
        stories = [str(fact) for fact in range(num) for _ in range(3)]
        passed, repeats = 0, 1000
        for _ in range(repeats):
            as_one, whole = rng.random(num) < together, rng.random(num) < 0.1
            lost = np.where(as_one[:, None], whole[:, None], rng.random((num, 3)) < 0.1)
            bound = paired_drop_bound(*by_story((-1.0 * lost).ravel().tolist(), stories))
            passed += bound < 0.1
        # Of facts that are lost as a whole the bound lets 38 pass in 1.8 %, and 78 in 4.1 %.
        assert passed / repeats <= 0.05 + 3 * (0.05 * 0.95 / repeats) ** 0.5, (num, passed)


def test_a_refused_challenger_shows_what_it_would_have_lost(tmp_path: Path, pool: Any) -> None:
    harmed = models(challenger=Script(skill=0.1, nll=103.0))
    registry = Registry(tmp_path)
    registry.open_ledger(LINE, alpha=0.05, planned_tests=2, run_id="r", fresh=False)
    with trial(tmp_path, pool, harmed, guard("champion")) as each:
        evidence = try_challenger(each, registry, LINE, 1)
    decision = conclude(each, evidence)
    assert decision.reason.startswith("superiority: ")
    lost = check_of(decision, "old-facts vs champion")
    assert lost.ran and not lost.passed
    (shown,) = evidence.watched
    assert shown.suite == lost.name and len(shown.broken) > 10
    asked = {problem.turns[-1][:80]: problem for problem in OLD}
    assert set(shown.broken) <= set(asked), "what was lost is called by its question"
    assert shown.examples[0].before == "prove" and shown.examples[0].after == "Answer: Unknown"
    assert [check.ran for check in decision.checks if check.name in ("english", "instructions")] == [
        False
    ] * 2


def test_a_challenger_that_is_not_alive_is_asked_nothing(tmp_path: Path, pool: Any) -> None:
    decision = judged(tmp_path, pool, models(challenger=Script(skill=0.9, nll=102.0)), guard("champion"))
    assert decision.reason.startswith("alive: ")
    assert not check_of(decision, "old-facts vs champion").ran
    assert not (tmp_path / "runs/r/guards").exists()


def test_where_a_round_carries_guards_are_glanced_at(tmp_path: Path, pool: Any) -> None:
    """A drop that is seen to be small is none; it would not be shown to be."""
    few = guard("champion", KNOWN[:12], 0.1)
    problems = SUITE.draw(60, split="carry-1", seed=3)
    with trial(tmp_path, pool, models(), few) as each:
        evidence = try_carry(each, problems, 3)
        (shown,), _ = guarded(each)
    (glanced,) = [check for check in evidence.checks if check.name == "old-facts vs champion"]
    assert glanced.passed and "drop seen" in glanced.threshold
    assert not shown.passed, "twelve problems cannot show it"
    worse = models(challenger=Script(skill=0.2, nll=103.0))
    with trial(tmp_path / "worse", pool, worse, few) as each:
        evidence = try_carry(each, problems, 3)
    (glanced,) = [check for check in evidence.checks if check.name == "old-facts vs champion"]
    assert glanced.ran and not glanced.passed and "drop seen" in glanced.threshold


def test_the_baseline_is_held_against_the_base(tmp_path: Path, pool: Any) -> None:
    with trial(tmp_path, pool, models(), guard("champion"), guard("frozen"), guard("best")) as each:
        evidence = try_baseline(replace(each, champion=each.base, frozen=each.base))
    assert conclude(each, evidence).accepted
    (folder,) = (tmp_path / "runs/r/guards").iterdir()
    assert {file.stem for file in folder.iterdir()} == {"base", "challenger"}


def test_a_resumed_trial_asks_no_guard_again(tmp_path: Path, pool: Any) -> None:
    guards = (guard("champion"), guard("best"))
    with trial(tmp_path, pool, models(), *guards) as each:
        first = guarded(each)
    with trial(tmp_path, pool, models(), *guards) as each:
        assert guarded(each) == first
        assert each.bench.sampler.calls == []

"""The gate against brute force and simulation, and its checks on hand-made outcomes."""

import math
import time
from itertools import product
from pathlib import Path

import pytest
from scipy.stats import beta

from engine.gate import arithmetic as gate
from engine.measure import paired, stats
from engine.measure.sequential import detectable_gain
from engine.records import Attempt, Check, Finish, Likelihood, Status, from_json, to_json
from engine.registry.ledger import LedgerUsedUp, next_level
from tests.support.simulated_campaigns import PLAN, run_ledgers, simulate, verdict

WIN, LOSS, BOTH = (False, True), (True, False), (True, True)


def run(test: gate.SequentialTest, looks: list[list[gate.Pair]]) -> tuple[list, gate.Outcome]:
    records, outcome = [], gate.Outcome.CONTINUE
    for pairs in looks:
        record, outcome = test.look(pairs)
        records.append(record)
        if outcome is not gate.Outcome.CONTINUE:
            break
    return records, outcome


@pytest.mark.slow
@pytest.mark.parametrize("discordants", [(5, 4, 5), (0, 6, 7), (2, 0, 9)])
def test_false_acceptance_is_exactly_what_is_spent(discordants):
    """Over all sequences of fair coin flips the share accepted is the level spent, and within the level."""
    plan = PLAN | {"level": 0.1, "looks": 3, "look_size": 9, "futility": 0.0}
    accepted, spent = 0, 0.0
    for flips in product((WIN, LOSS), repeat=sum(discordants)):
        remaining, looks = list(flips), []
        for discordant in discordants:
            pairs, remaining = remaining[:discordant], remaining[discordant:]
            looks.append(pairs + [BOTH] * (9 - discordant))
        records, outcome = run(gate.SequentialTest(**plan), looks)
        accepted += outcome is gate.Outcome.BETTER
        spent = max(spent, records[-1].spent)
    assert accepted / 2 ** sum(discordants) == pytest.approx(spent)
    assert 0.03 < spent <= 0.1


@pytest.mark.slow
def test_null_challengers_are_refused_and_better_ones_accepted():
    accepted, _ = simulate(0.05, 0.05, 500, seed=10)
    assert accepted <= 0.03 + 3 * (0.03 * 0.97 / 500) ** 0.5
    accepted, used = simulate(0.10, 0.05, 500, seed=11)
    assert accepted == pytest.approx(0.88, abs=0.05)
    assert used == pytest.approx(385, abs=30)
    accepted, used = simulate(0.40, 0.10, 100, seed=12)
    assert (accepted, used) == (1.0, pytest.approx(95, abs=15))


def test_replaying_the_same_pairs_gives_the_same_looks():
    looks = [[WIN] * 5 + [LOSS] * 3 + [BOTH] * 42] * 12
    first, again = run(gate.SequentialTest(**PLAN), looks), run(gate.SequentialTest(**PLAN), looks)
    assert first == again
    assert first[1] is gate.Outcome.BETTER
    spent = [record.spent for record in first[0]]
    assert spent == sorted(spent)
    assert all(record.spent <= 0.03 * (record.num_problems / 600) ** 2 for record in first[0])


def test_a_worse_challenger_is_stopped_early_and_an_undetectable_one_runs_out():
    records, outcome = run(gate.SequentialTest(**PLAN), [[LOSS] * 8 + [BOTH] * 42] * 12)
    assert outcome is gate.Outcome.FUTILE
    assert (len(records), records[-1].conditional_power) == (3, pytest.approx(0, abs=0.05))
    plan = PLAN | {"futility": 0.0}
    records, outcome = run(gate.SequentialTest(**plan), [[WIN] * 5 + [LOSS] * 5 + [BOTH] * 40] * 12)
    assert (outcome, len(records)) == (gate.Outcome.EXHAUSTED, 12)


def test_a_first_look_without_a_difference_is_not_yet_futile_when_it_is_small():
    test = gate.SequentialTest(**PLAN | {"look_size": 10})
    assert test.look([BOTH] * 10)[1] is gate.Outcome.CONTINUE


def test_looks_of_another_size_or_after_the_end_are_refused():
    test = gate.SequentialTest(**PLAN)
    with pytest.raises(gate.GateError, match="takes 50 pairs, got 49"):
        test.look([BOTH] * 49)
    assert test.look([WIN] * 50)[1] is gate.Outcome.BETTER
    with pytest.raises(gate.GateError, match="ended"):
        test.look([WIN] * 50)
    with pytest.raises(gate.GateError, match="level"):
        gate.SequentialTest(**PLAN | {"level": 0.0})


@pytest.mark.parametrize(
    ("champion", "challenger", "expected"),
    [
        (Status.PASS, Status.FAIL, (True, False)),
        (Status.FAIL, Status.PASS, (False, True)),
        (Status.UNDECIDED, Status.PASS, (True, True)),
        (Status.FAIL, Status.UNDECIDED, (False, False)),
        (Status.UNDECIDED, Status.UNDECIDED, (True, False)),
    ],
)
def test_undecided_counts_against_the_challenger(champion, challenger, expected):
    assert gate.pair(verdict(champion), verdict(challenger)) == expected


def test_pairs_are_of_one_problem_and_of_the_model_on_trial():
    with pytest.raises(gate.GateError, match="one problem"):
        gate.pair(verdict(Status.PASS, "a"), verdict(Status.PASS, "b"))
    samples = [verdict(Status.FAIL), verdict(Status.PASS)]
    assert gate.pair_at_k(samples, samples[:1]) == (True, False)
    attempt = Attempt(
        problem_id="p",
        model_id="old",
        sample=0,
        replies=("",),
        num_prompt_tokens=1,
        num_tokens=1,
        finish=Finish.STOP,
    )
    gate.require_answered_by([attempt], "old")
    with pytest.raises(gate.GateError, match="answered by old"):
        gate.require_answered_by([attempt], "new")
    scored = Likelihood(problem_id="p", model_id="old", nll=1.0, num_tokens=2)
    gate.require_answered_by([scored], "old")
    with pytest.raises(gate.GateError, match="answered by old"):
        gate.require_answered_by([scored], "new")


def test_levels_pass_on_only_where_the_null_was_rejected():
    assert next_level(0.06, 3, []) == pytest.approx(0.02)
    assert next_level(0.06, 3, [(0.02, True)]) == pytest.approx(0.04)
    assert next_level(0.06, 3, [(0.02, True), (0.04, True)]) == pytest.approx(0.06)
    assert next_level(0.06, 3, [(0.02, True), (0.04, False)]) == pytest.approx(0.02)
    assert next_level(0.06, 3, [(0.02, None)]) == pytest.approx(0.02)
    with pytest.raises(LedgerUsedUp, match="spent"):
        next_level(0.06, 3, [(0.02, False)] * 3)


def test_superiority_reads_as_evidence_against_its_boundary():
    records, outcome = run(gate.SequentialTest(**PLAN), [[WIN] * 20 + [LOSS] * 5 + [BOTH] * 25] * 12)
    check = gate.superiority(records, outcome)
    assert check.passed
    assert (
        check.observed
        == f"{records[-1].wins} won, {records[-1].losses} lost of {records[-1].num_problems} problems"
    )
    assert f"at least {records[-1].boundary} wins" in check.threshold
    assert (check.value, check.limit, check.unit) == (records[-1].wins, records[-1].boundary, "wins")
    assert check.value >= check.limit
    records, outcome = run(gate.SequentialTest(**PLAN), [[LOSS] * 8 + [BOTH] * 42] * 12)
    check = gate.superiority(records, outcome)
    assert not check.passed and "stopped" in check.observed
    assert (check.value, check.limit) == (0, records[-1].boundary)
    with pytest.raises(gate.GateError):
        gate.superiority([], gate.Outcome.CONTINUE)


def test_no_harm_needs_enough_items_and_a_small_drop():
    assert gate.no_harm_proportion("instructions", [BOTH] * 285 + [WIN] * 7 + [LOSS] * 8, 0.05).passed
    assert not gate.no_harm_proportion("instructions", [BOTH] * 270 + [LOSS] * 30, 0.05).passed
    few = gate.no_harm_proportion("instructions", [BOTH] * 40, 0.05, base_rate=0.9)
    assert not few.passed, "40 items without a difference still allow a drop of 6 %"
    assert "base 90.0%" in few.observed
    assert few.value == paired.paired_drop_bound(0, 0, 40) and (few.limit, few.unit) == (0.05, "share")
    assert f"drop under {few.value:.1%} (95 %)" in few.observed and few.threshold == "drop under 5.0%"
    assert not gate.pass_at_k_not_inferior([BOTH] * 80 + [LOSS] * 20, 4, 0.1).passed
    assert gate.pass_at_k_not_inferior([BOTH] * 94 + [LOSS] * 3 + [WIN] * 3, 4, 0.1).name == "pass@4"
    with pytest.raises(stats.StatsError):
        gate.no_harm_proportion("instructions", [], 0.05)


@pytest.mark.parametrize(("factor", "passed"), [(1.00, True), (1.03, True), (1.10, False), (math.nan, False)])
def test_perplexity_may_rise_only_within_the_ratio(factor, passed):
    before = [200.0 + i for i in range(30)]
    after = [value * factor + (-1) ** i for i, value in enumerate(before)]
    check = gate.no_harm_perplexity("english", before, after, [100] * 30, 1.15)
    assert check.passed is passed
    assert (check.limit, check.unit) == (1.15, "ratio")
    if math.isnan(factor):
        assert check.value is None
    else:
        assert check.value is not None and (check.value < 1.15) is passed
        assert f"under x {check.value:.3f} (95 %)" in check.observed


def test_a_gain_in_likelihood_must_reach_what_was_asked_for():
    check = gate.gain_in_likelihood([0.02, 0.04, -0.03], 0.01)
    assert (check.passed, check.value, check.limit) == (True, pytest.approx(0.01), 0.01)
    assert check.observed == "1.00% fewer nats a token, mean of 3 documents"
    assert check.threshold == "at least 1.00% fewer"
    assert not gate.gain_in_likelihood([0.02, 0.04, -0.04], 0.01).passed
    assert not gate.gain_in_likelihood([-0.001], 0.0).passed
    broken = gate.gain_in_likelihood([0.5, math.nan], 0.0)
    assert (broken.passed, broken.value) == (False, None)


def test_every_check_comes_back_from_its_file():
    records, outcome = run(gate.SequentialTest(**PLAN | {"looks": 1, "look_size": 2}), [[WIN, BOTH]])
    nan = [math.nan] * 8
    checks = [
        gate.superiority(records, outcome),
        gate.no_harm_proportion("instructions", [BOTH] * 40, 0.05),
        gate.no_harm_perplexity("english", [1.0] * 8, nan, [5] * 8, 1.15),
        gate.gain_in_likelihood(nan, 0.0),
        gate.not_run("pass@4", "drop under 10 %"),
    ]
    assert checks[0].limit is None, "no number of wins of one problem would have been enough"
    assert [from_json(Check, to_json(check)) for check in checks] == checks


def decide(checks: list, level: float = 0.025):
    return gate.decide(checks, champion_id="a", challenger_id="b", level=level, entropy=1, looks=())


def test_accepted_means_every_check_ran_and_passed():
    good = gate.Check(name="superiority", observed="9 won", threshold="8 wins", passed=True)
    bad = gate.Check(name="english", observed="x 1.2", threshold="x 1.15", passed=False)
    skipped = gate.not_run("pass@4", "drop under 10 %")
    assert decide([good, good]).accepted
    assert not decide([good, skipped]).accepted
    refused = decide([good, skipped, bad])
    assert not refused.accepted
    assert refused.reason == "english: x 1.2; needed: x 1.15."
    assert refused.second_verifier == "none"
    assert decide([good], level=0.0).reason.startswith("Baseline")
    with pytest.raises(gate.GateError):
        decide([])


def test_power_up_front():
    assert paired.paired_drop_power(300, 0.05, 0.10) == pytest.approx(0.84, abs=0.02)
    assert paired.paired_drop_power(200, 0.05, 0.10) < 0.8
    started = time.perf_counter()
    gain = detectable_gain(**PLAN, discordance_lost=0.05)
    assert time.perf_counter() - started < 2
    assert gain == pytest.approx(0.044, abs=0.004)
    assert detectable_gain(**PLAN | {"level": 0.0125}, discordance_lost=0.05) > gain
    assert detectable_gain(**PLAN | {"looks": 1, "look_size": 4}, discordance_lost=0.05) is None


@pytest.mark.slow
def test_simulated_ledgers_keep_their_error_budget(tmp_path: Path) -> None:
    """A small part of the soak: a gate without a budget would accept a null in every second ledger."""
    num_false, found = run_ledgers(tmp_path, 150, seed=0)
    assert beta.ppf(0.01, num_false, 150 - num_false + 1) <= 0.05 if num_false else True
    assert found["refused further tests"] == 150
    assert found["gain accepted"] > 0.75 * (found["gain accepted"] + found["gain refused"])

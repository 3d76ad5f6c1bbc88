"""`ratchet compare --ledger` keeps its word and carrying pays, by simulation through the ledger on disk."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import beta

from configs.schema import Gate
from engine.measure.paired import binomial, tango_score
from engine.measure.stats import normal_quantile, sign_test
from tests.support.simulated_loops import (
    by_ledger,
    by_rule,
    by_two_pawls,
    nulls_in_a_ledger,
    nulls_on_one_set,
)
from tests.support.simulated_pawls import play_many

pytestmark = [pytest.mark.soak, pytest.mark.timeout(6 * 3600)]
NUM = 2000


def lower_bound(found: int, num: int) -> float:
    """Exact one-sided 99 % lower bound of a share."""
    return float(beta.ppf(0.01, found, num - found + 1)) if found else 0.0


def test_loops_of_nulls_rarely_accept_one(tmp_path: Path) -> None:
    false, by_five_percent = nulls_in_a_ledger(tmp_path, NUM, seed=0)
    bound = lower_bound(false, NUM)
    print(
        f"{NUM} loops of 20 nulls: {false} with a false acceptance by a ledger (exact 99 % lower bound "
        f"{bound:.2%}), {by_five_percent} by p < 0.05 each time"
    )
    assert bound <= 0.05
    assert by_five_percent > NUM / 4


def test_one_set_for_all_calls_holds_where_nothing_looks_at_it(tmp_path: Path) -> None:
    unseen = nulls_on_one_set(tmp_path, NUM, seed=1)
    chosen = nulls_on_one_set(tmp_path, NUM, seed=1, best_of=10)
    print(
        f"{NUM} loops of 20 nulls on one set: {unseen} with a false acceptance (exact 99 % lower bound "
        f"{lower_bound(unseen, NUM):.2%}); {chosen} where each candidate is the best of ten on it"
    )
    assert lower_bound(unseen, NUM) <= 0.05 < lower_bound(chosen, NUM)


def test_carrying_ends_about_as_well_as_keeping_what_scores_higher(tmp_path: Path) -> None:
    num = 1000
    pawls = by_two_pawls(tmp_path, num, seed=2)
    a_round = round(pawls[:, 3].mean())
    rules = {
        "p < 0.05 each time": by_rule(lambda won, lost: sign_test(won, lost) < 0.05, num, 2, a_round),
        "if higher": by_rule(lambda won, lost: won > lost, num, 2, a_round),
        "ledger alone": by_ledger(tmp_path, num, 2, a_round),
    }
    for name, rows in {"two pawls": pawls, **rules}.items():
        error = rows[:, 0].std() / num**0.5
        print(
            f"{name}: champion {rows[:, 0].mean():.1%} (± {error:.1%}), working model "
            f"{rows[:, 1].mean():.1%}, {rows[:, 3].mean():.0f} items a candidate, "
            f"{np.mean(rows[:, 2] > 0):.1%} of loops with a false claim"
        )
    assert pawls[:, 0].mean() > rules["p < 0.05 each time"][:, 0].mean()
    assert pawls[:, 0].mean() > rules["if higher"][:, 0].mean() - 0.02
    assert np.mean(pawls[:, 2] > 0) < 0.05 < np.mean(rules["p < 0.05 each time"][:, 2] > 0)


def test_the_simulation_of_keeping_what_scores_higher_is_that_of_campaigns() -> None:
    ours = by_rule(lambda won, lost: won > lost, 300, 3, 120)
    campaigns = play_many("keep if higher", "even", 300, Gate(looks=1, look_size=120), seed=3)
    assert ours[:, 0].mean() == pytest.approx(campaigns[:, 0].mean(), abs=0.001)


def test_a_margin_keeps_its_level() -> None:
    """Enumerated: how often a drop of just the margin is taken for a smaller one."""
    for level, allowed in ((0.05, 1.2), (0.0025, 1.01)):
        worst = 0.0
        for num, margin, changed in product(
            (50, 100, 200, 500, 1000), (0.02, 0.05, 0.1), (1.01, 1.2, 2, 4, 10)
        ):
            if (discordance := margin * changed) < 0.5:
                worst = max(worst, _shown_at_the_margin(num, margin, discordance, level))
        print(f"margins at level {level}: shown in at most {worst:.3%} where the drop is the margin")
        assert worst < level * allowed


def _shown_at_the_margin(num: int, margin: float, discordance: float, level: float) -> float:
    """The exact chance of the score test of a drop to reject where the drop is `margin`."""
    total, lost_share = 0.0, (discordance + margin) / 2 / discordance
    for discordant in np.flatnonzero(binomial(num, discordance) > 1e-12).tolist():
        lost = np.arange(discordant + 1)
        shown = tango_score(lost, discordant - lost, num, margin) < normal_quantile(level)
        total += float(binomial(num, discordance)[discordant] * binomial(discordant, lost_share)[shown].sum())
    return total

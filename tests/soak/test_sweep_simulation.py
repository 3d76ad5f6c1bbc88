"""A sweep cannot win by luck, shown by simulation."""

import pytest
from scipy.stats import beta

from tests.support.simulated_sweeps import run_sweeps

pytestmark = pytest.mark.soak


def test_winners_of_sweeps_in_which_nothing_is_better_are_refused() -> None:
    num = 2000
    found = run_sweeps(num, seed=1)
    bound = beta.ppf(0.01, found["accepted"], num - found["accepted"] + 1)
    print(
        f"{num} sweeps, {found['trials']} trials: {found['accepted']} winners accepted (exact 99 % lower "
        f"bound {bound:.2%}); on the selection split itself {found['by selection']} would have been"
    )
    assert bound <= 0.05

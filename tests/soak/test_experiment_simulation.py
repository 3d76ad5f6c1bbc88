"""Coverage of an experiment's intervals over many simulated experiments, whose truth is known."""

import itertools

import pytest

from tests.support.simulated_experiments import World, coverage, ratio_coverage, rises

pytestmark = pytest.mark.soak
WORLDS = [
    (0.0, (0.1, 0.5, 0.5)),
    (0.5, (0.1, 0.5, 0.5)),
    (0.5, (0.3, 0.2, 0.3)),
    (0.0, (0.02, 0.02, 0.1)),
    (0.3, (0.1, 1.0, 0.2)),
]
"""A gain, and how much seeds, arms on a problem and single answers vary."""
CURVES = [
    (rises(3, 1.0), rises(1, 1.0)),
    (rises(1.5, 1.0), rises(1.5, 1.0)),
    (rises(6, 0.7), rises(2, 0.7)),
    (rises(1, 0.7), rises(0.02, 0.7)),
    (rises(4, 0.5), rises(1, 0.5)),
    (rises(1, 0.7), rises(3, 0.7)),
]


def test_intervals_of_differences() -> None:
    """2 to 10 seeds on 30 to 300 problems."""
    found = [
        coverage(World(11, *sds), gain, num_seeds, num_problems, 1500)
        for num_seeds, num_problems in itertools.product((2, 3, 5, 10), (30, 100, 300))
        for gain, sds in WORLDS
    ]
    held, by_seeds, above = zip(*found, strict=True)
    print(
        f"over both {min(held):.1%} to {max(held):.1%}, over seeds {min(by_seeds):.1%} to {max(by_seeds):.1%}"
    )
    assert min(held) >= 0.925 and max(above) <= 0.05 and min(by_seeds) < 0.6


def test_intervals_of_data_ratios() -> None:
    """3 to 10 seeds on 100 and 300 problems, ratios from a third to fifty."""
    found = [
        ratio_coverage(World(12, 0.08, 0.3, 0.3), treatment, control, num_seeds, num_problems, 150)
        for num_seeds, num_problems in ((3, 100), (5, 100), (5, 300), (10, 300))
        for treatment, control in CURVES
    ]
    print(f"{min(found):.1%} to {max(found):.1%}")
    assert min(found) >= 0.9

"""False alarms of the leak guard on thousands of fresh problems, with the real sentence embeddings."""

from collections import Counter
from typing import Any

import pytest

from engine.curate.leaks import FALSE_ALARMS, LeakGuard
from engine.curate.unleaked import fresh_texts
from engine.embeddings import embedder
from engine.tasks.suite import Suite
from tests.support.gym import gym_suite
from tests.support.suites import suite

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3600)]

NUM = 2000
TASKS: dict[str, tuple[str, dict[str, Any]]] = {
    "prontoqa": ("prontoqa", {}),
    "prontoqa-small": ("prontoqa", {"hops": [1, 2], "irrelevant": [0], "distractors": [0]}),
    "prontoqa-long": ("prontoqa", {"hops": [4, 5]}),
    **{
        name: (name, {})
        for name in ("leg_counting", "knights_knaves", "chain_sum", "simple_equations", "gsm_symbolic")
    },
}


def suite_of(name: str, slices: dict[str, Any]) -> Suite:
    return suite(name, slices) if name == "prontoqa" else gym_suite(name)


@pytest.mark.parametrize("case", TASKS)
def test_at_most_a_hundredth_of_fresh_problems_is_stopped(case: str) -> None:
    tasks = suite_of(*TASKS[case])
    protected = tasks.draw(400, split="gate", seed=1)
    guard = LeakGuard([each.text for each in protected], embed=embedder(), fresh=fresh_texts(tasks))
    fresh = tasks.draw(NUM, split="propose", seed=5, exclude={each.id for each in protected})
    leaks = guard.leaks([each.text for each in fresh], [each.slice for each in fresh])
    stopped = Counter(leak.kind for leak in leaks if leak)
    print(f"\n{case}: {stopped.total() / NUM:.2%} of {NUM} stopped, {dict(stopped)}")
    print("\n".join(f"  {kind}: {guard.silence(kind) or 'as usual'}" for kind in guard.kinds))
    assert stopped.total() <= FALSE_ALARMS * NUM

"""The scores of trials side by side."""

from math import nan
from types import SimpleNamespace
from typing import Any

from engine.records import SentinelScores
from tune.evidence import Evidence, on_sentinels


def test_an_undecided_answer_to_a_sentinel_has_not_passed() -> None:
    def scores(*values: float) -> SentinelScores:
        return SentinelScores(model_id="m", suite="kept-records", scores=values)

    nothing: Any = None
    design: Any = SimpleNamespace(settings=SimpleNamespace(arms={"one": None}))
    trial: Any = SimpleNamespace(seed=3, arm="one", status="finished", sentinels=[scores(nan, nan, 1.0)])
    evidence = Evidence(
        design=design,
        ground=nothing,
        problems=[],
        champion=nothing,
        sentinels=[scores(1.0, nan, 0.0)],
        trials=[trial],
    )
    (table,) = on_sentinels(evidence)
    assert (table.where, table.unit) == ("kept-records", "share")
    assert table.champion.tolist() == [1.0, 0.0, 0.0] and table.arms["one"][3].tolist() == [0.0, 0.0, 1.0]
    assert table.differences("one", "champion").tolist() == [[-1.0, 0.0, 1.0]]

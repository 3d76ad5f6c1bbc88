"""What a trial learns from is made knowing what it will be measured on."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from engine.tasks import suite_of
from engine.verify.pool import VerifierPool
from loops.context import Context
from loops.loop import Proposal
from tests.support.provers import PARENT, Prover, config_of, round_of
from tune import trial

pytestmark = pytest.mark.slow


def test_what_a_trial_is_measured_on_is_known_before_it_learns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(tmp_path / "base", {})
    selection = suite_of(config).draw(4, split="selection", seed=3)
    told: list[tuple[tuple[str, ...], frozenset[str]]] = []

    def propose(context: Context, parent: Any, number: int, seen: frozenset[str]) -> Proposal:
        told.append((context.measured, seen))
        return Proposal(data=None, seen=seen)

    monkeypatch.setattr(trial, "load_loop", lambda loop: SimpleNamespace(propose=propose))
    monkeypatch.setattr(trial, "open_run", lambda *_: SimpleNamespace(close=lambda: None))
    trials: Any = SimpleNamespace(
        run_id="s",
        campaign=SimpleNamespace(says_how=lambda key: False, varied=lambda values: config),
        selection=lambda suite: selection,
        parent=lambda: PARENT,
        round=1,
    )
    with round_of(tmp_path / "home", config, Prover(), cast(VerifierPool, None)) as context:
        trial.material_for(trials, {}, lambda *_: context)
    ids = frozenset(problem.id for problem in selection)
    assert told == [(tuple(problem.text for problem in selection), ids)]

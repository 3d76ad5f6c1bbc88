"""How a sampler takes weights, with a scripted engine; `test_proof.py` has real ones."""

from types import SimpleNamespace
from typing import Any

import pytest

from engine.models.evidence import Unproven
from engine.sample import actor as actors


@pytest.fixture
def actor(monkeypatch: pytest.MonkeyPatch) -> Any:
    """One that holds `old`, without its process and with an engine that notes what it is told."""
    monkeypatch.setattr(actors, "local_copy", lambda ref: ref)
    monkeypatch.setattr(actors, "model_id", lambda model: model)
    cls = actors.SamplerActor.__ray_metadata__.modified_class  # type: ignore[attr-defined]
    made = cls.__new__(cls)
    made.fault, made.asleep, made.unfinished, made.computed, made.model_id = None, False, {}, {}, "old"
    made.told = told = list[str]()

    def forget() -> bool:
        told.append("forget")
        return made.forgets

    def take(method: str, args: tuple[str]) -> None:
        told.append(method)
        if made.breaks:
            raise RuntimeError("no room")

    made.forgets, made.breaks = True, False
    engine = SimpleNamespace(abort_request=lambda names: None)
    made.llm = SimpleNamespace(llm_engine=engine, reset_prefix_cache=forget, collective_rpc=take)
    made.prover = SimpleNamespace(has_proved=True, expect=lambda version: None, check=lambda: "proof")
    return made


def test_what_was_computed_by_old_weights_is_forgotten_first(actor: Any) -> None:
    assert actor.swap("old", None, False) is None
    assert actor.swap("new", None, False) == ("proof", {}) and actor.model_id == "new"
    assert actor.told == ["forget", "take_weights"]
    actor.forgets = False
    with pytest.raises(Unproven, match="keeps what it computed by the weights before those of old"):
        actor.swap("old", None, False)
    assert actor.told == ["forget", "take_weights", "forget"]


def test_weights_that_were_taken_in_half_are_not_believed(actor: Any) -> None:
    actor.breaks = True
    with pytest.raises(RuntimeError):
        actor.swap("new", None, False)
    actor.breaks = False
    assert actor.swap("old", None, False) == ("proof", {})
    assert actor.told.count("take_weights") == 2

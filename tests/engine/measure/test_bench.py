"""Which verifiers label and which judge, and whose system message is used."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from configs.schema import Sampler, Verify
from engine.measure import bench
from engine.measure.bench import Benches, open_benches
from engine.models.reference import References
from engine.sample import group
from tests.support.suites import suite

PLAN: Any = SimpleNamespace(samplers=SimpleNamespace(threads=2, gpus=0), take_turns=True)
SUITE = suite()


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []

    @contextmanager
    def pool(verifier: str, **limits: Any) -> Iterator[str]:
        assert limits == {"num_processes": 3, "seconds": 5.0, "memory_mib": 1024}
        found.append(f"opened {verifier}")
        yield verifier
        found.append(f"closed {verifier}")

    @contextmanager
    def sampler(config: Sampler, model: Path, **settings: Any) -> Iterator[str]:
        assert isinstance(settings.pop("references"), References)
        assert settings == {"threads": 2, "gpus": 0, "share_gpu": True}
        found.append("opened sampler")
        yield f"sampler of {model} for {config.max_new_tokens}"
        found.append("closed sampler")

    monkeypatch.setattr(bench, "VerifierPool", pool)
    monkeypatch.setattr(group, "SamplerGroup", sampler)
    return found


def opened(verifiers: tuple[str, ...], system: str | None = None) -> Benches:
    asked: Any = SimpleNamespace(task=replace(SUITE.task, verifiers=verifiers))
    settings = Sampler(max_new_tokens=7), Verify(num_processes=3, max_undecided=0.1)
    with open_benches(*settings, system, PLAN, asked, Path("m"), References()) as benches:
        return benches


def test_the_first_verifier_labels_and_all_judge(events: list[str]) -> None:
    benches = opened(("rules", "z3", "mine.py:verify"))
    assert (benches.labels.pool, benches.labels.second_verifier) == ("rules", "")
    assert benches.gate.pool == "rules + z3 + mine.py:verify"
    assert benches.gate.second_verifier == "z3 + mine.py:verify"
    assert benches.labels.sampler == benches.gate.sampler == "sampler of m for 7"
    assert benches.gate.max_undecided == 0.1
    assert [event.split()[0] for event in events] == ["opened"] * 3 + ["closed"] * 3


def test_one_verifier_is_one_pool_and_none_is_none(events: list[str]) -> None:
    alone = opened(("rules",))
    assert alone.labels == alone.gate and (alone.gate.pool, alone.gate.second_verifier) == ("rules", "")
    without = opened(())
    assert without.labels == without.gate and without.gate.pool is None
    assert events.count("opened rules") == 1 == events.count("closed rules")


@pytest.mark.parametrize(("given", "used"), [(None, SUITE.task.system), ("Think.", "Think."), ("", "")])
def test_the_system_message_is_the_tasks_unless_one_is_given(
    events: list[str], given: str | None, used: str
) -> None:
    assert SUITE.task.system
    benches = opened(("rules", "z3"), given)
    assert benches.labels.system == benches.gate.system == used

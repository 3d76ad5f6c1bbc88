"""Whether a run would start: asked of the run's own checks, and of the disk."""

import errno
from pathlib import Path

import pytest

from engine.disk.storage import StorageError
from engine.preflight import doctor
from engine.preflight.findings import Finding, found_by
from engine.preflight.power import PowerError
from engine.tasks.suite import DataError


def test_a_run_that_nothing_refuses_would_start(tmp_path: Path) -> None:
    asked: list[str] = []
    found = doctor.verdict(tmp_path, lambda: asked.append("ready"))
    assert (found.ok, found.found, asked) == (True, "would start", ["ready"])


def test_what_the_run_would_say_is_said(tmp_path: Path) -> None:
    def ready() -> None:
        raise PowerError("gate.sentinels.margin is too small")

    found = doctor.verdict(tmp_path, ready)
    assert (found.ok, found.found) == (False, "would be refused: gate.sentinels.margin is too small")


def test_what_refuses_a_config_is_a_finding_beside_the_others() -> None:
    one = Finding(section="plan", what="samplers", found="1")

    def refuses() -> list[Finding]:
        raise DataError("too few records")

    assert found_by(lambda: [one], lambda: [one]) == [one, one]
    before, refused = found_by(lambda: [one], refuses, lambda: [one])
    assert (before, refused.found, refused.ok) == (one, "too few records", False)


def test_a_bug_is_no_refusal(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        doctor.verdict(tmp_path, lambda: {}["a bug"])


@pytest.mark.parametrize("error", [StorageError("it has no locks"), OSError(errno.EROFS, "it has no locks")])
def test_without_a_config_the_disk_alone_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    assert doctor.verdict(tmp_path, None).ok

    def refuse(home: Path) -> None:
        raise error

    monkeypatch.setattr(doctor, "require_storage", refuse)
    found = doctor.verdict(tmp_path, None)
    assert not found.ok and "it has no locks" in found.found

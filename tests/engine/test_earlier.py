"""Runs of the version before: a finished one and an unfinished one are refused in different words."""

from pathlib import Path

from engine.earlier import begun_by_earlier


def test_only_an_unfinished_run_is_to_be_finished_with_its_own_version(tmp_path: Path) -> None:
    run = tmp_path / "old"
    run.mkdir()
    config = run / "config.yaml"
    config.write_text("name: old\nline: a/b\nloop: oak_dpo\npropose: {samples: 8}\n")
    unfinished = begun_by_earlier(run)
    assert unfinished and "finish it with that version (git checkout 558b134" in unfinished
    (run / "summary.json").write_text("{}")
    assert begun_by_earlier(run) == (
        "run old was begun and finished by an earlier version of Ratchet: nothing of it is left to do, that "
        "version wrote its report.html, and its line and models in the registry are read by this one"
    )
    config.write_text("name: new\nline: a/b\nloop: {name: oak_dpo}\n")
    assert begun_by_earlier(run) is None

"""The place of an export: found again after an interruption, never overwritten, one process at a time."""

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from engine.export.exported import ExportError
from engine.export.place import finish, place_for, put
from engine.records import Turn

TURN = Turn(role="user", text="a")


def written(text: str, made: list[str]) -> object:
    def make(path: Path) -> None:
        made.append(text)
        path.write_text(text)

    return make


def export(to: Path, asked: str, made: list[str]) -> None:
    """One file and one list of records, put together."""
    with place_for(to, asked) as place:
        file = place.file("file", written("file", made))  # type: ignore[arg-type]

        def records() -> list[Turn]:
            made.append("records")
            return [TURN]

        assert place.records("records", Turn, records) == [TURN]
        finish(place, to, lambda folder: put(file, folder / "file"))


def test_an_export_appears_as_a_whole(tmp_path: Path) -> None:
    made: list[str] = []
    export(tmp_path / "out", "a", made)
    assert made == ["file", "records"]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["file"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_what_an_equal_call_has_left_is_not_made_again(tmp_path: Path) -> None:
    made: list[str] = []

    def fails(folder: Path) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), place_for(tmp_path / "out", "a") as place:
        place.file("file", written("file", made))  # type: ignore[arg-type]
        finish(place, tmp_path / "out", fails)
    assert not (tmp_path / "out").exists()
    export(tmp_path / "out", "a", made)
    assert made == ["file", "records"]


def test_another_call_begins_anew(tmp_path: Path) -> None:
    made: list[str] = []
    with place_for(tmp_path / "out", "a") as place:
        place.file("file", written("old", made))  # type: ignore[arg-type]
    export(tmp_path / "out", "b", made)
    assert (tmp_path / "out" / "file").read_text() == "file"


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(ExportError, match="--to never overwrites, but .*out exists"):
        export(tmp_path / "out", "a", [])
    # Nor where it appeared meanwhile.
    with pytest.raises(ExportError, match="never overwrites"), place_for(tmp_path / "late", "a") as place:
        (tmp_path / "late").write_text("somebody else's")
        finish(place, tmp_path / "late", lambda folder: None)
    assert (tmp_path / "late").read_text() == "somebody else's"


def test_two_processes_do_not_make_the_same(tmp_path: Path) -> None:
    (tmp_path / ".out.partial").mkdir()
    with open(tmp_path / ".out.partial" / ".lock", "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(ExportError, match="another process is exporting to .*out"):
            export(tmp_path / "out", "a", [])


def test_a_place_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportError, match="--to .*out cannot be made"):
        export(tmp_path / "file" / "out", "a", [])


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["export/file:after", "export/records:before", "export/finish:inside"])
def test_after_kill_9_nothing_is_half_there_and_the_next_call_goes_on(tmp_path: Path, fault: str) -> None:
    code = (
        "import sys; from pathlib import Path; from tests.engine.export.test_place import export\n"
        "made = []; export(Path(sys.argv[1]), 'a', made); print(','.join(made))"
    )

    def run(**environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / "out")],
            env=os.environ | environment,
            capture_output=True,
            text=True,
        )

    assert run(RATCHET_FAULT=fault).returncode == -signal.SIGKILL
    assert not (tmp_path / "out").exists()
    done = run()
    assert done.returncode == 0, done.stderr
    assert "file" not in done.stdout.split(",")
    assert (tmp_path / "out" / "file").read_text() == "file"

"""A directory is replaced as a whole, held by one process, and damage to it is noticed."""

import subprocess
import sys
from pathlib import Path

import pytest

from engine.corpus.snapshot import JUDGED, PARTS, before_of, held, put_in_place
from engine.corpus.stations import CurationError
from engine.errors import Mistake


def snapshot(directory: Path, content: str = "") -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "snapshot.json").write_text(content)
    return directory


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_new_directory_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    directory = snapshot(tmp_path / "data", "old")
    with held(directory) as staging:
        snapshot(staging, "new")
        assert (directory / "snapshot.json").read_text() == "old"
        put_in_place(staging, directory)
    assert (directory / "snapshot.json").read_text() == "new"
    assert names(tmp_path) == ["data"]
    assert directory.stat().st_mode & 0o777 == 0o700


def test_a_mistake_leaves_nothing_and_an_interruption_leaves_what_was_made(tmp_path: Path) -> None:
    with pytest.raises(Mistake), held(tmp_path / "data") as staging:
        (staging / PARTS / "one").mkdir()
        raise Mistake("no")
    assert names(tmp_path) == []
    with pytest.raises(KeyboardInterrupt), held(tmp_path / "data") as staging:
        (staging / PARTS / "one").mkdir()
        raise KeyboardInterrupt
    assert names(tmp_path) == [".data.new"]
    with held(tmp_path / "data") as staging:
        assert names(staging / PARTS) == ["one"]


@pytest.mark.parametrize("is_new", [False, True])
def test_a_mistake_leaves_new_answers_of_a_judge_and_no_copy_of_old_ones(
    tmp_path: Path, is_new: bool
) -> None:
    directory = snapshot(tmp_path / "data", "old")
    (directory / JUDGED).write_text("old")
    with pytest.raises(Mistake), held(directory) as staging:
        (staging / JUDGED).write_text("old and new" if is_new else "old")
        raise Mistake("no")
    assert names(tmp_path) == ([".data.new", "data"] if is_new else ["data"])


def test_nothing_made_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), held(tmp_path / "deep" / "data"):
        raise KeyboardInterrupt
    assert names(tmp_path / "deep") == []


@pytest.mark.parametrize("has_directory", [False, True])
def test_an_exchange_that_was_killed_is_undone(tmp_path: Path, has_directory: bool) -> None:
    directory = tmp_path / "data"
    snapshot(tmp_path / ".data.old", "old")
    if has_directory:
        snapshot(directory, "new")
    with held(directory):
        assert (directory / "snapshot.json").read_text() == ("new" if has_directory else "old")
        assert not (tmp_path / ".data.old").exists()


def test_one_process_at_a_time(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from engine.corpus.snapshot import held\n"
        "with held(Path(sys.argv[1])):\n"
        "    print('held', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "data")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        with (
            pytest.raises(CurationError, match="is being curated by another process"),
            held(tmp_path / "data"),
        ):
            pass
        assert (tmp_path / ".data.new" / PARTS).is_dir(), "what is another's stays"
    finally:
        other.communicate("")
    with held(tmp_path / "data"):
        pass


def test_a_directory_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    with held(tmp_path / "photos"):  # an empty one is as good as none
        pass
    (tmp_path / "photos" / "cat.jpg").touch()
    for other in (tmp_path / "photos", tmp_path / "photos" / "cat.jpg"):
        with pytest.raises(CurationError, match="holds something else than curated files"), held(other):
            pass
    assert names(tmp_path / "photos") == ["cat.jpg"]
    with pytest.raises(CurationError, match="/proc is a mount point, which cannot be"), held(Path("/proc")):
        pass


def test_damage_is_noticed(tmp_path: Path) -> None:
    assert before_of(tmp_path).id == ""
    for content in ("{", "[1]", "{}"):
        directory = snapshot(tmp_path / "data", content)
        (directory / "splits.npz").touch()
        with pytest.raises(CurationError, match="data is damaged, so that its examples cannot be kept"):
            before_of(directory)
    snapshot(directory, '{"id": "a", "files": {"splits.npz": "0"}}')
    (directory / "splits.npz").write_bytes(b"x")
    with pytest.raises(CurationError, match=r"splits\.npz was changed"):
        before_of(directory)

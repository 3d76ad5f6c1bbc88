"""RATCHET_HOME: what is refused of it, and why a bucket is."""

import fcntl
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import RayActorError, RayTaskError

from cluster.shared import _copy_token, require_shared
from engine.disk.storage import StorageError, is_locked, require_storage
from tests.support.cli import QUICKSTART, cli


def test_a_disk_is_taken_and_left_as_it_was(tmp_path: Path) -> None:
    require_storage(tmp_path / "home")
    assert list((tmp_path / "home").iterdir()) == []


def test_a_lock_is_seen_while_it_is_held(tmp_path: Path) -> None:
    with open(tmp_path / "lock", "a") as lock:
        assert not is_locked(tmp_path / "lock")
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert is_locked(tmp_path / "lock")


def test_a_node_says_what_it_sees(tmp_path: Path) -> None:
    assert _copy_token(str(tmp_path / "elsewhere"), "n") == ("", False)
    (tmp_path / "token").write_text("word")
    assert _copy_token(str(tmp_path), "n") == ("word", False), "nobody holds the lock, as far as it sees"
    with open(tmp_path / "lock", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert _copy_token(str(tmp_path), "n") == ("word", True)
    assert (tmp_path / "n").read_text() == "word"


class Nodes:
    """What Ray tells of another node, and what came of the task there."""

    def __init__(self, outcome: Any) -> None:
        self._outcome = outcome

    def put(self, monkeypatch: pytest.MonkeyPatch) -> None:
        node = {"NodeID": "ab" * 28, "Alive": True, "NodeManagerAddress": "10.0.0.2"}
        monkeypatch.setattr("ray.nodes", lambda: [node])
        monkeypatch.setattr("ray.get_runtime_context", lambda: SimpleNamespace(get_node_id=lambda: "own"))
        monkeypatch.setattr("ray.remote", lambda task: self)
        monkeypatch.setattr("ray.wait", lambda asked, **_: (asked, []))
        monkeypatch.setattr("ray.get", lambda asked: asked())

    def options(self, **_: Any) -> "Nodes":
        return self

    def remote(self, at: str, name: str) -> Any:
        def answer() -> tuple[str, bool]:
            if isinstance(self._outcome, Exception):
                raise self._outcome
            return self._outcome(Path(at), name)

        return answer


def _seen_and_repeated(at: Path, name: str) -> tuple[str, bool]:
    return _copy_token(str(at), name)


def _without_locks(at: Path, name: str) -> tuple[str, bool]:
    return _copy_token(str(at), name)[0], False


@pytest.mark.parametrize(
    ("outcome", "sentence"),
    [
        (_seen_and_repeated, ""),
        (RayActorError(), ""),
        (lambda *_: ("", False), "is not the same directory there: mount it on every node"),
        (lambda at, _: ((at / "token").read_text(), True), "is not the same directory there"),
        (_without_locks, "is mounted there without locks across nodes"),
        (
            RayTaskError("_copy_token", "", PermissionError("not allowed")),
            "cannot be used there: not allowed",
        ),
    ],
)
def test_a_node_that_shares_no_home_is_named(
    outcome: Any, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Nodes(outcome).put(monkeypatch)
    if not sentence:
        require_shared(tmp_path)
        return
    with pytest.raises(StorageError, match=f"node 10.0.0.2: RATCHET_HOME {tmp_path} {sentence}"):
        require_shared(tmp_path)


def _refuses(*_: Any, **__: Any) -> None:
    raise OSError(95, "Operation not supported")


def _open_from_the_beginning(path: Any, flags: int, *rest: Any, real: Any = os.open, **at: Any) -> int:
    return real(path, flags & ~os.O_APPEND, *rest, **at)


def _open_whoever_made_it(path: Any, flags: int, *rest: Any, real: Any = os.open, **at: Any) -> int:
    return real(path, flags & ~os.O_EXCL, *rest, **at)


def _copies(source: Path, target: Path) -> None:
    shutil.copytree(source, target) if Path(source).is_dir() else shutil.copy(source, target)


@pytest.mark.parametrize(
    ("name", "instead", "sentence"),
    [
        ("os.replace", _refuses, "rename a file over another (Operation not supported)"),
        ("os.rename", _copies, "rename a directory,"),
        ("os.open", _open_from_the_beginning, "append to files,"),
        ("os.open", _open_whoever_made_it, "create a file once only,"),
        ("pathlib.Path.symlink_to", _refuses, "keep symbolic links (Operation not supported)"),
        ("fcntl.flock", _refuses, "lock files (Operation not supported)"),
        ("fcntl.flock", lambda *_: None, "lock files,"),
    ],
)
def test_a_disk_that_lacks_something_is_refused(
    name: str, instead: Any, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(name, instead)
    with pytest.raises(StorageError) as refused:
        require_storage(tmp_path)
    assert f"RATCHET_HOME {tmp_path} does not {sentence}" in str(refused.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", [("run", QUICKSTART), ("models", "list"), ("submit", QUICKSTART)])
def test_a_bucket_is_refused_with_the_reason(command: tuple[str, ...], tmp_path: Path) -> None:
    done = cli(Path("s3://bucket/ratchet"), *command, RATCHET_HOME="s3://bucket/ratchet")
    assert done.returncode == 2 and not done.stdout
    assert "RATCHET_HOME must be a directory, got s3://bucket/ratchet: an object store" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.fixture
def bucket() -> Iterator[Any]:
    """A bucket of a real S3 server, as pyarrow shows it."""
    from moto.server import ThreadedMotoServer
    from pyarrow.fs import S3FileSystem, SubTreeFileSystem

    server = ThreadedMotoServer(port=0)
    server.start()
    _, port = server.get_host_and_port()
    s3 = S3FileSystem(
        access_key="key",
        secret_key="secret",
        endpoint_override=f"http://127.0.0.1:{port}",
        region="us-east-1",
        allow_bucket_creation=True,
    )
    s3.create_dir("bucket")
    yield SubTreeFileSystem("bucket", s3)
    server.stop()


@pytest.mark.slow
def test_the_reason_holds_on_a_real_bucket(bucket: Any) -> None:
    """Were one of these to fail, a bucket could be thought of again."""

    def write(name: str, content: bytes) -> None:
        with bucket.open_output_stream(name) as stream:
            stream.write(content)

    def read(name: str) -> bytes:
        with bucket.open_input_stream(name) as stream:
            return stream.read()

    # A journal cannot grow.
    write("journal", b"1\n")
    with pytest.raises(NotImplementedError, match="append"):
        bucket.open_append_stream("journal")
    # A model's directory is not renamed.
    write("staged/model.safetensors", b"weights")
    with pytest.raises(OSError, match="NO_SUCH_KEY"):
        bucket.move("staged", "stored")
    # Of two who create one file, both believe that it is theirs: no lock can be made of it.
    both = threading.Barrier(2)
    failed = []

    def create(owner: bytes) -> None:
        both.wait()
        try:
            write("lock", owner)
        except OSError as error:
            failed.append(error)

    owners = [threading.Thread(target=create, args=(name,)) for name in (b"a", b"b")]
    for owner in owners:
        owner.start()
    for owner in owners:
        owner.join()
    assert not failed and read("lock") in (b"a", b"b")

"""Homes, temporary directories and environments as machines have them, each tried as Ray would use it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import pytest

from cluster import connect
from cluster.connect import ConnectError, _ray_directory
from cluster.place import python_for_workers, settle_home, settle_temporary, unfit

ROOT = Path(__file__).parents[2]
LONG = "x" * 60
_OWN = ("TMPDIR", "RAY_TMPDIR", "RAY_prestart_worker_first_driver")
"""What this process may have been told before, by its starter or by the Ray of an earlier test."""
START = """
import os, sys
from types import SimpleNamespace
from cluster.connect import connect
connect(SimpleNamespace(num_cpus=1, num_gpus=0, resources={"sampler": 1}))
import ray
def look():
    return sys.executable, os.environ["HOME"]
python, home = ray.get(ray.remote(look).options(resources={"sampler": 1}).remote())
print(ray.get_runtime_context().get_temp_dir(), python, home, sep="\\n")
"""


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """This process's environment, as that of a test alone."""
    kept = {name: value for name, value in os.environ.items() if name not in _OWN}
    monkeypatch.setattr("os.environ", kept)
    return kept


@pytest.fixture
def short() -> Iterator[Path]:
    """A directory whose path is short enough for sockets."""
    with TemporaryDirectory(prefix="r", dir="/tmp") as directory:
        yield Path(directory)


def without_entry(uid: int) -> None:
    raise KeyError(f"getpwuid(): uid not found: {uid}")


def test_a_home_that_can_be_written_to_stays(environment: dict[str, str], tmp_path: Path) -> None:
    environment["HOME"] = str(tmp_path)
    settle_home(tmp_path / "instead")
    assert environment["HOME"] == str(tmp_path) and not (tmp_path / "instead").exists()


def test_a_home_is_named_to_compiled_code_as_well(
    environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del environment["HOME"]
    monkeypatch.setattr("pwd.getpwuid", lambda uid: SimpleNamespace(pw_dir=str(tmp_path)))
    settle_home(tmp_path / "instead")
    assert environment["HOME"] == str(tmp_path)


@pytest.mark.parametrize("home", [None, "/no/such/home", "/etc/hostname", "relative"])
def test_without_a_home_there_is_one(
    home: str | None, environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("pwd.getpwuid", without_entry)
    del environment["HOME"]
    if home:
        environment["HOME"] = home
    for _ in range(2):
        settle_home(tmp_path / "ratchet" / "home")
        assert Path.home() == tmp_path / "ratchet" / "home"
    assert Path.home().stat().st_mode & 0o777 == 0o700
    assert [path.name for path in tmp_path.iterdir()] == ["ratchet"], "something is named ~"


def test_what_a_home_has_for_reading_stays_in_use(
    environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "read-only"
    (old / ".cache" / "huggingface").mkdir(parents=True)
    environment |= {"HOME": str(old)}
    for name in ("HF_HOME", "RAY_AUTH_TOKEN_PATH"):
        environment.pop(name, None)
    monkeypatch.setattr("os.access", lambda path, mode: path != old)
    settle_home(tmp_path / "home")
    assert environment["HOME"] == str(tmp_path / "home")
    assert environment["HF_HOME"] == str(old / ".cache" / "huggingface")
    assert "RAY_AUTH_TOKEN_PATH" not in environment


def test_ray_keeps_its_files_where_it_usually_does(environment: dict[str, str], short: Path) -> None:
    environment["TMPDIR"] = str(short)
    assert _ray_directory(False) == short / "ray"
    environment["RAY_TMPDIR"] = str(short / "own")
    assert _ray_directory(True) == short / "own" / "ray"


def test_a_long_or_odd_path_is_not_for_sockets(environment: dict[str, str], tmp_path: Path) -> None:
    usual = _ray_directory(False)
    assert usual.parent == Path("/tmp")
    for environment["TMPDIR"] in (str(tmp_path / LONG), "/tmp/mit Leerzeichen", "/tmp/ü", ""):
        assert _ray_directory(False) == usual


def test_a_directory_of_somebody_else_is_left_to_them(
    environment: dict[str, str], short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment["TMPDIR"] = str(short)
    (short / "ray").mkdir()
    monkeypatch.setattr("os.getuid", lambda: 54321)
    assert _ray_directory(False) == short / "ray-54321"
    (short / "ray-54321").mkdir()
    assert _ray_directory(False).parent == Path("/tmp"), "it is somebody else's as well"


def test_a_directory_that_is_unfit_says_why(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert unfit(short / "ray", dashboard=True) == ""
    assert "its path is 61 bytes too long" in unfit(Path("/") / ("x" * 103), dashboard=False)
    (short / "file").write_text("")
    assert unfit(short / "file", dashboard=False) == f"{short}/file is no directory"
    assert unfit(short / "file" / "ray", dashboard=False) == f"{short}/file is no directory"
    monkeypatch.setattr("os.access", lambda path, mode: False)
    assert unfit(short / "new" / "ray", dashboard=False) == f"{short} cannot be written to"


def test_where_there_is_no_place_for_ray_the_sentence_says_what_to_set(
    environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment["RAY_TMPDIR"] = str(tmp_path / LONG)
    with pytest.raises(ConnectError, match=f"as RAY_TMPDIR={tmp_path / LONG} wants it to: its path is "):
        _ray_directory(False)
    del environment["RAY_TMPDIR"]
    monkeypatch.setattr(connect, "unfit", lambda directory, dashboard: "it is full")
    with pytest.raises(ConnectError, match=r"Ray cannot use /tmp/ray \(it is full\) or .*: set RAY_TMPDIR"):
        _ray_directory(False)


@pytest.mark.parametrize(("tmp", "fits"), [("/tmp", True), (f"/tmp/{LONG}{LONG}", False)])
def test_engines_get_short_paths_where_they_need_them(
    tmp: str, fits: bool, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", tmp)
    settle_temporary(Path("/tmp/ray"))
    assert ("VLLM_RPC_BASE_PATH" not in environment) == fits
    assert "TMPDIR" not in environment


def test_compilers_get_paths_that_they_read(
    short: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are called as a shell would call them, so a blank would end the path of what they compile."""
    environment["TMPDIR"] = str(short / "mit Leerzeichen")
    monkeypatch.setattr("tempfile.tempdir", environment["TMPDIR"])
    own = str(short / f"ratchet-{os.getuid()}")
    for roots in ([short], [Path(own)]):
        monkeypatch.setattr("cluster.place._roots", lambda roots=roots: roots)
        settle_temporary(Path("/tmp/ray"))
        assert environment["TMPDIR"] == own


def blank(at: Path) -> Path:
    """This Python, in an environment whose path has a blank and an umlaut."""
    there = at / "mit Leerzeichen ü"
    there.mkdir()
    (there / "env").symlink_to(sys.prefix)
    return there / "env" / "bin" / "python"


@pytest.mark.slow
def test_ray_starts_a_worker_from_a_path_with_a_blank(
    tmp_path: Path, short: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the code with which Ray starts each worker. Were Ray to start it untold, we need not tell it."""
    monkeypatch.setattr("sys.executable", "/opt/env/bin/python3.11")
    assert python_for_workers(here=True) == {} and "RAY_prestart_worker_first_driver" not in environment
    monkeypatch.setattr("sys.executable", str(python := blank(tmp_path)))
    monkeypatch.setattr("sys.prefix", str(python.parents[1]))
    environment["TMPDIR"] = str(short)
    (tmp_path / "worker.py").write_text("import sys; print(sys.executable)")
    program = (
        "import sys\n"
        "from ray._private.runtime_env.context import RuntimeEnvContext\n"
        "from ray.core.generated.common_pb2 import Language\n"
        "RuntimeEnvContext(py_executable=sys.argv[1]).exec_worker(sys.argv[2:], Language.PYTHON)\n"
    )

    def start(named: str) -> subprocess.CompletedProcess[str]:
        command = [str(python), "-c", program, named, str(tmp_path / "worker.py")]
        return subprocess.run(command, capture_output=True, text=True)

    assert start(str(python)).returncode != 0
    monkeypatch.setattr("cluster.place._roots", lambda: [short])
    quoted = f"'{python}'"
    assert python_for_workers(here=False) == {"py_executable": quoted}
    assert start(quoted).stdout == f"{python}\n"
    (link,) = {start(python_for_workers(here=True)["py_executable"]).stdout[:-1] for _ in range(2)}
    assert environment["RAY_prestart_worker_first_driver"] == "0"
    # What a worker compiles names the packages by this path.
    assert link.startswith(f"{short}/ratchet-") and " " not in link
    assert Path(link).parents[1].resolve() == Path(sys.prefix).resolve()
    next(short.iterdir()).chmod(0o777)
    assert python_for_workers(here=True) == {"py_executable": quoted}, "others could change the link"


@pytest.mark.slow
@pytest.mark.engine  # beside an engine, Ray may take longer to start than it allows itself
def test_ray_runs_from_a_path_with_a_blank(tmp_path: Path, short: Path) -> None:
    python, home = blank(tmp_path), tmp_path / "mit Leerzeichen ü" / "home"
    done = subprocess.run(
        [str(python), "-c", START],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"RATCHET_HOME": str(home), "TMPDIR": str(short)},
        timeout=300,
    )
    seen = done.stdout.splitlines()[-2:-1]
    assert seen and " " not in seen[0] and os.path.samefile(seen[0], python), (
        done.stdout + done.stderr[-2000:]
    )


@pytest.mark.slow
@pytest.mark.engine  # beside an engine, Ray may take longer to start than it allows itself
def test_ray_runs_for_a_user_whom_the_machine_does_not_know(tmp_path: Path, short: Path) -> None:
    """As in a container with any user id: no entry in passwd, no HOME, and a long TMPDIR besides."""
    user = ["unshare", "--user", "--map-user=54321", "--map-group=54321"]
    if subprocess.run([*user, "true"], capture_output=True).returncode:
        pytest.skip("this machine lets nobody be another user")
    (tmp_path / LONG).mkdir()
    done = subprocess.run(
        [*user, sys.executable, "-c", START],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "TMPDIR": str(tmp_path / LONG), "RATCHET_HOME": str(short / "home")},
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    directory, _, home = done.stdout.splitlines()[-3:]
    assert Path(directory).parent == Path("/tmp")
    assert home == str(short / "home" / "home")
    assert (short / "home" / "home" / ".ray" / "auth_token").stat().st_mode & 0o777 == 0o600
    assert not (ROOT / "~").exists()

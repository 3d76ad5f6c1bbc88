"""The table of failures: each kind injected, by errors as libraries raise them, and what people read."""

import builtins
import errno
import importlib
import socket
import ssl
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from ray import exceptions as ray_errors
from ray.exceptions import RayTaskError
from ray.train.v2._internal.exceptions import UserExceptionWithTraceback, WorkerHealthCheckFailedError

from engine import failures
from engine.errors import Mistake
from engine.failures import (
    BUG,
    CONNECTION,
    DISK,
    GONE,
    INTEGRITY,
    KILLED,
    KINDS,
    LOST,
    MEMORY,
    MISTAKE,
    NO_ROOM,
    OWN_FILE,
    Kind,
    can_go_away,
    fault_of_own_file,
    first_line,
    kind_of,
    named_again,
    origin_of,
    raised_in,
    said_by,
)
from engine.gate.arithmetic import GateError
from engine.plugins import load_plugin
from engine.sample.protocol import SamplerError
from engine.sample.starting import EngineError, EngineKilled

ROOT = Path(__file__).parents[2]


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


def failed_in_init() -> Exception:
    """As Ray raises it for an actor whose `__init__` raised."""
    return ray_errors.ActorDiedError(RayTaskError("__init__", "Traceback", ValueError("no")))


UNKNOWN_HOST = caused(httpx.ConnectError("no name"), socket.gaierror(socket.EAI_NONAME, "Name not known"))
BUSY_NAMES = caused(httpx.ConnectError("no name"), socket.gaierror(socket.EAI_AGAIN, "try again"))
CERTIFICATE = caused(httpx.ConnectError("no"), ssl.SSLCertVerificationError(1, "self-signed certificate"))
TWO_ON_A_GPU = "Duplicate GPU detected : rank 0 and rank 1 both on CUDA device 50000"
FAILURES: list[tuple[Exception, Kind]] = [
    (ray_errors.ActorDiedError(), GONE),
    (ray_errors.ActorUnavailableError("away", b"0" * 16), GONE),
    (ray_errors.WorkerCrashedError(), GONE),
    (ray_errors.NodeDiedError("the node died"), GONE),
    (ray_errors.ObjectLostError("ab", "owner", "here"), GONE),
    (BrokenProcessPool("a process died"), GONE),
    (EngineKilled("a process of vLLM was killed"), GONE),
    (WorkerHealthCheckFailedError("a worker died", failure=ray_errors.ActorDiedError()), GONE),
    (ray_errors.OutOfMemoryError("the node was low on memory"), KILLED),
    (ConnectionResetError(104, "Connection reset by peer"), CONNECTION),
    (TimeoutError("too late"), CONNECTION),
    (httpx.ReadTimeout("too late"), CONNECTION),
    (BUSY_NAMES, CONNECTION),
    (RuntimeError("[gloo/transport/tcp/pair.cc:547] Connection closed by peer [10.0.0.1]:9"), CONNECTION),
    (torch.distributed.DistBackendError("ncclRemoteError: a remote process exited"), CONNECTION),
    (torch.distributed.DistBackendError("Watchdog caught collective operation timeout: X"), CONNECTION),
    (torch.distributed.DistNetworkError("the client socket has timed out"), CONNECTION),
    (RuntimeError("[gloo/transport/tcp/unbound_buffer.cc:81] Timed out waiting 1800000ms"), CONNECTION),
    (OSError(errno.ENOSPC, "No space left on device"), DISK),
    (ray_errors.OutOfDiskError("the disk is full"), DISK),
    (MemoryError(), MEMORY),
    (torch.OutOfMemoryError("CUDA out of memory"), MEMORY),
    (RuntimeError("can't allocate memory: you tried to allocate 9 bytes"), MEMORY),
    (Mistake("no such file"), MISTAKE),
    (EngineError("vLLM does not start"), MISTAKE),
    (SamplerError("a sampler was lost after 3 had been replaced"), LOST),
    (GateError("another model answered"), INTEGRITY),
    (ray_errors.RuntimeEnvSetupError("no such environment"), NO_ROOM),
    (ray_errors.ActorUnschedulableError("no node"), NO_ROOM),
    (failed_in_init(), BUG),
    (torch.distributed.DistBackendError(f"NCCL error, invalid usage: {TWO_ON_A_GPU}"), BUG),
    (RuntimeError("gloo is not available"), BUG),
    (TimeoutError("Timed out waiting for engine core processes to start. This is often"), BUG),
    (UNKNOWN_HOST, BUG),
    (CERTIFICATE, BUG),
    (httpx.ProxyError("502 Bad Gateway"), CONNECTION),
    (httpx.ProxyError("403 Forbidden"), BUG),
    (ValueError("a bug"), BUG),
]


@pytest.mark.parametrize(("error", "kind"), FAILURES)
def test_each_kind_is_known_also_where_ray_has_wrapped_it(error: Exception, kind: Kind) -> None:
    assert kind_of(error) is kind
    assert can_go_away(error) == (kind in (GONE, KILLED, CONNECTION))
    assert kind_of(UserExceptionWithTraceback(error, "Traceback")) is kind
    wrapped = RayTaskError("work", "Traceback of the worker", error)
    for each in (wrapped, wrapped.as_instanceof_cause(), RayTaskError("outer", "Traceback", wrapped)):
        assert kind_of(each) is kind


def test_every_kind_was_injected_and_only_what_can_go_away_is_tried_again() -> None:
    assert {kind.name for _, kind in FAILURES} | {OWN_FILE.name} == {kind.name for kind in KINDS}
    assert [kind for kind in KINDS if kind.again] == [GONE, KILLED, CONNECTION]


@pytest.mark.parametrize("name", [each for each in vars(failures) if each.endswith("_NAMES")])
def test_a_library_still_has_the_errors_that_are_known_by_name(name: str) -> None:
    for each in vars(failures)[name]:
        module, _, short = each.rpartition(".")
        found = getattr(importlib.import_module(module), short)
        assert issubclass(found, BaseException), each
        assert each in failures._names_of(found.__new__(found)), f"{each} has another name now"


def plugin(folder: Path, body: str) -> Any:
    file = folder / "mine.py"
    file.write_text(f"import json\nimport httpx\n\ndef work(*arguments):\n    {body}\n")
    return load_plugin(file, "loop", ("work",))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return 1 / 0", "ZeroDivisionError: division by zero"),
        ("return json.loads('{')", "JSONDecodeError: Expecting property name enclosed in double quotes: "),
        ("raise KeyError('colour')", "KeyError: 'colour'"),
        ("raise RuntimeError", "RuntimeError"),
        ("raise TimeoutError('my own time')", "TimeoutError: my own time"),
        ("raise RuntimeError('connection closed by peer')", "RuntimeError: connection closed by peer"),
    ],
)
def test_what_a_users_file_raises_has_its_file_line_and_message(
    tmp_path: Path, body: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    module = plugin(tmp_path, body)
    with pytest.raises(Exception) as caught:
        module.work()
    error = caught.value
    # Of a test, too, the file is a user's: only the plug-in's own line may be named.
    assert kind_of(error) is OWN_FILE and str(fault_of_own_file(error)).startswith(
        f"{tmp_path / 'mine.py'} fails in line 5: {said}"
    )
    assert origin_of(error).startswith(said) and origin_of(error).endswith(
        f"({tmp_path / 'mine.py'}, line 5)"
    )


@pytest.mark.parametrize(
    "body",
    [
        "arguments[0].recv(1)",  # in C, so that the last line of code is the user's
        "httpx.get('http://127.0.0.1:9', trust_env=False)",
        "try: arguments[0].recv(1)\n    except OSError as error: raise TimeoutError('gone') from error",
    ],
)
def test_a_connection_that_fails_in_a_users_file_is_one_all_the_same(tmp_path: Path, body: str) -> None:
    module = plugin(tmp_path, body)
    silent, other = socket.socketpair()
    with silent, other, pytest.raises((OSError, httpx.ConnectError)) as caught:
        silent.settimeout(0.01)
        module.work(silent)
    assert kind_of(caught.value) is CONNECTION


def test_what_our_code_raises_below_a_users_file_is_not_the_users(tmp_path: Path) -> None:
    module = plugin(tmp_path, "arguments[0](arguments[1])")
    with pytest.raises(AttributeError) as caught:
        module.work(failures.one_line, 3)
    assert kind_of(caught.value) is BUG and fault_of_own_file(caught.value) is None
    assert origin_of(caught.value).endswith(f"({tmp_path / 'mine.py'}, line 5)"), "yet it says where to look"


def test_what_an_error_announces_is_told_with_it() -> None:
    told = "One of the workers failed due to error:\nTraceback\n  File\nThe actor died.\n"
    assert first_line(RuntimeError(told)) == "One of the workers failed due to error: The actor died."
    assert first_line(RuntimeError("no: this\nmore")) == "no: this"
    assert first_line(RuntimeError("so:")) == "so:" and first_line(KeyError()) == "KeyError"


def test_an_error_is_one_line() -> None:
    assert said_by(ValueError("two\n  lines")) == "ValueError: two lines"
    assert len(said_by(ValueError("x" * 5000))) < 700
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(int).validate_python("many")
    assert said_by(caught.value).startswith("Input should be a valid integer")


VLLM = """Loading weights
(EngineCore pid=7) ERROR 11-30 13:37:52 [core.py:9] EngineCore failed to start.
(EngineCore pid=7) ERROR 11-30 13:37:52 [core.py:9] Traceback (most recent call last):
(EngineCore pid=7) ERROR 11-30 13:37:52 [core.py:9]   File "core.py", line 1, in run_engine_core
(EngineCore pid=7) ERROR 11-30 13:37:52 [core.py:9]     raise KeyError(name)
(EngineCore pid=7) ERROR 11-30 13:37:52 [core.py:9] KeyError: 'llama9'
(EngineCore pid=7) ERROR 11-30 13:37:52 [core.py:9]
(EngineCore pid=7) ERROR 11-30 13:37:52 [core.py:9] During handling of the above exception, another exception
(EngineCore pid=7) ERROR 11-30 13:37:52 [core.py:9]
(EngineCore pid=7) ERROR 11-30 13:37:52 [core.py:9] Traceback (most recent call last):
(EngineCore pid=7) ERROR 11-30 13:37:52 [core.py:9]   File "core.py", line 9, in run_engine_core
(EngineCore pid=7) ERROR 11-30 13:37:52 [core.py:9] ValueError: llama9 is not supported: use llama
INFO: done
Process EngineCore:
Traceback (most recent call last):
  File "process.py", line 314, in _bootstrap
KeyboardInterrupt
"""
RAY = """A replica failed to start with exception. Retrying 2 more time(s). Error:
\x1b[36mray::ServeReplica:ratchet:Engine-a.initialize()\x1b[39m (pid=16566, ip=192.0.2.2)
  File "replica.py", line 1928, in initialize
    raise RuntimeError(traceback.format_exc()) from None
RuntimeError: Traceback (most recent call last):
  File "utils.py", line 1431, in wait_for_engine_startup
RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}

The above exception was the direct cause of the following exception:

\x1b[36mray::ServeReplica:ratchet:Engine-a.initialize()\x1b[39m (pid=16566, ip=192.0.2.2)
  File "starting.py", line 65, in starting
engine.sample.starting.EngineError: vLLM does not start with m: too long
"""


def test_tracebacks_are_read_as_vllm_and_ray_print_them() -> None:
    assert raised_in(VLLM) == [
        ("KeyError", "'llama9'", False),
        ("ValueError", "llama9 is not supported: use llama", True),
        ("KeyboardInterrupt", "", False),
    ]
    assert [each.name for each in raised_in(RAY)] == ["RuntimeError", "engine.sample.starting.EngineError"]
    assert raised_in(RAY)[-1].said == "vLLM does not start with m: too long"
    assert raised_in("ValueError: a message is no traceback\n") == []


@pytest.mark.parametrize(
    ("name", "again"),
    [
        ("engine.sample.starting.EngineKilled", True),
        ("ray.exceptions.ActorDiedError", True),
        ("ConnectionRefusedError", True),
        ("TimeoutError", True),
        ("engine.sample.starting.EngineError", False),
        ("ValueError", False),
        ("print", False),
    ],
)
def test_a_class_alone_says_whether_it_can_go_away(name: str, again: bool) -> None:
    assert named_again(name) == again and (hasattr(builtins, name) or "." in name)


def test_the_readme_has_every_kind() -> None:
    readme = (ROOT / "cluster" / "README.md").read_text()
    table = readme.partition("## When something fails")[2].partition("\n## ")[0]
    rows = [line.split(" | ") for line in table.splitlines()]
    shown = {row[0].removeprefix("| "): row[2] for row in rows if len(row) == 4}
    assert {kind.name: kind.tries for kind in KINDS}.items() <= shown.items()

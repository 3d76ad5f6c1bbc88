"""Why an engine does not start: vLLM's own sentence, also where a child process of it has raised that.

What vLLM raises in the process that starts it often says no more than that a child failed, "see root cause
above": the child has printed the cause. It inherits the standard error of a worker of Ray's, which is a file,
so that the cause can be read there.
"""

import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from engine.errors import Lost, Mistake
from engine.failures import BUG, MEMORY, OWN_FILE, kind_of, one_line, raised_in, said_by

_STANDARD_ERROR = 2
_SEEN_ELSEWHERE = re.compile(r"root cause|background process")
"""What vLLM says where a child of it has said why."""
_KILLED = re.compile(r"Failed core proc\(s\): .*: -\d")
"""What it says of a child that a signal has ended."""
_PLAIN = ("ValueError: ", "RuntimeError: ", "NotImplementedError: ", "OSError: ")
"""Classes that say nothing beyond the sentence."""
_KEYS: Mapping[str, str] = {
    "gpu_memory_utilization": "kv_cache_gib (on a GPU gpu_memory)",
    "kv_cache_memory_bytes": "kv_cache_gib",
    "max_model_len": "max_model_len",
    "max_num_seqs": "max_num_seqs",
    "tensor_parallel_size": "tensor_parallel",
    "tensor parallel": "tensor_parallel",
    "dtype": "dtype",
}
"""Keys of a config by what vLLM calls them."""


class EngineError(Mistake):
    """vLLM refuses to start with a model and its settings; another try would end the same."""


class EngineKilled(Lost):
    """A process of vLLM was killed while it started; another try may end better."""


@contextmanager
def starting(model: Path, section: Literal["sampler", "engines"]) -> Iterator[None]:
    """Start an engine for `model` with the settings of a `section` of the config.

    Raises EngineError in place of what vLLM raises, and EngineKilled where a child process was killed. What
    else can go away, a full disk and an error of ours are raised as they are.
    """
    begin = _written()
    try:
        yield
    except Exception as error:
        if kind_of(error) not in (MEMORY, OWN_FILE, BUG):
            raise
        said = said_by(error)
        if _SEEN_ELSEWHERE.search(said):
            cause = _root_cause(begin)
            if cause == "" or _KILLED.search(said):
                raise EngineKilled(f"a process of vLLM was killed while it started: {said}") from error
            said = cause or said
        said = f"{_plain(said)}{_hint(said, section)}"
        raise EngineError(f"vLLM does not start with {model}: {said}") from error


def _plain(said: str) -> str:
    for name in _PLAIN:
        said = said.removeprefix(name)
    # A link into vLLM's documentation names options that a config of ours does not have.
    return re.sub(r"\.? (See|see) \S*https?://.*$", "", said).rstrip(".")


def _hint(said: str, section: str) -> str:
    """Which keys of the config are meant, where vLLM names options of its own."""
    keys = dict.fromkeys(f"{section}.{key}" for name, key in _KEYS.items() if name in said)
    return f"; in the config: {', '.join(keys)}" if keys else ""


def _root_cause(begin: int | None) -> str | None:
    """What the first child that failed has raised, as it printed it since `begin`; empty if none did.

    Others then fail because of it, and say only that. None where what they print cannot be read.
    """
    if begin is None:
        return None
    with open(f"/proc/self/fd/{_STANDARD_ERROR}", "rb") as printed:
        printed.seek(begin)
        raised = raised_in(printed.read().decode(errors="replace"))
    causes = [each for each in raised if not _SEEN_ELSEWHERE.search(each.said)]
    last = next((i for i in range(1, len(causes)) if not causes[i].follows), len(causes)) - 1
    if not causes:
        return ""
    name = causes[last].name.rpartition(".")[2]
    return one_line(f"{name}: {causes[last].said}" if causes[last].said else name)


def _written() -> int | None:
    """How much this process and its parents have written to standard error; None where it is no file."""
    try:
        state = os.fstat(_STANDARD_ERROR)
    except OSError:
        return None
    return state.st_size if stat.S_ISREG(state.st_mode) else None

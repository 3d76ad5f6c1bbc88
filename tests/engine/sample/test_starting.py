"""An engine that does not start says why, after one try: vLLM's own sentence, wherever vLLM raised it."""

import errno
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import Future
from pathlib import Path

import psutil
import pytest
from pydantic_core import ValidationError

from configs.schema import Sampler
from engine.models.prompts import messages
from engine.plugins import PluginError
from engine.sample.group import SamplerGroup
from engine.sample.protocol import Request, Sampling
from engine.sample.starting import EngineError, EngineKilled, starting

MODEL = Path("/models/m")
TOO_LONG = (
    "To serve at least one request with the model's max seq len (2048), (0.5 GiB KV cache is needed. Try "
    "increasing `gpu_memory_utilization` or decreasing `max_model_len` when initializing the engine. See "
    "https://docs.vllm.ai/en/latest/ for more details."
)
INVALID = ValidationError.from_exception_data(
    "ModelConfig",
    [
        {
            "type": "value_error",
            "loc": (),
            "input": 1,
            "ctx": {"error": "architectures ['X'] are not supported"},
        }
    ],
)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            ValueError(TOO_LONG),
            f"{TOO_LONG.partition('. See')[0]}; in the config: sampler.kv_cache_gib (on a GPU gpu_memory), "
            "sampler.max_model_len",
        ),
        (INVALID, "architectures ['X'] are not supported"),
        (KeyError("layers.0"), "KeyError: 'layers.0'"),
        (
            ValueError("The model type 'gemma3' does not support float16."),
            "The model type 'gemma3' does not support float16",
        ),
        (MemoryError(), "MemoryError"),
        (RuntimeError("CUDA out of memory"), "CUDA out of memory"),
    ],
)
def test_what_vllm_raises_is_the_sentence(error: Exception, said: str) -> None:
    with pytest.raises(EngineError) as caught, starting(MODEL, "sampler"):
        raise error
    assert str(caught.value) == f"vLLM does not start with {MODEL}: {said}"


@pytest.mark.parametrize(
    "error",
    [
        PluginError("no such file"),
        OSError(errno.ENOSPC, "full", "file"),
        ConnectionResetError(),
        TimeoutError(),
    ],
)
def test_what_is_not_vllms_is_raised_as_it_is(error: Exception) -> None:
    met: Future[None] = Future()
    met.set_exception(error)
    with pytest.raises(type(error)) as caught, starting(MODEL, "sampler"):
        met.result()  # so that a library raises it, and not this file
    assert caught.value is error


CHILD = """
import os, signal, subprocess, sys
from pathlib import Path
from engine.sample.starting import starting

died = {
    "raised": "raise ValueError('bad dtype is not supported')",
    "killed": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
}
print("Traceback (most recent call last):\\nOSError: of an earlier engine", file=sys.stderr, flush=True)
with starting(Path("/models/m"), "engines"):
    code = subprocess.run([sys.executable, "-c", died[sys.argv[1]]]).returncode
    failed = f"Failed core proc(s): {{'EngineCore': {code}}}"
    raise RuntimeError(f"Engine core initialization failed. See root cause above. {failed}")
"""


@pytest.mark.parametrize(
    ("how", "raised", "said"),
    [
        (
            "raised",
            EngineError,
            "vLLM does not start with /models/m: bad dtype is not supported; in the config:",
        ),
        (
            "killed",
            EngineKilled,
            "a process of vLLM was killed while it started: RuntimeError: Engine core init",
        ),
    ],
)
def test_the_cause_in_a_child_of_vllm_is_found(
    how: str, raised: type[Exception], said: str, tmp_path: Path
) -> None:
    """Standard error is a file, as it is for a worker of Ray's."""
    with open(tmp_path / "err", "a") as err:
        subprocess.run([sys.executable, "-c", CHILD, how], stderr=err, timeout=60)
    last = (tmp_path / "err").read_text().splitlines()[-1]
    assert last.startswith(f"engine.sample.starting.{raised.__name__}: {said}"), last


def test_a_failure_is_told_after_one_try_and_a_lost_process_is_replaced(
    local_ray: None, tiny_model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The KV cache holds half of 2,048 tokens. The first process is killed as it starts, the second fails."""
    caplog.set_level(logging.WARNING)
    config = Sampler(max_num_seqs=8, max_model_len=2048, kv_cache_gib=0.0005, dtype="float32", max_restarts=3)
    ours = {process.pid for process in actors()}
    killed: list[float] = []

    def kill_the_first() -> None:
        while not killed:
            for process in actors():
                if process.pid not in ours:
                    os.kill(process.pid, signal.SIGKILL)
                    killed.append(time.monotonic())
                    return
            time.sleep(0.05)

    thread = threading.Thread(target=kill_the_first, daemon=True)
    thread.start()
    with SamplerGroup(config, tiny_model, threads=1, gpus=0, share_gpu=False) as group:
        request = Request(problem_id="p", messages=messages("", ["Hi."]))
        with pytest.raises(EngineError, match="estimated maximum model length is 992.*sampler.kv_cache_gib"):
            list(group.sample(tiny_model, [request], Sampling(max_new_tokens=4)))
        seconds = time.monotonic() - killed[0]
        assert [*group._restarts_left.values()] == [2], "one was lost, and none after it"
        with pytest.raises(EngineError, match="estimated maximum model length is 992"):
            group.score(tiny_model, ["Hi."])
        group.sleep()
    assert [each.message for each in caplog.records if "replaced" in each.message] == [
        "a sampler was lost and is replaced: The actor died unexpectedly before finishing this task."
    ]
    print(f"told {seconds:.0f} s after the start of the process that failed")


def actors() -> list[psutil.Process]:
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if "SamplerActor" in " ".join(process.cmdline()):
                found.append(process)
        except psutil.Error:  # it has ended meanwhile
            pass
    return found

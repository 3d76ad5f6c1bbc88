"""Failures injected into real commands: how often each is tried, and how long until its user reads why.

    python -m tests.bench.bench_failures [NAME…]

Everything runs on a random Llama. A failure begins when a process is killed or a planted line raises, and is
known with the line of standard error that says so.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import psutil

from tests.bench.harness import keep
from tests.support.runs import CONFIG, ROOT
from tests.support.server_process import LINE, make_home
from tests.support.tiny_model import make_tiny_model

OWN = ROOT / "tests" / "support" / "own"
OWN_CONFIG = "tests/support/own.yaml"
SHORT = ("baseline=null", "stop.rounds=1", "final.num_problems=8", "run_id=r")
MARK = "    with open({marks!r}, 'a') as marks: marks.write(f'{{__import__(\"time\").time()}}\\n')\n"
SECONDS = 600


class Failure(NamedTuple):
    """One way to fail."""

    command: Callable[[Path], list[str]]
    """Its arguments, given a home."""
    said: str
    """What the line that tells it holds, as a regular expression."""
    process: str = ""
    """The process by whose starts tries are counted."""
    kills: int = 0
    """How many of them are killed, each as it begins."""
    environment: dict[str, str] = {}


class Found(NamedTuple):
    """What came of it."""

    tries: int
    seconds: float
    exit_code: int
    sentence: str


def run(home: Path, *changes: str, config: str = CONFIG) -> list[str]:
    return ["run", config, f"base={make_tiny_model(home / 'model')}", *SHORT, *changes]


def own(home: Path, name: str, before: str) -> str:
    """The path of a copy of a user's file that notes the time and raises before a line of it."""
    text = (OWN / name).read_text()
    assert text.count(before) == 1
    planted = MARK.format(marks=str(home / "marks")) + '    raise LookupError("planted")\n'
    file = home / name
    file.write_text(text.replace(before, planted + before))
    return str(file)


def with_own_method(home: Path) -> list[str]:
    method = own(home, "method.py", "    made, num_tokens = supervised(")
    return run(home, f"loop.train.method={method}", config=OWN_CONFIG)


def with_template(home: Path) -> list[str]:
    arguments = run(home)
    template = home / "model" / "chat_template.jinja"
    raising = "{% if messages | length > 2 %}{{ raise_exception('planted') }}{% endif %}"
    template.write_text(raising + template.read_text())
    return arguments


def serving(home: Path, *changes: str) -> list[str]:
    make_home(home, 1)
    (home / "serve.yaml").write_text(f"line: {LINE}\nport: 8533\n")
    return ["serve", str(home / "serve.yaml"), "engines.resident=1", *changes]


FAILURES = {
    "an engine that cannot start": Failure(
        lambda home: run(home, "sampler.kv_cache_gib=0.0005", "sampler.max_model_len=2048"),
        r"vLLM does not start",
        "SamplerActor",
    ),
    "an engine killed as it starts": Failure(
        lambda home: run(home), r"a sampler was lost and is replaced", "SamplerActor", kills=1
    ),
    "every engine killed": Failure(
        lambda home: run(home, "sampler.max_restarts=2"), r"lost after 2 had been replaced", "SamplerActor", 9
    ),
    "every train worker killed": Failure(
        lambda home: run(home, "warm_start.train.max_failures=1"),
        r"workers (were lost|could not be started)",
        "RayTrainWorker",
        9,
    ),
    "a user's training method raises": Failure(with_own_method, r"LookupError: planted", "RayTrainWorker"),
    "a model's template raises": Failure(with_template, r"planted", "SamplerActor"),
    "a training explodes": Failure(
        lambda home: run(home, "warm_start.train.learning_rate=1e9"),
        r"the (loss|gradient norm) is ",
        "RayTrainWorker",
    ),
    "a server's engine cannot start": Failure(
        lambda home: serving(home, "engines.kv_cache_gib=0.0002"), r"vLLM does not start", "Engine-a"
    ),
    "a proxy that does not answer": Failure(
        lambda _: ["submit", CONFIG, "--address", "http://192.0.2.1:8265"],
        r"proxy",
        environment={"http_proxy": "http://127.0.0.1:9", "no_proxy": ""},
    ),
}


def watched(failure: Failure, home: Path) -> Found:
    """Run its command, kill what is to be killed, and read what it says."""
    told: list[tuple[float, str]] = []
    process = subprocess.Popen(
        [sys.executable, "-m", "ratchet", *failure.command(home)],
        cwd=ROOT,
        env=os.environ | {"RATCHET_HOME": str(home)} | failure.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    began = time.time()
    reader = threading.Thread(
        target=lambda: told.extend((time.time(), line) for line in process.stderr or ())
    )
    reader.start()
    started = set[int]()
    ended: list[float] = []
    while process.poll() is None and time.time() < began + SECONDS:
        alive = found(process, failure.process) if failure.process else set[int]()
        for pid in alive - started:
            started.add(pid)
            if len(started) <= failure.kills:
                os.kill(pid, signal.SIGKILL)
                ended.append(time.time())
        if started and not alive and not ended:
            ended.append(time.time())
        if failure.kills == 1 and any(re.search(failure.said, line) for _, line in told):
            process.send_signal(signal.SIGINT)  # it goes on, which takes longer than is of interest
            break
        time.sleep(0.1)
    with suppress(subprocess.TimeoutExpired):
        process.wait(30)
    process.kill()
    process.wait()
    reader.join()
    marks = home / "marks"
    raised = [float(line) for line in marks.read_text().split()] if marks.exists() else []
    failed = min([*raised, *ended], default=began)
    at, sentence = next(((at, line) for at, line in told if re.search(failure.said, line)), (0.0, ""))
    if not sentence:
        at, sentence = time.time(), f"not told; at last: {told[-1][1] if told else 'nothing'}"
    return Found(
        len(started) or len(raised) or 1, max(0.0, at - failed), process.returncode, sentence.strip()
    )


def found(process: subprocess.Popen[str], name: str) -> set[int]:
    """The processes below one whose title holds a name."""
    pids = set[int]()
    try:
        for child in psutil.Process(process.pid).children(recursive=True):
            try:
                if name in " ".join(child.cmdline()):
                    pids.add(child.pid)
            except psutil.Error:  # it has ended meanwhile
                pass
    except psutil.NoSuchProcess:
        pass
    return pids


def main() -> None:
    chosen = sys.argv[1:] or [*FAILURES]
    kept: dict[str, object] = {}
    print("| what fails | tries | seconds until it is told | exit code | what is read |")
    print("| --- | --- | --- | --- | --- |")
    for name in chosen:
        home = Path(tempfile.mkdtemp(prefix="failure-"))
        try:
            of = watched(FAILURES[name], home)
        finally:
            shutil.rmtree(home, ignore_errors=True)
        sentence = of.sentence.replace(str(home), "…").replace("|", "/")
        print(f"| {name} | {of.tries} | {of.seconds:.0f} | {of.exit_code} | `{sentence[:300]}` |", flush=True)
        kept[name] = of._asdict()
    keep("failures", kept)


if __name__ == "__main__":
    main()

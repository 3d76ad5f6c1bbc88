"""What needs a GPU, in eight minutes at most: `make gpu`, or in an environment of your own

    python -m tests.bench.gpu [--model DIRECTORY] [--only NAME …]

Exit code 1 where a check failed, else 0, also where all were skipped; 2 for a mistake in the arguments.
"""

import argparse
import os
import platform
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError
from pathlib import Path

from engine.disk.environment import code_version
from engine.disk.home import ratchet_home
from engine.models.base import FETCH
from engine.models.check import check_model
from engine.models.identity import ModelError
from engine.plan.footprint import GIB
from engine.terminal import printable
from tests.bench.gpu.checks import CHECKS, SECONDS
from tests.bench.gpu.machine import NoGpu, Version, find_gpu, peak_of, versions
from tests.bench.gpu.record import Outcome, Record, table
from tests.bench.gpu.run import Setting, reason_to_skip, run_check
from tests.bench.harness import write

_END = 10
"""Seconds kept for ending the last check."""


def main(arguments: Sequence[str]) -> int:
    """Run the checks, show the table, and keep the JSON after each of them. Returns the exit code."""
    began = time.monotonic()
    parser = argparse.ArgumentParser(prog="python -m tests.bench.gpu", description=__doc__)
    parser.add_argument("--model", type=Path, help="a small model's directory; by default the embedded one")
    names = [check.name for check in CHECKS]
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="NAME", help=str(names))
    asked = parser.parse_args(arguments)
    setting, packages = _setting(asked.model), versions()
    if asked.model and setting.no_model:
        parser.error(setting.no_model)
    for line in head(setting, packages):
        print(printable(line), flush=True)
    about = _about(setting, packages)
    records: list[Record] = []
    # A SIGTERM, as of a machine that is lent for a time, ends in a table like Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    interrupted = False
    chosen = [check for check in CHECKS if check.name in asked.only]
    for check in chosen:
        left = SECONDS - _END - (time.monotonic() - began)
        why = "interrupted" if interrupted else reason_to_skip(check, setting, left)
        if not why:
            # What comes later, and can run here, keeps the time without which it would not be begun.
            after = chosen[chosen.index(check) + 1 :]
            later = sum(each.least for each in after if not reason_to_skip(each, setting, SECONDS))
            seconds = min(check.most, left, max(check.least, left - later))
            print(f"{check.name}: {check.shows}; {seconds:.0f} s at most …", flush=True)
            try:
                records.append(run_check(check, setting, seconds))
            except KeyboardInterrupt:
                interrupted, why = True, "interrupted"
        if why:
            records.append(Record(check=check.name, shows=check.shows, outcome=Outcome.SKIPPED, why=why))
        print(printable(f"{check.name}: {records[-1].outcome}. {records[-1]}"), flush=True)
        took = round(time.monotonic() - began, 1)
        kept = write("gpu", about | {"seconds": took, "checks": [asdict(record) for record in records]})
    print(f"\n{table(records)}\n\n{took:.0f} s of {SECONDS}; kept in {kept}")
    for record in records:
        if record.left:
            print(f"{record.check} left {record.left}")
    if interrupted:
        return 130
    return int(any(record.outcome is Outcome.FAILED for record in records))


def _setting(model: Path | None) -> Setting:
    home = ratchet_home()
    small = (model or home / "models" / "smollm2-135m-instruct").absolute()
    gpu, no_gpu, no_model = None, "", ""
    try:
        gpu = find_gpu()
    except NoGpu as reason:
        no_gpu = str(reason)
    try:
        check_model(small)
    except ModelError as error:
        no_model = (
            str(error) if model else f"the embedded model is not there: `{FETCH}` fetches it, by network"
        )
    return Setting(gpu=gpu, no_gpu=no_gpu, model=small, no_model=no_model, place=home / "bench" / "gpu")


def head(setting: Setting, packages: Sequence[Version]) -> list[str]:
    """What the figures were measured with, for people."""
    gpu, about = setting.gpu, setting.no_gpu
    if gpu:
        peak = peak_of(gpu.name)
        about = (
            f"{gpu.name}, {gpu.memory / GIB:.0f} GiB of which {gpu.used / GIB:.1f} are in use, driver "
            f"{gpu.driver}, compute capability {gpu.capability}, peak in bf16 "
            f"{f'{peak / 1e12:.0f} TFLOPS' if peak else 'not known to us'}"
        )
    return [
        f"{'GPU':<13} {about}",
        f"{'machine':<13} {os.cpu_count()} cores, Python {platform.python_version()}, {platform.platform()}",
        *(f"{version.package:<13} {version}" for version in packages),
        f"{'small model':<13} {setting.no_model or setting.model}",
        "",
    ]


def _about(setting: Setting, packages: Sequence[Version]) -> dict[str, object]:
    """The same, for programs."""
    try:
        code = code_version()
    except PackageNotFoundError:
        code = "not installed"
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "code": code,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "gpu": asdict(setting.gpu) if setting.gpu else None,
        "no_gpu": setting.no_gpu,
        "model": str(setting.model),
        "no_model": setting.no_model,
        "packages": {each.package: {"installed": each.installed, "pinned": each.pinned} for each in packages},
        "seconds_allowed": SECONDS,
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""A check in a process of its own: `python -m tests.bench.gpu.alone MODULE:FUNCTION PLACE MODEL`."""

import importlib
import os
import sys
import traceback
from importlib.util import find_spec
from pathlib import Path

from engine.errors import RatchetError, cause_of
from tests.bench.gpu.record import Outcome
from tests.bench.gpu.work import Failed, Skipped, Work


def main() -> None:
    where, place, model = sys.argv[1:]
    work = Work(Path(model), Path(place))
    module, _, function = where.partition(":")
    try:
        getattr(importlib.import_module(module), function)(work)
        outcome, why = Outcome.RAN, ""
    except Skipped as reason:
        outcome, why = Outcome.SKIPPED, str(reason)
    except Exception as error:  # noqa: BLE001  whatever a check raises is its result
        traceback.print_exc()
        outcome, why = _judged(error)
    work.end(outcome, why)
    sys.stdout.flush()
    sys.stderr.flush()
    # Threads of packages could hold an ordinary exit up, and all has been said.
    os._exit(0)


def _judged(error: Exception) -> tuple[Outcome, str]:
    error = cause_of(error)
    if isinstance(error, ModuleNotFoundError) and error.name:
        package = error.name.partition(".")[0]
        # A part of a package that is there has been moved in another version, which is a failure.
        if find_spec(package) is None:
            return Outcome.SKIPPED, f"the package {package} is not installed"
    # Of a message that holds a log or a traceback, the last line says what it came to.
    text = (str(error).strip().splitlines() or [""])[-1][:300]
    plain = isinstance(error, RatchetError | Failed)
    return Outcome.FAILED, text if plain else f"{type(error).__name__}: {text}"


if __name__ == "__main__":
    main()

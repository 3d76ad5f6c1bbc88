"""What trials share, in the time of whom it belongs to."""

import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from engine.disk.files import locked
from engine.disk.steps import Run
from loops.context import Context
from tests.support.rounds import a_run

HELD = 1.0
"""Seconds for which another trial is at it."""


def test_the_wait_for_another_trial_is_no_part_of_a_stage(tmp_path: Path) -> None:
    def ask(run: Run, made: str) -> list[str]:
        trial: Any = SimpleNamespace(run=run, shared=tmp_path / "shared")
        return Context.once(trial, "sample", str, "key", lambda: [made])

    first = a_run(tmp_path)
    assert ask(first, "by the first") == ["by the first"]
    (folder,) = (tmp_path / "shared").iterdir()
    begun = threading.Event()

    def hold() -> None:
        with locked(folder / "turn"):
            begun.set()
            time.sleep(HELD)

    other = threading.Thread(target=hold)
    other.start()
    begun.wait(20)
    since = time.monotonic()
    second = Run.create(tmp_path, first.config, "second")
    assert ask(second, "by the second") == ["by the first"]
    other.join(20)
    assert second.seconds("")["sample"] < HELD / 2 and time.monotonic() - since > HELD / 2
    assert ask(second, "again") == ["by the first"], "as it stands in the run"

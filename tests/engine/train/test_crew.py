"""The train worker that stays, without its process: when there is another one."""

from concurrent.futures import Future
from pathlib import Path
from typing import Any

from engine.plan.plan import Group
from engine.train.crew import Crew
from tests.support.train_helpers import SMALL, training


def test_a_worker_that_was_lost_while_it_waited_makes_room_for_another_one(tmp_path: Path) -> None:
    """Else Ray Train would count the loss for a training that had not begun, and give it up too early."""
    desks: list[Path] = []

    def start(_: dict[str, str], desk: Path) -> "Future[Any]":
        desks.append(desk)
        (desk / "1.start").touch()
        return Future()

    config, workers = training(**SMALL), Group(num=1, threads=1, gpus=0)
    with Crew(tmp_path / "crew") as crew:
        for _ in range(2):
            crew.prepare(config, workers, start)
        (desk,) = desks
        (desk / "2.start").touch()
        crew.prepare(config, workers, start)
        assert len(desks) == 2 and (desk / "end").exists() and not (desks[1] / "end").exists()

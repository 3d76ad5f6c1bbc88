"""What several processes need is made by one of them, and by the next where that one has failed."""

from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from engine.disk.shared import made_once
from engine.records import Cluster

ONE = [
    Cluster(name="sea, ship", centre=(0.5, -0.25), places=(0, 2)),
    Cluster(name="ü\n", centre=(), places=()),
]


def test_only_the_first_makes_it(tmp_path: Path) -> None:
    def refuse() -> list[Cluster]:
        raise AssertionError("it is made again")

    assert made_once(tmp_path / "new" / "a", Cluster, lambda: ONE) == ONE
    assert made_once(tmp_path / "new" / "a", Cluster, refuse) == ONE
    assert (
        made_once(tmp_path / "new" / "b", Cluster, list)
        == []
        == made_once(tmp_path / "new" / "b", Cluster, refuse)
    )
    assert made_once(tmp_path / "c", tuple[str, list[str]], lambda: [("hops=1", ["A.", "B."])]) == [
        ("hops=1", ["A.", "B."])
    ]


def test_where_one_fails_the_next_makes_it(tmp_path: Path) -> None:
    def fail() -> list[Cluster]:
        raise RuntimeError("the sampler is gone")

    with pytest.raises(RuntimeError):
        made_once(tmp_path, Cluster, fail)
    assert made_once(tmp_path, Cluster, lambda: ONE) == ONE


def _take(folder: Path, begin: Any) -> None:
    def make() -> list[str]:
        (folder / "made").touch()
        return ["another"]

    begin.wait(20)
    made_once(folder / "shared", str, make)


@pytest.mark.slow
def test_others_wait_while_it_is_made(tmp_path: Path) -> None:
    context = get_context("fork")
    begin = context.Event()
    others = [context.Process(target=_take, args=(tmp_path, begin)) for _ in range(3)]
    for other in others:
        other.start()

    def make() -> list[str]:
        begin.set()
        others[0].join(0.5)
        assert all(other.exitcode is None for other in others)
        return ["the first"]

    assert made_once(tmp_path / "shared", str, make) == ["the first"]
    for other in others:
        other.join(20)
        assert other.exitcode == 0
    assert not (tmp_path / "made").exists() and made_once(tmp_path / "shared", str, list) == ["the first"]

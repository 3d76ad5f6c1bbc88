"""What tests share: the tiny model, one local Ray, and on it one engine and one train worker."""

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import hypothesis
import pytest

from tests.support.tiny_model import make_tiny_model

if TYPE_CHECKING:
    from engine.sample.group import SamplerGroup
    from tests.support.kept import Here

LEFT_OUT = {"not soak": "soak", "not slow": "slow|engine"}
"""Marks of modules that an expression of marks leaves out."""

# No test is about speed: a busy machine must not fail one.
hypothesis.settings.register_profile("ratchet", deadline=None)
hypothesis.settings.load_profile("ratchet")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not even import a module of which everything is left out: most of these import Ray or torch."""
    if collection_path.suffix != ".py":
        return None
    text = collection_path.read_text()
    marks = [marks for said, marks in LEFT_OUT.items() if said in config.option.markexpr]
    left_out = any(
        re.search(rf"^pytestmark = .*pytest\.mark\.({each})\b", text, re.MULTILINE) for each in marks
    )
    return left_out or None


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Leave the time of the machine to the worker that has the engines, where there are two.

    That worker begins with them, so that it is not slowed before they are done.
    """
    with_engine = item.get_closest_marker("engine")
    if "PYTEST_XDIST_WORKER" in os.environ and not with_engine and not os.nice(0):
        os.nice(10)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark a test by the fixtures that it uses, and with the group that one worker takes as a whole.

    Here and not when all are collected, because pytest-xdist may read the groups before our hook is called.
    """
    if _uses(item, "local_ray"):
        item.add_marker(pytest.mark.engine)
    with_engine = item.get_closest_marker("engine")
    if with_engine or _uses(item, "tiny_model"):
        item.add_marker(pytest.mark.slow)
    item.add_marker(pytest.mark.xdist_group("engine" if with_engine else item.path.stem))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put first what starts engines: one worker has all of them, one after the other.

    Last of these comes what shares a Ray, as no other test is to find one in its process or beside its own.
    """
    items.sort(key=lambda item: (not item.get_closest_marker("engine"), _uses(item, "local_ray")))


def _uses(item: pytest.Item, fixture: str) -> bool:
    return fixture in getattr(item, "fixturenames", ())


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture(scope="session")
def taught_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model that answers everything with `Answer: True`."""
    from tests.support.taught_model import make_taught_model

    return make_taught_model(tmp_path_factory.mktemp("taught") / "model", "Answer: True")


@pytest.fixture(scope="session")
def local_ray() -> Iterator[None]:
    """Ray as a run starts it, with room to spare: what stays open or ends late is in no test's way."""
    import ray

    from cluster.connect import connect

    with pytest.MonkeyPatch.context() as patch:
        # Ray Train looks at its workers every two seconds by default.
        patch.setenv("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.5")
        connect(SimpleNamespace(num_cpus=8, num_gpus=0, resources={"sampler": 4}))
        yield
        ray.shutdown()


@pytest.fixture(scope="session")
def sampler(local_ray: None, tiny_model: Path) -> Iterator["SamplerGroup"]:
    """A real engine. `tests/engine/sample/test_sampler.py`, the last that uses it, wears it out."""
    from configs.schema import Sampler
    from engine.sample.group import SamplerGroup

    config = Sampler(
        max_num_seqs=8,
        max_model_len=512,
        kv_cache_gib=0.1,
        dtype="float32",
        max_new_tokens=8,
        max_restarts=1,
    )
    with SamplerGroup(config, tiny_model, threads=2, gpus=0, share_gpu=False) as group:
        yield group


@pytest.fixture(scope="session")
def here(local_ray: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator["Here"]:
    """The command line in this process, whose runs leave engine and train worker to the next one."""
    from engine.train.crew import Crew
    from tests.support.kept import Here

    with Crew(tmp_path_factory.mktemp("crew")) as crew:
        here = Here(crew)
        yield here
        here.engine.close()


@pytest.fixture
def default_sigint() -> Iterator[None]:
    """What a shell starts in the background ignores Ctrl-C, tests as well, and what they start."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)

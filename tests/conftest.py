"""What tests share: the tiny model, and one local Ray for those that need it."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.support.tiny_model import make_tiny_model

# No test is about speed: a busy machine must not fail one.
hypothesis.settings.register_profile("ratchet", deadline=None)
hypothesis.settings.load_profile("ratchet")


ENGINES = {"local_ray", "tiny_model"}
"""Fixtures of tests that start an engine or train: they are marked slow, whether or not they say so."""


@pytest.hookimpl(tryfirst=True)  # before tests are chosen by their marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if ENGINES & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture(scope="module")
def local_ray() -> Iterator[None]:
    import ray

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray.init("local", num_cpus=2, resources={"sampler": 1}, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.fixture
def default_sigint() -> Iterator[None]:
    """What a shell starts in the background ignores Ctrl-C, tests as well, and what they start."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)

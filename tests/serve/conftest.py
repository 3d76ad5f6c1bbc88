"""The server that several modules ask: one engine, tools, embeddings, and a champion with a rival."""

from collections.abc import Iterator

import pytest

from engine.models.identity import model_id
from tests.support.model_dirs import TOOLS
from tests.support.server_process import Server, make_home_of, serving
from tests.support.tiny_model import make_tiny_model

SETTINGS = ("engines.resident=1", "engines.max_model_len=1024", "engines.max_num_seqs=4", "limits.queue=4")
MORE = ("engines.dtype=float32", "limits.max_tokens=400", "embeddings={}", "engines.tool_parser=hermes")


@pytest.fixture(scope="package")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server under `timeout`, which sends SIGTERM to the whole process group when it is told to end it.

    Its models are in `home / "tiny"`, by number. `test_one_engine.py`, the last that asks it, ends it.
    """
    home = tmp_path_factory.mktemp("asked")
    models = [make_tiny_model(home / "tiny" / str(seed), seed) for seed in range(2)]
    for model in models:
        (model / "chat_template.jinja").write_text(TOOLS)
    make_home_of(home, models)
    with serving(home, *SETTINGS, *MORE, "poll_seconds=0.2", under=("timeout", "3600")) as server:
        yield server


@pytest.fixture(scope="package")
def asked_ids(asked: Server) -> list[str]:
    """The versions of its models: the champion at the start, and its rival."""
    return [model_id(asked.home / "tiny" / name) for name in "01"]

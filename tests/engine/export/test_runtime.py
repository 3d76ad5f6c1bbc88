"""llama.cpp itself: what its cache holds, and the tiny model through the real converter and server."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from engine.export.exported import ExportError
from engine.export.gguf import Facts, facts_of, write_level
from engine.export.levels import Level
from engine.export.mixture import Architecture
from engine.export.runtime import Llama, within
from engine.export.sampler import LlamaSampler
from engine.models.prompts import prompt_ids, tokenizer_of
from engine.records import Turn
from engine.sample.protocol import Request, SamplerError, Sampling
from tests.support.llama import order, tiny_gguf

pytestmark = pytest.mark.slow

CHATS = (
    (Turn(role="user", text="Is Max a wumpus?"),),
    (Turn(role="system", text="Answer."), Turn(role="user", text="Zwölf — 12?\n\n  Two blanks.")),
    (
        Turn(role="user", text="One"),
        Turn(role="assistant", text="Two"),
        Turn(role="user", text="<|im_start|>system\nThree"),
    ),
)


def facts(*, token_bytes: int, context: int = 2048) -> Facts:
    return Facts(
        architecture=Architecture(name="llama", num_layers=1),
        context=context,
        token_bytes=token_bytes,
        num_parameters=1,
        tensors=(),
        has_template=True,
        notes={},
    )


def test_the_cache_bounds_how_many_answers_are_generated_at_a_time() -> None:
    wanted = order(Path("m.gguf"), num_parallel=8, context=100)
    assert within(wanted, facts(token_bytes=10), 5_000).num_parallel == 5
    assert within(wanted, facts(token_bytes=10), 80_000).num_parallel == 8
    assert within(wanted, facts(token_bytes=0), 1).num_parallel == 8, "the file does not say"
    with pytest.raises(ExportError, match="does not hold one answer of m.gguf"):
        within(wanted, facts(token_bytes=10), 999)
    with pytest.raises(ExportError, match="100 tokens was asked for, but m.gguf was made for at most 64"):
        within(wanted, facts(token_bytes=10, context=64), 80_000)


@pytest.fixture(scope="module")
def file(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gguf")
    base = tiny_gguf(tiny_model, folder / "base.gguf")
    write_level(base, folder / "tiny-q8_0.gguf", Level.Q8_0, {"line": "test/tiny"}, threads=2)
    return folder / "tiny-q8_0.gguf"


@pytest.fixture(scope="module")
def llama(file: Path) -> Iterator[Llama]:
    with Llama(order(file)) as running:
        yield running


def test_the_file_says_what_the_model_is(file: Path) -> None:
    found = facts_of(file)
    assert (found.architecture.name, found.architecture.num_layers, found.context) == ("llama", 2, 2048)
    assert found.has_template and found.notes == {"line": "test/tiny"}
    assert found.token_bytes == 2 * 2 * 1 * 64
    kinds = {tensor.name: tensor.kind for tensor in found.tensors}
    assert kinds["token_embd.weight"] == "Q8_0" and kinds["output_norm.weight"] == "F32"


def test_the_template_in_the_file_makes_the_tokens_that_the_model_was_trained_on(
    llama: Llama, tiny_model: Path
) -> None:
    sampler, tokenizer = LlamaSampler(llama), tokenizer_of(tiny_model)
    for chat in CHATS:
        assert sampler.tokens(sampler.prompt(chat)) == prompt_ids(tokenizer, chat)


def test_it_answers_alike_when_asked_again_and_within_its_limits(llama: Llama, file: Path) -> None:
    requests = [Request(problem_id=str(n), messages=chat) for n, chat in enumerate(CHATS)]
    sampling = Sampling(max_new_tokens=8)
    first, second = (
        {a.problem_id: a.text for a in LlamaSampler(llama).sample(file, requests, sampling)} for _ in "ab"
    )
    assert first == second and len(first) == 3
    for attempt in LlamaSampler(llama).sample(file, requests, sampling):
        assert attempt.num_tokens <= 8


def test_a_prompt_that_is_too_long_is_refused_with_the_reason(llama: Llama, file: Path) -> None:
    request = Request(problem_id="p", messages="Max is a wumpus. " * 200)
    with pytest.raises(SamplerError, match="llama.cpp refused a request: .*context"):
        list(LlamaSampler(llama).sample(file, [request], Sampling()))


def test_it_can_be_started_again_after_kill_9_and_leaves_no_process(file: Path) -> None:
    running, before = Llama(order(file)), psutil.Process().children()
    with running as again:
        (child,) = [each for each in psutil.Process().children() if each not in before]
        os.kill(child.pid, signal.SIGKILL)
        child.wait(10)
        with pytest.raises(SamplerError, match="llama.cpp did not answer"):
            again.post("/tokenize", {"content": "a"})
        again.start()
        assert again.post("/tokenize", {"content": "a"})["tokens"]
        folder = Path(again.socket).parent
    assert not folder.exists()
    assert not running.is_alive


def test_a_file_that_llama_cannot_load_is_refused_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "broken.gguf").write_bytes(b"GGUF" + bytes(100))
    with (
        pytest.raises(SamplerError, match="llama.cpp could not load broken.gguf: ."),
        Llama(order(tmp_path / "broken.gguf")),
    ):
        pass

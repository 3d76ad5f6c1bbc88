"""An export without a model: the toy task, a registry, small files, and llama.cpp played by a server."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from configs.asking import Asking
from configs.load import validate
from engine.export import converter, judged
from engine.export.levels import Level
from engine.export.quantised import GgufOrder
from engine.export.runtime import Order
from engine.measure.readings import Asked
from engine.models.identity import Model
from engine.records import Answer, Attempt, Fault, Finish, Problem, Status, Turn, Verdict
from engine.registry.registry import Registry
from tests.support.llama import PlayedLlama, Reply, tokens_of, write_gguf
from tests.support.registry import decision, manifest, store

TOY = "tests/support/toy_task.py"
LINE = "test/export"
MODEL = "c0ffee"
SHAPES = {"token_embd.weight": (64, 256), "blk.0.attn_q.weight": (256, 256), "output_norm.weight": (256,)}


def asking(task: str = TOY, settings: Mapping[str, Any] | None = None) -> Asking:
    sampler = {"max_model_len": 256, "max_new_tokens": 16}
    return validate(Asking, {"task": {"name": task, **(settings or {})}, "sampler": sampler}, "test")


def make_registry(home: Path) -> Registry:
    """A registry with one champion, whose weights nobody reads."""
    registry = Registry(home)
    store(registry, home, MODEL)
    registry.promote(
        LINE,
        MODEL,
        run_id="run",
        round=0,
        expected_epoch=0,
        baseline=True,
        decision=replace(decision(accepted=True), level=0.0),
    )
    assert registry.manifest(MODEL).model_id == manifest(MODEL).model_id
    return registry


def gguf_order(*levels: Level, **more: Any) -> GgufOrder:
    settings = {"asking": asking(), "num": 40, "seed": 3, "margin": 0.1, "threads": 1, "memory": None}
    return GgufOrder(model=MODEL, line=LINE, levels=levels or (Level.Q8_0,), **(settings | more))


class Played:
    """Takes the place of converter, llama.cpp and the champion's tokenizer."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, reply: Reply) -> None:
        self.reply: Reply = reply
        self.num_conversions = 0
        self.llamas: list[PlayedLlama] = []
        monkeypatch.setattr(converter, "convert", self._convert)
        monkeypatch.setattr(judged, "Llama", self._llama)
        monkeypatch.setattr(judged, "tokenizer_of", lambda path: None)
        monkeypatch.setattr(judged, "prompt_ids", self.prompt_ids)

    def prompt_ids(self, tokenizer: object, chat: Sequence[Turn]) -> list[int]:
        """What the champion's template makes of a chat: the same as the played one."""
        return tokens_of("".join(f"<{turn.role}>{turn.text}" for turn in chat) + "<assistant>")

    def _convert(self, home: Path, model: Path, target: Path, name: str) -> None:
        self.num_conversions += 1
        # As long as a task asks for that says nothing of it.
        write_gguf(target, SHAPES, context=1024)

    def _llama(self, order: Order) -> PlayedLlama:
        llama = PlayedLlama(order.file, lambda body: self.reply(body), num_parallel=order.num_parallel)
        self.llamas.append(llama)
        return llama


def answer_of(problem: Problem, text: str, model: str = MODEL) -> Answer:
    """An answer to a problem of the toy task, judged as its verifier judges it."""
    right = text == "yes"
    return Answer(
        attempt=Attempt(
            problem_id=problem.id,
            model_id=model,
            sample=0,
            replies=(text,),
            num_prompt_tokens=1,
            num_tokens=2,
            finish=Finish.STOP,
        ),
        verdict=Verdict(
            problem_id=problem.id,
            sample=0,
            status=Status.PASS if right else Status.FAIL,
            right=right,
            answer=text,
            fault=Fault.NONE if right else Fault.WRONG_ANSWER,
            verifier="toy",
            reason="",
        ),
    )


def champion_says(
    text: str, calls: list[int] | None = None
) -> Callable[[Model, Asked, Sequence[Problem]], list[Answer]]:
    def ask(model: Model, asked: Asked, shots: Sequence[Problem]) -> list[Answer]:
        if calls is not None:
            calls.append(len(asked.problems))
        return [answer_of(problem, text) for problem in asked.problems]

    return ask

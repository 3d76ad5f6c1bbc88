"""An engine of the server proves its weights: at its start, and at each swap before it answers by them.

`engine/models/proof.py` says what is asked and what is allowed. The questions go the way of every request for
a completion, through vLLM's serving layer and into the running batch.
"""

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from engine.disk.files import locked
from engine.models.evidence import Ids, LogProbs
from engine.models.proof import Prover, Version
from engine.models.reference import References
from engine.registry.registry import Registry

if TYPE_CHECKING:
    from ray.serve.llm.deployment import LLMServer

log = logging.getLogger("ray.serve")


class Proving:
    """Proves the versions that one engine takes. The event loop is that of the engine."""

    def __init__(self, server: "LLMServer", api: ModuleType, home: Path, longest: int) -> None:
        self._server, self._api, self._home, self._registry = server, api, home, Registry(home)
        self._references = References(home)
        self._loop = asyncio.get_running_loop()
        self._prover = Prover(self._ask, longest, self._references.keep)

    async def start(self, version: str) -> None:
        """Prove the version that the engine has started with, and that it does not hold the parent of it.

        Raises engine.models.evidence.Unproven.
        """
        parent = self._registry.manifest(version).parent_id
        beside = self._version(parent) if parent and self._references.get(parent) else None
        await asyncio.to_thread(self._expect, version, beside)
        await self.prove()

    async def expect(self, version: str) -> None:
        """Prepare for a version while the engine still answers by the one before."""
        await asyncio.to_thread(self._expect, version)

    async def prove(self) -> None:
        """Prove the version that is expected. Raises engine.models.evidence.Unproven."""
        proof = await asyncio.to_thread(self._prover.check)
        log.log(logging.INFO if proof.complete else logging.WARNING, "%s", proof.sentence)

    def _expect(self, version: str, beside: Version | None = None) -> None:
        # A reference takes memory and time, so that of two engines one computes it for both.
        with locked(self._home / "references" / "computing"):
            self._prover.expect(self._version(version), beside)

    def _version(self, version: str) -> Version:
        return Version(version, self._registry.place(version), self._references.get(version))

    def _ask(self, texts: Sequence[Ids]) -> list[LogProbs]:
        """Score texts, from another thread than that of the event loop."""
        return asyncio.run_coroutine_threadsafe(self._score(texts), self._loop).result()

    async def _score(self, texts: Sequence[Ids]) -> list[LogProbs]:
        request = self._api.CompletionRequest(
            prompt=[list(text) for text in texts], max_tokens=1, temperature=0, prompt_logprobs=0
        )
        async for answer in await self._server.completions(request):
            if isinstance(answer, self._api.ErrorResponse):
                raise RuntimeError(f"vLLM scored no texts: {answer.error.message}")
            found = {choice.index: choice.prompt_logprobs for choice in answer.choices}
            return [
                tuple(step[token].logprob for step, token in zip(found[place][1:], text[1:], strict=True))
                for place, text in enumerate(texts)
            ]
        raise RuntimeError("vLLM scored no texts")

"""The process that samples: one vLLM engine in a Ray actor. `engine/sample/group.py` is its driver."""

import logging
import os
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import ray

from configs.schema import Sampler as SamplerConfig
from engine.models.evidence import Ids, LogProbs, Unproven
from engine.models.identity import model_id
from engine.models.nodes import ModelRef, local_copy
from engine.models.prompts import completion_ids, prompt_ids, text_ids
from engine.models.proof import Proof, Prover, Version
from engine.models.reference import Reference
from engine.records import Attempt, Finish, Score, Tokens
from engine.sample.protocol import Ask, Reply, SamplerError, Sampling
from engine.sample.starting import starting
from engine.sample.vllm_setup import TakesWeights, engine_environment, engine_settings

if TYPE_CHECKING:
    from vllm.logprobs import Logprob

log = logging.getLogger(__name__)

_SEND_SECONDS = 0.25
"""Time between two lists of finished attempts."""


@ray.remote
class SamplerActor:
    """A vLLM engine in a process of its own."""

    def __init__(
        self, config: SamplerConfig, ref: ModelRef, threads: int, sleeps: bool, reference: Reference | None
    ) -> None:
        self.fault: Exception | None = None
        self.sleeps = self.asleep = False
        try:
            self._start(config, ref, threads, sleeps, reference)
        except Exception as error:
            # The first call raises it: of an error in `__init__` Ray keeps no more than its text.
            log.exception("the engine did not start")
            self.fault = error

    def _start(
        self, config: SamplerConfig, ref: ModelRef, threads: int, sleeps: bool, reference: Reference | None
    ) -> None:
        os.environ.update(engine_environment(threads))
        import torch
        from vllm import LLM

        assert config.dtype != "auto", "whoever plans decides it"
        torch.set_num_threads(threads)
        on_gpu, model = torch.cuda.is_available(), local_copy(ref)
        with starting(model, "sampler"):
            self.llm = LLM(
                model=str(model),
                dtype=config.dtype,
                tensor_parallel_size=config.tensor_parallel,
                max_model_len=config.max_model_len,
                max_num_seqs=config.max_num_seqs,
                enable_prefix_caching=True,
                seed=0,
                disable_log_stats=True,
                worker_extension_cls=TakesWeights.WHERE,
                **engine_settings(config, on_gpu=on_gpu, sleeps=sleeps),
            )
        self.sleeps = sleeps and on_gpu
        self.tokenizer = self.llm.get_tokenizer()
        self.model_id = model_id(model)
        self.unfinished: dict[str, Ask] = {}
        self.computed: dict[str, Reference] = {}
        self.prover = Prover(self._logprobs, config.max_model_len, self.computed.__setitem__)
        self.prover.begin(Version(self.model_id, model, reference))

    def swap(
        self, ref: ModelRef, reference: Reference | None, sure: bool
    ) -> tuple[Proof, dict[str, Reference]] | None:
        """Load the weights of a model in place and drop what an abandoned call left unfinished.

        Returns the proof that the engine answers by them, with all references that had to be computed; None
        where it holds them already. Of those that it has started with that is proved where there is a
        reference, or where it is to be `sure`. Raises whatever kept the engine from starting, and
        engine.models.evidence.Unproven, after which the engine must not be asked anything.
        """
        if self.fault:
            raise self.fault
        self._wake()
        self.llm.llm_engine.abort_request(list(self.unfinished))
        self.unfinished.clear()
        model = local_copy(ref)
        wanted = model_id(model)
        is_here = wanted == self.model_id
        if is_here and (self.prover.has_proved or not (reference or sure)):
            return None
        self.prover.expect(Version(wanted, model, reference))
        if not is_here:
            # Half of them may be in place where what follows fails.
            self.model_id = ""
            if not self.llm.reset_prefix_cache():
                raise Unproven(f"the engine keeps what it computed by the weights before those of {wanted}")
            self.llm.collective_rpc("take_weights", args=(str(model),))
        proof = self.prover.check()
        self.model_id = wanted
        return proof, self.computed

    def sample(self, asks: list[Ask], sampling: Sampling, keep: int) -> Iterator[list[Attempt]]:
        """Finished attempts, in lists that span many engine steps, because sending takes the engine's cores.

        Ends when no more than `keep` requests are unfinished. Those go on with the next call, so the engine
        never runs empty between two calls.
        """
        self._wake()
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams

        engine = self.llm.llm_engine
        prompts = {ask.problem_id: ask.messages for ask in asks}
        rendered = {name: prompt_ids(self.tokenizer, messages) for name, messages in prompts.items()}
        self._require_room(max(map(len, rendered.values()), default=0), sampling.max_new_tokens)
        for ask in asks:
            name = f"{ask.problem_id}/{ask.sample}"
            self.unfinished[name] = ask
            params = SamplingParams(
                temperature=sampling.temperature,
                top_p=sampling.top_p,
                seed=sampling.seed_of(ask.problem_id, ask.sample) if sampling.temperature else None,
                max_tokens=sampling.max_new_tokens,
                stop=list(sampling.stop),
                # vLLM writes into it, so that each request has its own.
                structured_outputs=StructuredOutputsParams(regex=sampling.pattern)
                if sampling.pattern
                else None,
                output_kind=RequestOutputKind.FINAL_ONLY,
            )
            engine.add_request(name, {"prompt_token_ids": rendered[ask.problem_id]}, params)
        finished: list[Attempt] = []
        sent = time.monotonic()
        while len(self.unfinished) > keep:
            for output in engine.step():
                if output.finished:
                    ask, answer = self.unfinished.pop(output.request_id), output.outputs[0]
                    finished.append(
                        Attempt(
                            problem_id=ask.problem_id,
                            model_id=self.model_id,
                            sample=ask.sample,
                            replies=(answer.text,),
                            num_prompt_tokens=len(output.prompt_token_ids),
                            num_tokens=len(answer.token_ids),
                            finish=Finish.LENGTH if answer.finish_reason == "length" else Finish.STOP,
                        )
                    )
            if finished and time.monotonic() - sent > _SEND_SECONDS:
                yield finished
                finished, sent = [], time.monotonic()
        if finished:
            yield finished

    def _require_room(self, num_prompt: int, num_new: int) -> None:
        """Raise SamplerError where vLLM would refuse a prompt with a traceback or silently cut an answer."""
        needed, room = num_prompt + num_new, self.llm.model_config.max_model_len
        if needed > room:
            raise SamplerError(
                f"sampler.max_model_len must be at least {needed} for a prompt of {num_prompt} tokens "
                f"and {num_new} new ones, got {room}"
            )

    def score(self, texts: list[str | Reply | Tokens]) -> list[Score]:
        """The likelihood of each text, reply or part of tokens, in order."""
        self._wake()
        rendered = [self._scored(text) for text in texts]
        self._require_room(max((len(tokens) for tokens, _ in rendered), default=0), 1)
        scores = []
        for each, (_, first) in zip(
            self._likelihoods([tokens for tokens, _ in rendered]), rendered, strict=True
        ):
            found = each[first - 1 :]
            nll, greedy = -sum(each.logprob for each in found), all(each.rank == 1 for each in found)
            scores.append(Score(nll, len(found), self.model_id, greedy))
        return scores

    def _likelihoods(self, texts: Sequence[Sequence[int]]) -> "list[list[Logprob]]":
        """The log-likelihood and the rank of every token of each text after its first."""
        from vllm import SamplingParams

        prompts = [{"prompt_token_ids": list(tokens)} for tokens in texts]
        params = SamplingParams(max_tokens=1, prompt_logprobs=0, temperature=0)
        return [
            [step[token] for step, token in zip(output.prompt_logprobs[1:], tokens[1:], strict=True)]
            for output, tokens in zip(self.llm.generate(prompts, params, use_tqdm=False), texts, strict=True)
        ]

    def _logprobs(self, texts: Sequence[Ids]) -> list[LogProbs]:
        return [tuple(token.logprob for token in each) for each in self._likelihoods(texts)]

    def _scored(self, text: str | Reply | Tokens) -> tuple[list[int], int]:
        """The tokens of a text or of a chat with its reply, and the place of the first one that counts."""
        if isinstance(text, Tokens):
            assert text.given, "a model gives the first token of all no likelihood"
            return [*text.given, *text.scored], len(text.given)
        if isinstance(text, str):
            return text_ids(self.tokenizer, text), 1
        asked = prompt_ids(self.tokenizer, text.messages)
        return asked + completion_ids(self.tokenizer, text.text), len(asked)

    def sleep(self) -> None:
        """Give up the GPU's memory until the next call, where the engine was started to share it."""
        if self.sleeps and not self.asleep:
            self.llm.sleep(level=1)
            self.asleep = True

    def _wake(self) -> None:
        if self.asleep:
            self.llm.wake_up()
            self.asleep = False

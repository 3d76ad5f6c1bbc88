"""A model of lm-evaluation-harness that is one of our samplers: on Ray and vLLM, or behind an API.

Texts become tokens as the harness's own backend for Transformers makes them, so that figures can be compared
with those that others report: the sampler is given tokens, and gives back likelihoods and texts.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from lm_eval.api.model import TemplateLM
from lm_eval.models.utils import normalize_gen_kwargs, postprocess_generated_text
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

from engine.benchmark.package import BenchmarkError
from engine.gate.arithmetic import GateError, require_answered_by
from engine.models.identity import Model
from engine.models.prompts import tokenizer_of
from engine.records import Score, Tokens
from engine.sample.protocol import Request, Sampler, Sampling

_MAX_NEW = 256
"""Longest answer where a task sets none, as in the harness."""
_NO_OPS: Mapping[str, tuple[Any, ...]] = {
    "length_penalty": (1, 1.0),
    "min_p": (0, 0.0),
    "num_beams": (1,),
    "repetition_penalty": (1, 1.0),
    "top_k": (0, -1),
    "use_cache": (True,),
}
"""Settings of a task that the sampler does not know, with the values that ask for what happens anyway."""
_OF_DRAWS = frozenset({"min_p", "top_k", "typical_p"})
"""Settings that change nothing where the likeliest token is taken."""


class Sampled(TemplateLM):
    """The harness's view of a sampler."""

    backend = "causal"

    def __init__(self, sampler: Sampler, model: Model, max_length: int, seed: int) -> None:
        """`model` has the tokenizer, and the id that the sampler must report; `seed` is for drawn answers.

        `max_length` is the most tokens of a prompt and what follows it.
        """
        super().__init__()
        self._sampler, self._model, self._seed = sampler, model, seed
        self.max_length = max_length
        self.tokenizer = tokenizer_of(model.path)
        self.num_cut = 0
        """Prompts that lost their beginning, because they were too long."""

    @property
    def eot_token_id(self) -> int:
        return int(self.tokenizer.eos_token_id)

    @property
    def prefix_token_id(self) -> int:
        """What stands before a text that nothing stands before."""
        start = self.tokenizer.bos_token_id
        return self.eot_token_id if start is None else int(start)

    @property
    def tokenizer_name(self) -> str:
        return self._model.id

    def apply_chat_template(
        self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        """The chat as text; without a `add_generation_prompt` its last turn is to be continued."""
        from jinja2 import TemplateError

        try:
            return self.tokenizer.apply_chat_template(
                chat_history,
                tokenize=False,
                add_generation_prompt=add_generation_prompt,
                continue_final_message=not add_generation_prompt,
            )
        except TemplateError as error:
            raise BenchmarkError(
                f"the chat template of {self._model.path} refuses a chat of the roles "
                f"{', '.join(turn['role'] for turn in chat_history)}: {error}"
            ) from None

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **_: Any) -> list[int]:
        """A text as tokens, with what its tokenizer puts before a text, once."""
        if add_special_tokens is None:
            add_special_tokens = not string.startswith(self.tokenizer.decode(self.prefix_token_id))
        return self.tokenizer.encode(string, add_special_tokens=add_special_tokens)

    def loglikelihood_rolling(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[float]:
        """Of each whole text, in windows that do not overlap in what they predict."""
        windows: list[Tokens] = []
        counts: list[int] = []
        for (text,) in (request.args for request in requests):
            found = get_rolling_token_windows(
                token_list=self.tok_encode(text),
                prefix_token=self.prefix_token_id,
                # Beside a window stand a token before it, and the one that the sampler draws after it.
                max_seq_len=self.max_length - 2,
                context_len=1,
            )
            own = [Tokens(tuple(a), tuple(b)) for a, b in map(make_disjoint_window, found)]
            windows += own
            counts.append(len(own))
        scores = iter(self._scores(windows))
        return [-sum(next(scores).nll for _ in range(count)) for count in counts]

    def _loglikelihood_tokens(
        self, requests: Sequence[tuple[Any, list[int], list[int]]], **_: Any
    ) -> list[tuple[float, bool]]:
        texts = [self._fitted(given, scored) for _, given, scored in requests]
        return [(-score.nll, score.greedy) for score in self._scores(texts)]

    def _fitted(self, given: list[int], scored: list[int]) -> Tokens:
        over = len(given) + len(scored) + 1 - self.max_length
        if over >= len(given):
            raise BenchmarkError(
                f"{len(scored)} tokens are to be scored, which leave none before them in {self.max_length}: "
                "choose a larger --max-model-len"
            )
        self.num_cut += over > 0
        return Tokens(tuple(given[max(0, over) :]), tuple(scored))

    def _scores(self, texts: Sequence[Tokens]) -> list[Score]:
        scores = self._sampler.score(self._model.path, texts) if texts else []
        if others := {score.model_id for score in scores} - {self._model.id}:
            raise GateError(f"a benchmark of {self._model.id} was scored by {', '.join(sorted(others))}")
        return scores

    def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:
        """An answer to each prompt; a prompt that is there several times is answered by as many draws."""
        places: dict[tuple[Tokens, Sampling], list[int]] = {}
        for place, request in enumerate(requests):
            context, asked = request.args
            sampling = sampling_of(asked, request.task_name or "", self._seed)
            places.setdefault((self._prompt(context, sampling), sampling), []).append(place)
        batches: dict[Sampling, list[tuple[Request, list[int]]]] = {}
        for (prompt, sampling), own in places.items():
            request = Request(problem_id=_name_of(prompt, sampling), messages=prompt)
            batches.setdefault(replace(sampling, samples=len(own)), []).append((request, own))
        answers = [""] * len(requests)
        for sampling, asked in batches.items():
            found = {request.problem_id: own for request, own in asked}
            given = self._sampler.sample(self._model.path, [request for request, _ in asked], sampling)
            for attempt in given:
                require_answered_by([attempt], self._model.id)
                text = postprocess_generated_text(attempt.text, list(sampling.stop), None)
                answers[found[attempt.problem_id][attempt.sample]] = text
        return answers

    def _prompt(self, context: str, sampling: Sampling) -> Tokens:
        room = self.max_length - sampling.max_new_tokens
        if room < 1:
            raise BenchmarkError(
                f"answers of up to {sampling.max_new_tokens} tokens leave no room for a prompt in "
                f"{self.max_length}: choose a larger --max-model-len"
            )
        tokens = self.tok_encode(context) or [self.prefix_token_id]
        self.num_cut += len(tokens) > room
        return Tokens(tuple(tokens[-room:]))


def sampling_of(asked: Mapping[str, Any], task: str, seed: int) -> Sampling:
    """How the answers are drawn that a task's ``generation_kwargs`` ask for.

    Raises BenchmarkError for a setting that the sampler does not know and that would change the answers.
    """
    settings = dict(normalize_gen_kwargs(dict(asked), _MAX_NEW))
    stop, max_new = settings.pop("until"), settings.pop("max_gen_toks")
    drawn = bool(settings.pop("do_sample"))
    # As in Transformers, which the harness was made for.
    temperature = float(settings.pop("temperature", 1.0 if drawn else 0.0))
    top_p = float(settings.pop("top_p", 1.0))
    for name, value in settings.items():
        idle = value is None or value in _NO_OPS.get(name, ()) or (not drawn and name in _OF_DRAWS)
        if not idle:
            raise BenchmarkError(
                f"task {task} sets generation_kwargs {name}={value!r:.60}, which the sampler does not know"
            )
    return Sampling(
        temperature=temperature if drawn else 0.0,
        top_p=top_p if drawn else 1.0,
        seed=seed,
        max_new_tokens=max_new,
        stop=tuple(str(text) for text in stop if text),
    )


def _name_of(prompt: Tokens, sampling: Sampling) -> str:
    """A name by content, so that an interrupted benchmark draws the same answers when it goes on."""
    content = json.dumps([prompt.given, repr(sampling)])
    return hashlib.sha256(content.encode()).hexdigest()[:24]

"""How long a campaign's work takes on a plan, by stated assumptions, each of which can be changed.

    ratchet plan configs/cluster.yaml --nodes 2 --gpus-per-node 8 --assume train_mfu=0.4

Nothing is measured on the machine in question. The lower end of an estimate is the least work at the highest
speed, the upper end the most work at the lowest speed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from configs.schema import Config, Sampler
from configs.training import Train
from engine.errors import Mistake
from engine.plan.footprint import GIB, Shape, sampler_on_gpu, sampler_weights, trained_weights
from engine.plan.plan import Group, Plan
from engine.preflight.workload import NONE, Lengths, Range, Work, exactly


class ForecastError(Mistake):
    """An assumption does not exist, or cannot have the value it was given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumption:
    key: str
    value: Range | None
    """None: the other assumptions imply it."""
    meaning: str

    @property
    def range(self) -> Range:
        assert self.value is not None, self.key
        return self.value


_GPU_RULES = {
    "tflops": (
        Range(989, 989),
        "a GPU's peak in 16 bit, 10^12 operations a second: data sheet of the H100 SXM",
    ),
    "bandwidth_gbs": (
        Range(3350, 3350),
        "a GPU's memory bandwidth, GB a second: data sheet of the H100 SXM",
    ),
    "decode_mfu": (Range(0.1, 0.4), "share of the peak that a decoding step can reach"),
    "prefill_mfu": (Range(0.2, 0.5), "share of the peak reached in reading prompts"),
    "train_mfu": (
        Range(0.15, 0.45),
        "share of the peak reached in training, waiting for others included",
    ),
    "sampler_start_seconds": (Range(60, 240), "until all samplers answer, once a campaign"),
    "train_start_seconds": (Range(40, 180), "each training, in addition to its steps"),
}
_CPU_RULES = {
    "tflops": (Range(0.2, 0.2), "a core's peak in 16 bit, 10^12 operations a second"),
    "bandwidth_gbs": (Range(20, 20), "a core's memory bandwidth, GB a second"),
    "decode_mfu": (Range(0.1, 0.5), "share of the peak that a decoding step can reach"),
    "prefill_mfu": (Range(0.2, 0.8), "share of the peak reached in reading prompts"),
    "train_mfu": (Range(0.2, 0.8), "share of the peak reached in training"),
    "sampler_start_seconds": (Range(20, 60), "until all samplers answer, once a campaign"),
    "train_start_seconds": (Range(8, 60), "each training, in addition to its steps; the first takes longest"),
}
_RULES: dict[str, tuple[Range | None, str]] = {
    "decode_share": (Range(0.3, 0.8), "share of the bandwidth reached in reading weights and KV cache"),
    "load_gbs": (Range(1, 5), "speed of reading a model from disk at every swap, GB a second"),
    "verified_per_second": (Range(50, 300), "answers that one verifier process checks"),
    "decode_tokens_per_second": (
        None,
        "speed of a sampler's GPU or core, in place of shares of the peak",
    ),
    "train_tokens_per_second": (None, "speed of a train worker, in place of a share of the peak"),
}


def assumptions(device: str, characters: Range, given: Sequence[str]) -> dict[str, Assumption]:
    """All assumptions by key; `given` are changes such as ``train_mfu=0.4`` or ``train_mfu=0.3..0.5``.

    `characters` are those of a token of the task's texts. Raises ForecastError.
    """
    meaning = "of the task's prompts and gold answers, from rare words in pieces to whole words"
    rules = (_GPU_RULES if device == "gpu" else _CPU_RULES) | {"characters_per_token": (characters, meaning)}
    assumed = {
        key: Assumption(key=key, value=value, meaning=text) for key, (value, text) in (rules | _RULES).items()
    }
    for change in given:
        key, _, text = change.partition("=")
        if key not in assumed:
            raise ForecastError(f"there is no assumption '{key}': allowed are {', '.join(assumed)}")
        low, _, high = text.partition("..")
        try:
            value = Range(float(low), float(high or low))
        except ValueError:
            value = NONE
        share = key.endswith(("_mfu", "_share"))
        if not 0 < value.low <= value.high < float("inf") or (share and value.high > 1):
            kind = "share above 0 and up to 1" if share else "number above 0"
            raise ForecastError(f"{key} must be a {kind}, or a range such as 0.3..0.5, got '{text}'")
        assumed[key] = replace(assumed[key], value=value, meaning=f"{assumed[key].meaning} (as given)")
    return assumed


@dataclass(frozen=True, slots=True, kw_only=True)
class Speeds:
    """The speeds that the assumptions imply for the planned samplers and workers."""

    config: Config
    plan: Plan
    shape: Shape
    gpu_memory: int
    lengths: Lengths
    assumed: dict[str, Assumption]

    def _units(self, group: Group, parallel: int = 1) -> int:
        """GPUs, or cores, of one process."""
        return parallel if self.plan.device == "gpu" else group.threads

    def decode(self, requests: float) -> Range:
        """Tokens a second of all samplers, while `requests` are spread over them.

        A step reads the weights once and every running request's KV cache. It is bound by bandwidth, or by
        the peak where many requests run at once (Pope et al. 2022).
        """
        sampler, samplers = self.config.sampler, self.plan.samplers
        units = self._units(samplers, sampler.tensor_parallel)
        if (rate := self.assumed["decode_tokens_per_second"].value) is not None:
            return rate.times(exactly(samplers.num * units))
        speeds = []
        for slow, length in ((True, self.lengths.answer.high), (False, self.lengths.answer.low)):
            prompt = self.lengths.prompt.high if slow else self.lengths.prompt.low
            context = prompt + length / 2
            batch = min(sampler.max_num_seqs, max(1.0, requests / samplers.num), self._room(sampler, context))
            moved = sampler_weights(self.shape, sampler) + batch * context * self.shape.kv_bytes(
                sampler.dtype
            )
            reading = moved / (
                units * self._pick("bandwidth_gbs", slow) * 1e9 * self._pick("decode_share", slow)
            )
            computing = 2 * self.shape.num_parameters * batch / self._flops("decode_mfu", units, slow)
            speeds.append(samplers.num * batch / max(reading, computing))
        return Range(speeds[0], speeds[1])

    def _room(self, sampler: Sampler, context: float) -> float:
        """Requests of `context` tokens that the KV cache holds."""
        each = context * self.shape.kv_bytes(sampler.dtype)
        if self.plan.device == "cpu":
            return max(1.0, sampler.kv_cache_gib * GIB / each)
        cache = sampler_on_gpu(self.shape, sampler, self.gpu_memory).kv_cache * sampler.tensor_parallel
        return max(1.0, cache / each)

    def _pick(self, key: str, slow: bool) -> float:
        value = self.assumed[key].range
        return value.low if slow else value.high

    def _flops(self, share: str, units: int, slow: bool) -> float:
        return units * self._pick("tflops", slow) * 1e12 * self._pick(share, slow)

    def train(self, train: Train, workers: Group) -> Range:
        """Tokens a second of all workers.

        A token costs 2 operations a weight forward and 2 backward, 2 more where the weight learns, 2 more to
        recompute activations, and 2 more where pairs are compared with a reference or the model is held to
        its parent.
        """
        if (rate := self.assumed["train_tokens_per_second"].value) is not None:
            return rate.times(exactly(workers.num))
        frozen = self.shape.num_parameters if train.tuning == "lora" else 0
        learns = trained_weights(self.shape, train)
        compared = train.TEXTS_A_ROW > 1 or train.held_share > 0
        passes = 4 + 2 * train.gradient_checkpointing + 2 * compared
        a_token = passes * (frozen + learns) + 2 * learns
        units = workers.num * self._units(workers)
        return Range(*(self._flops("train_mfu", units, slow) / a_token for slow in (True, False)))

    def seconds(self, work: Work) -> Range:
        """Time of a stage. Answers are verified while others are sampled, so the slower of the two counts."""
        return Range(self._seconds(work, 0), self._seconds(work, 1))

    def _seconds(self, work: Work, end: int) -> float:
        """The least work at the highest speed (`end` 0), or the most work at the lowest."""
        slow, config, samplers = end == 1, self.config, self.plan.samplers
        units = samplers.num * self._units(samplers, config.sampler.tensor_parallel)
        reading = 2 * self.shape.num_parameters * work.prompt_tokens[end]
        sampling = reading / self._flops("prefill_mfu", units, slow)
        if work.requests[end]:
            sampling += work.sampled_tokens[end] / self.decode(work.requests[end])[1 - end]
        verifying = work.judged[end] / (config.verify.num_processes * self._pick("verified_per_second", slow))
        weights = sampler_weights(self.shape, config.sampler)
        swapping = work.swaps[end] * weights / (self._pick("load_gbs", slow) * 1e9)
        training = 0.0
        if work.training and work.trained_tokens[end]:
            train, group = config.trains[work.training], self.plan.workers[work.training]
            training = work.trained_tokens[end] / self.train(train, group)[1 - end]
            training += self.assumed["train_start_seconds"].range[end]
        return max(sampling, verifying) + swapping + training

"""How much work a campaign is: requests, tokens and judged answers, stage by stage, from its config alone.

Shown by `ratchet plan`. Everything is a range. Counts run from the least that the config lets happen (a gate
that is settled at its first look, no proof worth learning from) to the most. Lengths run from the mean of the
task's prompts and gold proofs to its longest prompt and the config's bound on answers.
"""

from dataclasses import dataclass
from typing import NamedTuple

from configs.schema import Config, Train
from engine.curate.rehearse import MAX_NEW_TOKENS, num_rows
from engine.tasks import Suite

_DRAWN = 64
"""Problems whose lengths are looked at."""


class Range(NamedTuple):
    """From the least to the most."""

    low: float
    high: float

    def plus(self, other: "Range") -> "Range":
        return Range(self.low + other.low, self.high + other.high)

    def times(self, other: "Range") -> "Range":
        return Range(self.low * other.low, self.high * other.high)


NONE = Range(0, 0)


def exactly(number: float) -> Range:
    return Range(number, number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One stage's: counts and tokens."""

    stage: str
    requests: Range = NONE
    prompt_tokens: Range = NONE
    """Of prompts that are read; the samples of one problem read it once."""
    sampled_tokens: Range = NONE
    trained_tokens: Range = NONE
    """Over all epochs; a preference pair is two rows."""
    judged: Range = NONE
    """Answers that are verified."""
    swaps: Range = NONE
    """Times that the samplers take other weights."""
    train: Train | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """Tokens: from the mean of the task's own to its longest prompt and the config's bound on answers."""

    prompt: Range
    answer: Range

    @classmethod
    def of(cls, config: Config, characters: Range) -> "Lengths":
        """Raises engine.tasks.DataError."""
        problems = Suite(config.task.name, config.task.slices).draw(_DRAWN, split="plan", seed=0)
        prompts = [len(config.system) + len(problem.prompt) for problem in problems]
        proof = sum(len(problem.gold_text) for problem in problems) / _DRAWN
        bound = config.sampler.max_new_tokens
        room = max(1, config.sampler.max_model_len - bound)
        return cls(
            prompt=Range(
                min(room, sum(prompts) / _DRAWN / characters.high), min(room, max(prompts) / characters.low)
            ),
            answer=Range(min(bound, proof / characters.high), bound),
        )

    def asked(self, stage: str, num: Range, *, samples: int = 1, models: int = 1, swaps: Range) -> Work:
        """`num` problems, each answered `samples` times by each of `models`, and all of it judged."""
        problems = Range(num.low * models, num.high * models)
        requests = problems.times(Range(samples, samples))
        return Work(
            stage=stage,
            requests=requests,
            prompt_tokens=problems.times(self.prompt),
            sampled_tokens=requests.times(self.answer),
            judged=requests,
            swaps=swaps,
        )

    def learnt(self, stage: str, train: Train, rows: Range) -> Work:
        """Rows at every epoch, and rehearsal, each once, which the base writes before."""
        texts = 2 if train.method == "dpo" else 1
        length = Range(
            min(train.max_length, self.prompt.low + self.answer.low),
            min(train.max_length, self.prompt.high + self.answer.high),
        )
        epochs = Range(train.epochs, train.epochs)
        own = Range(*(num_rows(round(num * train.epochs), train.rehearsal_share) for num in rows))
        rehearsed = own.times(Range(1, MAX_NEW_TOKENS))
        seen = rows.times(epochs).times(length).times(Range(texts, texts))
        return Work(
            stage=stage,
            requests=own,
            sampled_tokens=rehearsed,
            trained_tokens=seen.plus(rehearsed),
            swaps=Range(0, 2 if own.high else 0),
            train=train,
        )


def round_work(config: Config, lengths: Lengths) -> list[Work]:
    """The stages of one round."""
    propose, gate, at_k = config.propose, config.gate, config.gate.pass_at_k
    most = propose.num_problems * (
        propose.samples - 1
        if config.train.method == "dpo"
        else min(propose.proofs_per_problem, propose.samples)
    )
    looks = Range(1, gate.looks)
    return [
        lengths.asked("probe", exactly(config.probe.num_problems), swaps=Range(0, 1)),
        lengths.asked("sample", exactly(propose.num_problems), samples=propose.samples, swaps=NONE),
        lengths.learnt("train", config.train, Range(0, most)),
        lengths.asked(
            "gate, by looks",
            looks.times(exactly(gate.look_size)),
            models=2,
            swaps=looks.times(exactly(2)).plus(exactly(1)),
        ),
        lengths.asked(
            f"pass@{at_k.k}", Range(0, at_k.num_problems), samples=at_k.k, models=2, swaps=Range(0, 2)
        ),
    ]


def once_work(config: Config, lengths: Lengths) -> list[Work]:
    """What a campaign does beside its rounds."""
    work = []
    if config.baseline:
        base = config.baseline
        work.append(lengths.asked("baseline, greedy", exactly(base.num_problems), swaps=NONE))
        work.append(lengths.asked("baseline", exactly(base.num_problems), samples=base.samples, swaps=NONE))
    if config.warm_start and config.start == "base":
        warm = config.warm_start
        work.append(lengths.learnt("warm start", warm.train, exactly(warm.proofs)))
    work.append(lengths.asked("sealed", exactly(config.final.num_problems), models=2, swaps=Range(0, 2)))
    return work

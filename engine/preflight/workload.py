"""How much work a campaign is: requests, tokens and judged answers, stage by stage, from its config alone.

`ratchet plan` shows it. Everything is a range. Counts run from the least that the config allows (a gate that
is settled at its first look, no answer worth learning from) to the most. Lengths run from the mean of the
task's prompts and gold answers to its longest prompt and the config's bound on answers.

Stages that all campaigns share are here. A loop adds its own through its ``work(settings, lengths)``.
"""

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from configs.schema import Config
from configs.training import Train
from engine.curate.rehearse import MAX_NEW_TOKENS, num_rows
from engine.tasks.suite import Suite, guarded_problems, num_told, of_day

_SAMPLE = 64
"""Problems whose lengths are measured."""
_PIECE = re.compile(r" ?[^\W\d_]+|\d| ?[^\s\w]+|\s+|_")
"""Where tokenizers cut before they merge: words and marks with the blank before them, digits, blanks."""
_RARE, _COMMON = 3, 12
"""Bytes of a token in a rare word, and the most in a common one."""


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
    """A range of one number."""
    return Range(number, number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """The work of one stage."""

    stage: str
    """Its name, for people."""
    requests: Range = NONE
    prompt_tokens: Range = NONE
    """Tokens of prompts that are read; the samples of one problem read it once."""
    sampled_tokens: Range = NONE
    trained_tokens: Range = NONE
    """Tokens over all epochs and all texts of a row."""
    judged: Range = NONE
    """Answers that are verified."""
    swaps: Range = NONE
    """How often the samplers take other weights."""
    training: str = ""
    """Dotted key in the config of the training that the stage runs; empty where it runs none."""


class Texts(NamedTuple):
    """The texts of some problems of a task."""

    prompts: list[str]
    answers: list[str]
    """Gold answers; empty strings where the task has none."""
    turns: int
    """Answers to one problem; 0 where its text is only scored."""
    told: Range = NONE
    """Facts that are known after the first and after the last day, where a task has days."""
    guarded: Range = NONE
    """Problems that a task guards, which every model is asked: after the first and after the last day."""


def texts_of(suite: Suite, system: str, rounds: int = 1) -> Texts:
    """The texts of a sample of problems, and what days bring in so many rounds.

    Raises engine.tasks.suite.DataError.
    """
    problems = suite.draw(_SAMPLE, split="plan", seed=0)
    ends = [of_day(suite, day) for day in (1, rounds)]
    return Texts(
        prompts=[system + problem.text for problem in problems],
        answers=["".join(problem.gold) for problem in problems],
        turns=max(len(problem.turns) for problem in problems),
        told=Range(*(num_told(each, day) for each, day in zip(ends, (1, rounds), strict=True))),
        guarded=Range(*(len(guarded_problems(each)) for each in ends)),
    )


def characters_a_token(texts: Texts) -> Range:
    """An estimate from the task's own words, without a tokenizer.

    At best a token is a whole word with the blank before it; at worst words are rare and are cut into pieces
    of three bytes. English prose is near the best, made-up words lie in between (SmolLM2's tokenizer).
    """
    text = "\n".join([*texts.prompts, *texts.answers])
    sizes = [len(piece.encode()) for piece in _PIECE.findall(text)]
    fewest, most = (sum(math.ceil(size / length) for size in sizes) for length in (_COMMON, _RARE))
    return Range(len(text) / most, len(text) / fewest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """Tokens: from the mean of the task's own to its longest prompt and the config's bound on answers."""

    prompt: Range
    answer: Range
    """All answers to one problem; nothing where its text is only scored."""
    told: Range = NONE
    """Facts that are known after the first and after the last day: see `Texts`."""

    @classmethod
    def of(cls, config: Config, texts: Texts, characters: Range) -> "Lengths":
        """Estimate the lengths from texts; `characters` is the range of characters a token."""
        prompts, answers = ([len(text) for text in each] for each in (texts.prompts, texts.answers))
        bound = config.sampler.max_new_tokens
        room = max(1, config.sampler.max_model_len - bound)
        return cls(
            prompt=Range(
                min(room, sum(prompts) / len(prompts) / characters.high),
                min(room, max(prompts) / characters.low),
            ),
            answer=Range(
                min(bound * texts.turns, sum(answers) / len(answers) / characters.high), bound * texts.turns
            ),
            told=texts.told,
        )

    def asked(self, stage: str, num: Range, *, samples: int = 1, models: int = 1, swaps: Range) -> Work:
        """`num` problems, each answered `samples` times by each of `models`, and all answers judged."""
        problems = Range(num.low * models, num.high * models)
        requests = problems.times(Range(samples, samples))
        return Work(
            stage=stage,
            requests=requests,
            prompt_tokens=problems.times(self.prompt),
            sampled_tokens=requests.times(self.answer),
            judged=requests if self.answer.high else NONE,
            swaps=swaps,
        )

    def learnt(self, stage: str, training: str, train: Train, rows: Range) -> Work:
        """`rows` at every epoch of the training with this dotted key.

        Rows for rehearsal, which the base writes before, are learnt once each. Where the best of several
        checkpoints is kept, they answer their problems after it.
        """
        length = Range(
            min(train.max_length, self.prompt.low + self.answer.low),
            min(train.max_length, self.prompt.high + self.answer.high),
        )
        select, texts = train.select, exactly(train.TEXTS_A_ROW)
        held = Range(*(num_rows(round(num * train.epochs), train.held_share) for num in rows))
        written = held.times(Range(1, MAX_NEW_TOKENS))
        num, least, most = (select.problems, select.least, select.checkpoints) if select else (0, 1, 1)
        # Where there is nothing to learn, nothing is selected.
        compared = self.asked(stage, Range(num * least if rows.low else 0, num * most), swaps=NONE)
        epochs = Range(train.epochs * least / most, train.epochs)
        return Work(
            stage=stage,
            requests=held.plus(compared.requests),
            prompt_tokens=compared.prompt_tokens,
            sampled_tokens=written.plus(compared.sampled_tokens),
            judged=compared.judged,
            trained_tokens=rows.times(epochs).times(length).times(texts).plus(written),
            swaps=Range(0, (2 if held.high else 0) + (most if select else 0)),
            training=training,
        )


LoopWork = Callable[[Lengths], Sequence[Work]]
"""A loop's own stages of a round: its `work` with its settings."""


def round_work(config: Config, lengths: Lengths, loop_work: LoopWork, guarded: Range = NONE) -> list[Work]:
    """The stages of one round: the loop's own, and the gate with the problems that the task guards.

    A training that the loop leaves out has at most one row for each of the loop's requests.
    """
    own = list(loop_work(lengths))
    most = sum(work.requests.high for work in own)
    for key, train in config.loop.trains.items():
        if all(work.training != key for work in own):
            own.append(lengths.learnt("train", key, train, Range(0, most)))
    guards = [lengths.asked("guards", guarded, models=2, swaps=Range(0, 3))] if guarded.high else []
    return [*own, *_gate_work(config, lengths), *guards]


def _gate_work(config: Config, lengths: Lengths) -> Iterator[Work]:
    if config.carry is None:
        yield from _trials(config, lengths, "gate, by looks", "pass@{k}", Range(1, 1))
        return
    yield lengths.asked("carry", exactly(config.carry.problems), models=2, swaps=Range(1, 2))
    yield from _at_k(config, lengths, "pass@{k}", Range(0, 1))


def _trials(config: Config, lengths: Lengths, stage: str, after: str, num: Range) -> Iterator[Work]:
    """Sequential tests and the checks after them, `num` of them."""
    looks = Range(num.low, num.high * config.gate.looks)
    swaps = looks.times(exactly(2)).plus(num)
    yield lengths.asked(stage, looks.times(exactly(config.gate.look_size)), models=2, swaps=swaps)
    yield from _at_k(config, lengths, after, Range(0, num.high))


def _at_k(config: Config, lengths: Lengths, stage: str, num: Range) -> Iterator[Work]:
    at_k = config.gate.pass_at_k
    if lengths.answer.high:
        problems = num.times(exactly(at_k.num_problems))
        yield lengths.asked(
            stage.format(k=at_k.k), problems, samples=at_k.k, models=2, swaps=num.times(exactly(2))
        )


def once_work(config: Config, lengths: Lengths) -> list[Work]:
    """The stages of a campaign outside its rounds."""
    work = []
    if config.baseline:
        base = config.baseline
        work.append(lengths.asked("baseline, greedy", exactly(base.num_problems), swaps=NONE))
        if lengths.answer.high:
            work.append(
                lengths.asked("baseline", exactly(base.num_problems), samples=base.samples, swaps=NONE)
            )
    if config.warm_start and (train := config.trains.get("warm_start.train")):
        proofs = exactly(config.warm_start.proofs)
        work.append(lengths.learnt("warm start", "warm_start.train", train, proofs))
    if config.carry:
        num = Range(0, config.most_tests)
        problems = num.times(exactly(config.carry.problems))
        work.append(lengths.asked("champion, where a trial is due", problems, swaps=num))
        work += _trials(config, lengths, "trials, by looks", "trials, pass@{k}", num)
    if config.transfer:
        # The base, the warm start's model, and one that a round leaves if it is another than before.
        elsewhere = sum(each.num_problems for each in config.transfer.values())
        models = Range(2, 2 + config.stop.rounds)
        work.append(lengths.asked("transfer", exactly(elsewhere).times(models), swaps=models))
    work.append(lengths.asked("sealed", exactly(config.final.num_problems), models=2, swaps=Range(0, 2)))
    return work

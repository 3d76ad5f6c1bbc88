"""An exported file judged again: it answers what its champion answers, through the runtime that it is for.

Merging, converting and rounding change a model, and so can a template that another engine reads. So the file
is asked the gate's kind of problems in its own runtime, verified by the same verifiers, and must be shown not
to be worse than the champion by a stated margin (Tango 1998). What cannot be judged counts against the file.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from configs.asking import Asking
from engine.disk.interruption import interruptible
from engine.export.exported import ID_LENGTH, ExportError, Judged
from engine.export.gguf import facts_of, file_id
from engine.export.runtime import Llama, Order, within
from engine.export.sampler import LlamaSampler
from engine.gate.arithmetic import discordant, no_harm_proportion
from engine.gate.exams import Exam, exam_of
from engine.measure.bench import Bench
from engine.measure.paired import CHANGED, paired_drop_power
from engine.measure.stats import interval
from engine.models.identity import Model
from engine.models.prompts import messages, prompt_ids, tokenizer_of
from engine.records import Answer, Check, Duel, Likelihood, Problem, Status
from engine.sample.protocol import Sampling
from engine.tasks.suite import Task
from engine.verify import AND
from engine.verify.pool import VerifierPool

_CACHE_SHARE = 0.5
"""Share of the free memory that the KV cache may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What one file answered."""

    answers: tuple[Answer, ...]
    """In the order of the problems."""
    seconds: float
    """How long it took to generate them."""
    num_same_prompts: int
    """Problems whose prompts were the same tokens as those that the champion reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """All that is fixed before a file is asked."""

    task: Task
    asking: Asking
    problems: tuple[Problem, ...]
    shots: tuple[Problem, ...]
    champion: Model
    part: str = ""
    """The part of a finite task that the problems are of; empty where a task makes fresh ones."""
    margin: float
    num_parallel: int
    """Answers that the runtime may generate at a time, where memory allows it."""
    threads: int
    memory: int | None
    """Free bytes; None where that is unknown."""

    @property
    def system(self) -> str:
        return self.task.system if self.asking.system is None else self.asking.system

    @property
    def sampling(self) -> Sampling:
        return Sampling(max_new_tokens=self.asking.sampler.max_new_tokens)

    @property
    def power(self) -> float:
        """Chance that a file which is as good as the champion is shown to be."""
        return paired_drop_power(len(self.problems), self.margin, CHANGED)


def answered_exam(task: Task) -> Exam:
    """The exam of a task whose answers are verified. Raises ExportError for any other."""
    exam = exam_of(task)
    if task.exam == "preference":
        raise ExportError(
            f"task {task.name} is examined by a judge's preference, and no judge is asked about files: "
            "judge them by another task or config (--task), or export them unjudged (--unjudged)"
        )
    if not exam.samples:
        raise ExportError(
            f"task {task.name} has passages, whose likelihood llama.cpp does not tell: judge the files by "
            "another task (--task), or export them unjudged (--unjudged)"
        )
    return exam


def ask(terms: Terms, file: Path) -> Given:
    """Let a file answer the problems in its own runtime.

    Raises engine.sample.protocol.SamplerError, engine.measure.evaluate.Unjudged and ExportError.
    """
    exam, verify = answered_exam(terms.task), terms.asking.verify
    model = Model(id=file_id(file)[:ID_LENGTH], path=file)
    pool = VerifierPool(
        AND.join(terms.task.verifiers),
        num_processes=verify.num_processes,
        seconds=verify.seconds,
        memory_mib=verify.memory_mib,
    )
    # Ray, on which the champion was asked, has put its own handler of SIGTERM in place of ours.
    with interruptible(), pool, Llama(_order(terms, file)) as llama:
        sampler = LlamaSampler(llama)
        bench = Bench(sampler, pool, terms.system, verify.max_undecided, AND.join(terms.task.verifiers[1:]))
        given = answers_in(exam.ask(bench, model, terms.problems, terms.sampling, terms.shots))
        return Given(
            answers=given,
            seconds=sampler.seconds,
            num_same_prompts=_num_same_prompts(terms, sampler, given),
        )


def require_enough(terms: Terms, champion: Sequence[Answer]) -> None:
    """Refuse a champion that passes too little for anything to be shown of a file.

    A file that has lost all that its champion passes drops by that share, which must not lie within the
    margin. With twice the margin a file that is accepted has kept more than half. Raises ExportError.
    """
    share = interval(sum(each.verdict.status is Status.PASS for each in champion), len(champion))
    if share.low <= 2 * terms.margin:
        raise ExportError(
            f"the champion passes {share.rate:.1%} of {share.num} problems of task {terms.task.name} (at "
            f"least {share.low:.1%}), so that a file which has lost it all could pass for as good: a margin "
            f"of {terms.margin:.1%} needs more than {2 * terms.margin:.1%}; lower --margin with more "
            "problems (-n), name a task of which it passes more (--task), or export the files unjudged "
            "(--unjudged)"
        )


def judge(terms: Terms, champion: Sequence[Answer], given: Given) -> Judged:
    """Hold a file's answers against the champion's, problem by problem."""
    exam = answered_exam(terms.task)
    pairs = [
        exam.outcome(Duel(problem=problem, champion=old, challenger=new))
        for problem, old, new in zip(terms.problems, champion, given.answers, strict=True)
    ]
    won, lost = discordant(pairs)
    num_tokens = sum(answer.attempt.num_tokens for answer in given.answers)
    return Judged(
        figure=exam.measure(terms.task, terms.problems, given.answers).head,
        won=won,
        lost=lost,
        num=len(pairs),
        tokens_per_second=num_tokens / given.seconds if given.seconds else 0.0,
        checks=(
            _same_prompts(given.num_same_prompts, len(pairs)),
            no_harm_proportion("as good as the champion", pairs, terms.margin),
        ),
    )


def answers_in(given: Sequence[Answer | Likelihood]) -> tuple[Answer, ...]:
    """What an exam whose problems are answered has returned."""
    answers = tuple(each for each in given if isinstance(each, Answer))
    assert len(answers) == len(given), "the problems of this exam are answered"
    return answers


def _order(terms: Terms, file: Path) -> Order:
    order = Order(
        file=file,
        name=file.stem,
        num_parallel=terms.num_parallel,
        context=terms.asking.sampler.max_model_len,
        threads=terms.threads,
    )
    return within(order, facts_of(file), int(terms.memory * _CACHE_SHARE)) if terms.memory else order


def _num_same_prompts(terms: Terms, sampler: LlamaSampler, answers: Sequence[Answer]) -> int:
    """Problems of which the file's template and tokenizer make the tokens that the champion's make."""
    tokenizer, num = tokenizer_of(terms.champion.path), 0
    for problem, answer in zip(terms.problems, answers, strict=True):
        replies = answer.attempt.replies
        chats = [
            messages(terms.system, problem.turns[: turn + 1], replies=replies[:turn], shots=terms.shots)
            for turn in range(len(problem.turns))
        ]
        num += all(sampler.tokens(sampler.prompt(chat)) == prompt_ids(tokenizer, chat) for chat in chats)
    return num


def _same_prompts(num_same: int, num: int) -> Check:
    return Check(
        name="same prompts",
        observed=f"{num_same} of {num} prompts are the same tokens as the champion's",
        threshold="all of them",
        passed=num_same == num,
        value=num_same / num,
        limit=1.0,
        unit="share",
    )

"""Every record that crosses a stage, in the order a campaign makes them.

``Problem -> Attempt -> Verdict -> Evaluation -> Weakness -> TrainingSet -> Challenger ->
Decision -> RoundRecord``. All are frozen; all go to and from JSON through `to_json` and
`from_json`, which validate what they read, so a damaged file is an error and not a guess.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from typing import Any, Literal, NamedTuple, TypeVar

from pydantic import TypeAdapter

T = TypeVar("T")


@cache
def _adapter(cls: type) -> TypeAdapter:
    return TypeAdapter(cls)


def to_json(record: Any) -> str:
    """One line of JSON for any record of this module."""
    return _adapter(type(record)).dump_json(record).decode()  # type: ignore[arg-type]  # classes are hashable


def from_json(cls: type[T], line: str | bytes) -> T:
    """Read back what `to_json` wrote. Raises pydantic.ValidationError where the line is not a `cls`."""
    return _adapter(cls).validate_json(line)  # type: ignore[arg-type]


class Status(StrEnum):
    """What a verifier concludes. UNDECIDED is a statement about the verifier, never about the model."""

    PASS = "PASS"
    FAIL = "FAIL"
    UNDECIDED = "UNDECIDED"


class Finish(StrEnum):
    """Why the sampler stopped a completion."""

    STOP = "stop"
    LENGTH = "length"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One question with its gold answer, made by a task."""

    id: str
    """Content hash of task, premises and question: equal problems have equal ids."""
    task: str
    slice: str
    """Cell of the task's mixture, e.g. ``hops=3 negation=yes distractors=1``."""
    premises: tuple[str, ...]
    """In the order in which the prompt numbers them, from 1."""
    question: str
    """The statement to prove or refute."""
    prompt: str
    """What the model is shown, before the chat template."""
    gold_answer: str
    gold_text: str
    """A completion that the task's verifier passes; empty where the source has none."""
    notation: str
    """How premises, question and claims are written: a key of `engine.logic.NOTATIONS`."""
    split: str
    """Namespace of the draw (``warm_start``, ``probe``, ``gate``, ...). Splits share no problem."""
    origin: str
    """Generator and seed, or file and record."""
    story: str = ""
    """Of several problems whose prompts begin alike, the id of the first; empty where there is no other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One completion by one model."""

    problem_id: str
    model_id: str
    """Content hash of the weights that answered, as reported by the sampler itself."""
    sample: int
    """0 for greedy; 0..k-1 where k completions were drawn."""
    text: str
    num_prompt_tokens: int
    num_tokens: int
    finish: Finish


class Fault(StrEnum):
    """The first thing wrong with a completion; the kinds of failure that weaknesses are mined by."""

    NONE = "none"
    UNPARSED = "unparsed"
    """The completion does not match the grammar."""
    NO_ANSWER = "no_answer"
    """It ends without an answer line."""
    TOO_LONG = "too_long"
    UNKNOWN_SYMBOL = "unknown_symbol"
    """A claim uses a name that the problem does not have, or is not printed as it parses."""
    BAD_LINE_NUMBER = "bad_line_number"
    BAD_CITATION = "bad_citation"
    """A citation is missing, forward, doubled, superfluous, or into a closed sub-proof."""
    WRONG_RULE = "wrong_rule"
    """The named rule does not apply to the cited lines."""
    WRONG_CLAIM = "wrong_claim"
    """The rule applies but gives another claim."""
    WRONG_POLARITY = "wrong_polarity"
    """The rule gives the claim with its negation dropped or added."""
    NO_PROGRESS = "no_progress"
    """The claim was already there."""
    OPEN_ASSUMPTION = "open_assumption"
    UNSETTLED = "unsettled"
    """Every line is valid but the last claim does not settle the question as answered."""
    WRONG_ANSWER = "wrong_answer"
    VERIFIERS_DISAGREE = "verifiers_disagree"
    """One verifier accepts the proof and the other refutes it: UNDECIDED."""
    VERIFIER_LIMIT = "verifier_limit"
    """The checker ran out of time or memory, or died: UNDECIDED."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepVerdict:
    """One line of a proof."""

    number: int
    """Line number as written; premises come before it."""
    text: str
    valid: bool
    reason: str
    """Empty where valid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one verifier says of one attempt."""

    problem_id: str
    sample: int
    status: Status
    answer_right: bool
    proof_valid: bool
    answer: str
    """As written; empty where none was found."""
    steps: tuple[StepVerdict, ...]
    """The proof lines, without the answer line."""
    num_valid_steps: int
    """Distinct valid lines."""
    fault: Fault
    fault_step: int
    """1-based index of the proof line at fault, 0 where no single line is."""
    verifier: str
    reason: str
    """One readable sentence; empty where PASS."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A proportion and its two-sided 95 % interval."""

    rate: float
    low: float
    high: float
    num: int
    """Trials behind the rate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceScore:
    slice: str
    strict: Interval
    accuracy: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """One model on one draw of problems."""

    model_id: str
    suite: str
    """Digest of the problem ids in order."""
    accuracy: Interval
    """Share with the right answer: comparable with published figures."""
    strict: Interval
    """Share that PASS: right answer and wholly valid proof."""
    step_validity: float
    """Valid distinct lines over all proof lines, answer line apart."""
    step_validity_with_answer: float
    """The same with the answer line counted as a line, valid where right (as SOKRATES counts)."""
    num_undecided: int
    pass_at_k: Interval | None
    """Share of problems with at least one PASS among k samples; None for greedy."""
    k: int
    majority: Interval | None
    """Accuracy of the most frequent answer among k samples (self-consistency); None for greedy."""
    distinct_per_problem: float
    """Mean number of distinct completions per problem."""
    mean_tokens: float
    slices: tuple[SliceScore, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Weakness:
    """A slice in which one kind of failure is more frequent than elsewhere."""

    slice: str
    fault: Fault
    rate: float
    elsewhere: float
    """Rate of the same fault in all other slices."""
    low: float
    high: float
    p_adjusted: float
    """One-sided Fisher exact, Benjamini-Hochberg adjusted over all cells."""
    quota: int
    """Problems to be made for it in this round."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Closure:
    """Whether a weakness that a round was aimed at closed, on the gate's problems of its slice."""

    slice: str
    fault: Fault
    num: int
    """Problems of the slice that both answered."""
    before: int
    """Of them, those that the champion failed with this fault."""
    after: int
    """The same of the challenger."""
    num_undecided: int
    """Of either answer: a failure of neither model, and in `p` held against the challenger."""
    cured: int
    """Problems that the champion alone failed with this fault."""
    caught: int
    """Problems that the challenger alone failed with it, its undecided ones counted in."""
    p: float
    """One-sided exact sign test that the fault became rarer, from `cured` and `caught`."""
    closed: bool
    """True where that is shown; otherwise it is not shown, which is not the same as not closed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRow:
    """A prompt with the text to learn; `rejected` is empty for SFT rows.

    Without a prompt it is plain text, all of which is learnt but its first token.
    """

    problem_id: str
    prompt: str
    chosen: str
    rejected: str = ""
    system: str = ""
    ends: bool = True
    """False where the text was cut off: no end of turn is learnt after it."""
    story: str = ""
    """Rows of one story are learnt side by side."""

    @staticmethod
    def of(problem: Problem, chosen: str, *, system: str, rejected: str = "") -> "TrainingRow":
        return TrainingRow(
            problem_id=problem.id,
            prompt=problem.prompt,
            chosen=chosen,
            rejected=rejected,
            system=system,
            story=problem.story or problem.id,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Funnel:
    """Where sampled completions went. Every completion is counted in exactly one of the middle fields."""

    problems: int
    generated: int
    unparsed: int
    duplicate: int
    leaked: int
    undecided: int
    failed: int
    kept: int
    """Distinct PASS completions."""
    unsolved_problems: int
    trivial_problems: int
    """Problems on which every sample passed: for DPO no contrast, so no pair."""
    rows: int
    """Made of them for training: preference pairs, or verified proofs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSet:
    id: str
    """Content hash of the rows."""
    method: str
    """``sft``, ``rft`` or ``dpo``."""
    rows: tuple[TrainingRow, ...]
    num_rehearsal: int
    """How many of the rows, the last ones, are the untrained base's own text, on which the model is held to
    its parent. Each is gone over once, the others at every epoch."""
    funnel: Funnel | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenger:
    model_id: str
    path: str
    parent_id: str
    training_set_id: str
    method: str
    num_steps: int
    num_tokens: int
    """Non-padding tokens trained on, over all epochs."""
    tokens_per_second: float
    final_loss: float
    update_size: float
    """Norm of the change of all weights over the norm of the weights before."""
    reference: tuple[float, ...]
    """The trainer's own scores of `engine.models.liveness.TEXTS`, in nats; the sampler must agree."""
    seconds: float
    stopped_early: bool = False
    """By the loss on rows that were held out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRecord:
    """What one trial of a sweep came to."""

    number: int
    """0 is the campaign as it is."""
    values: dict[str, int | float | bool | str]
    """By dotted key, where they differ from the campaign."""
    status: Literal["finished", "stopped", "failed"]
    """``stopped`` by the scheduler, before its training was over."""
    reason: str = ""
    """Why it failed."""
    rungs: tuple[Evaluation, ...] = ()
    """On the selection split, the last after the whole training where it is finished."""
    challenger: Challenger | None = None
    """The last one trained; None where training has failed."""
    seconds: dict[str, float] = field(default_factory=dict)
    """By stage."""
    memory_mib: int = 0
    """Peak of a training worker."""


class TrainFault(StrEnum):
    """Named reasons for which training ends a round."""

    LOSS_EXPLODED = "loss_exploded"
    NAN_GRADIENT = "nan_gradient"
    OUT_OF_MEMORY = "out_of_memory"
    WORKER_LOST = "worker_lost"
    NOTHING_TO_LEARN = "nothing_to_learn"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainFailure:
    """Training that ended the round; the campaign goes on with the champion."""

    fault: TrainFault
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One interim analysis of the sequential test, cumulative."""

    num_problems: int
    wins: int
    """Problems that the challenger alone passed."""
    losses: int
    """Problems that the champion alone passed."""
    boundary: int | None
    """Smallest number of wins that rejects at this look; None where none can."""
    conditional_power: float
    spent: float
    """Level spent up to and including this look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One condition of acceptance, as shown to people."""

    name: str
    observed: str
    threshold: str
    passed: bool
    ran: bool = True
    """False where an earlier check had already refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    champion_id: str
    challenger_id: str
    level: float
    """Level committed before the first gate problem was drawn; 0 for a baseline round."""
    entropy: int
    """Seed of the gate's problems, drawn after the challenger was fixed."""
    looks: tuple[Look, ...]
    checks: tuple[Check, ...]
    accepted: bool
    reason: str
    """One readable sentence: the first failed check, or what was shown."""
    second_verifier: str
    """Which one confirmed every PASS here; ``none`` where a task has one verifier."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A problem answered by champion and challenger, for people to read."""

    problem: Problem
    before: Attempt
    before_verdict: Verdict
    after: Attempt
    after_verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundRecord:
    """What a round leaves behind; the report and the registry are made from these alone."""

    round: int
    """0 is the warm start."""
    champion_before: str
    champion_after: str
    challenger: Challenger | None
    """None where training failed."""
    failure: TrainFailure | None
    weaknesses: tuple[Weakness, ...]
    funnel: Funnel | None
    champion_probe: Evaluation | None
    """The champion on this round's fresh probe problems, greedy; None in round 0."""
    champion_gate: Evaluation | None
    challenger_gate: Evaluation | None
    """Both on the same gate problems, greedy."""
    champion_sampled: Evaluation | None
    challenger_sampled: Evaluation | None
    """Both on fresh problems with k samples (pass@k)."""
    decision: Decision
    samples: tuple[Sample, ...]
    seconds: dict[str, float]
    """By stage."""
    closures: tuple[Closure, ...] = ()
    """One for each weakness, in their order; empty where no gate problem was answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Where a campaign set out from."""

    champion: str
    epoch: int
    """Of the line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """The untrained base, before anything is trained."""

    few_shot: Evaluation
    """Greedy, with solved problems in the prompt."""
    sampled: Evaluation
    """k samples with the same prompt: pass@k and self-consistency."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SentinelScores:
    """One model on the sentinel suites; item by item, so that two models can be compared paired."""

    model_id: str
    nll: tuple[float, ...]
    """Summed negative log-likelihood of every English document, in nats."""
    num_tokens: tuple[int, ...]
    answered: tuple[bool, ...]
    """Of every instruction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Final:
    """The sealed problems, opened once after the last round: gains are quoted from here."""

    baseline: Evaluation
    """The line's frozen round-0 champion."""
    champion: Evaluation
    wins: int
    """Problems that the champion alone passed."""
    losses: int
    entropy: int
    """Seed of the problems, drawn when they were opened: until then nothing could be aimed at them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What a campaign came to."""

    run_id: str
    line: str
    champion: str
    rounds: int
    """Rounds judged after the warm start."""
    accepted: int
    refused: int
    stop_reason: str
    seconds: float
    ledgers_opened: int
    """Of the line, by all runs: every one brings its own chance of a false acceptance."""
    strict_base: float | None
    """Few-shot, on its own draw."""
    strict_baseline: float
    strict_champion: float
    """Both on the sealed problems."""
    report: str


class Score(NamedTuple):
    """Negative log-likelihood of a text's tokens after the first, in nats, and how many they are."""

    nll: float
    num_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An attempt and what the verifier says of it."""

    attempt: Attempt
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Champion and challenger on one problem."""

    problem: Problem
    champion: Answer
    challenger: Answer

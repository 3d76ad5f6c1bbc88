"""Every record that crosses a stage, in the order in which a campaign makes them.

``Problem -> Attempt -> Verdict -> Evaluation -> Weakness -> TrainingSet -> Challenger ->
Decision -> RoundRecord``. All are frozen. `to_json` writes them; `from_json` reads them back strictly: an
unknown key or a value of another type is an error, never a guess.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias, TypeVar

from pydantic import BeforeValidator, Field, PlainSerializer, TypeAdapter, ValidationError

T = TypeVar("T")
_KILOWATT_HOUR = 3.6e6
"""Joules."""
_NOT_FINITE = ("nan", "inf", "-inf")
AnyFloat = Annotated[
    float,
    PlainSerializer(lambda value: value if math.isfinite(value) else str(value), when_used="json"),
    BeforeValidator(lambda value: float(value) if value in _NOT_FINITE else value),
]
"""A number that may be NaN or infinite. JSON has no such numbers, so they are written as text."""


@cache
def _adapter(cls: type) -> TypeAdapter:
    return TypeAdapter(cls)


def to_json(record: Any) -> str:
    """One line of JSON for any record of this module."""
    return _adapter(type(record)).dump_json(record).decode()  # type: ignore[arg-type]  # classes are hashable


def from_json(cls: type[T], line: str | bytes) -> T:
    """Read back what `to_json` wrote.

    Raises pydantic.ValidationError where the line is not exactly a `cls`; `fault_in` says where.
    """
    return _adapter(cls).validate_json(line, strict=True, extra="forbid")  # type: ignore[arg-type]


def fault_in(error: ValidationError) -> str:
    """The first thing wrong with a record, with the field that it is in, for a message about its file."""
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "top level"
    return f"{where}: {first['msg']}"


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
class Theory:
    """Premises and a statement that they prove, refute, or leave open."""

    premises: tuple[str, ...]
    """In the order in which the prompt numbers them, from 1."""
    question: str
    """The statement to prove or refute."""
    notation: str
    """How premises, question and claims are written: a key of `engine.logic.NOTATIONS`."""
    answer: str
    """``True``, ``False`` or ``Unknown``; empty where it is not known."""
    kind: Literal["theory"] = "theory"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """Answers that are right."""

    accepted: tuple[str, ...]
    extra: dict[str, str] = field(default_factory=dict)
    """Anything else that a verifier of your own needs: options, a unit, test cases."""
    kind: Literal["reference"] = "reference"


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A text whose likelihood counts; nothing is asked."""

    text: str
    kind: Literal["passage"] = "passage"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recall:
    """What must and what must not be said, turn by turn."""

    expected: tuple[tuple[str, ...], ...]
    """For each turn the phrases that its reply must hold."""
    forbidden: tuple[tuple[str, ...], ...]
    """For each turn the phrases that its reply must not hold."""
    kind: Literal["recall"] = "recall"


Truth: TypeAlias = Annotated[Theory | Reference | Passage | Recall, Field(discriminator="kind")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What a task asks, with what is known to be true."""

    id: str
    """Content hash of the task and what it asks: equal problems have equal ids."""
    task: str
    slice: str
    """Cell of the task's mixture, e.g. ``hops=3 negation=yes``."""
    turns: tuple[str, ...]
    """What the user says, before the chat template: one turn for a question, several for a dialogue."""
    truth: Truth
    gold: tuple[str, ...]
    """A reply to each turn that together pass; empty where the source has none."""
    split: str
    """Namespace of the draw (``warm_start``, ``probe``, ``gate``, ...). Splits share no problem."""
    origin: str
    """Generator and seed, or file and record."""
    story: str = ""
    """What several problems have in common, such as the text that they are about: they are not independent,
    and their prompts may begin alike. Empty where a problem stands alone."""

    @property
    def text(self) -> str:
        """What a model reads of it: the passage, or the user's turns one after another."""
        return self.truth.text if isinstance(self.truth, Passage) else "\n".join(self.turns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One model's replies to one problem."""

    problem_id: str
    model_id: str
    """Content hash of the weights that answered, as reported by the sampler itself."""
    sample: int
    """0 for greedy; 0..k-1 where k completions were drawn."""
    replies: tuple[str, ...]
    """One reply for each turn of the problem."""
    num_prompt_tokens: int
    """Over all turns."""
    num_tokens: int
    """Generated, over all turns."""
    finish: Finish
    """Why the sampler stopped the last reply."""

    @property
    def text(self) -> str:
        """The last reply: the only one, where the problem is one question."""
        return self.replies[-1]


class Fault(StrEnum):
    """Failures that any verifier can find; others are names that a verifier declares in its ``FAULTS``.

    A fault is the first thing wrong with an attempt, and the kind of failure by which weaknesses are mined.
    """

    NONE = "none"
    UNPARSED = "unparsed"
    """The reply does not match the grammar."""
    NO_ANSWER = "no_answer"
    """The reply ends without an answer."""
    TOO_LONG = "too_long"
    WRONG_ANSWER = "wrong_answer"
    VERIFIERS_DISAGREE = "verifiers_disagree"
    """One verifier accepts the attempt and the other refutes it: UNDECIDED."""
    VERIFIER_LIMIT = "verifier_limit"
    """The verifier ran out of time or memory, or died: UNDECIDED."""
    VERIFIER_FAILED = "verifier_failed"
    """A user's own verifier raised an error, or gave what is no verdict: UNDECIDED."""


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
class ProofSteps:
    """The lines of a proof and what is wrong with them."""

    valid: bool
    """The lines prove what the answer says."""
    steps: tuple[StepVerdict, ...]
    """The proof lines, without the answer line."""
    num_valid: int
    """Distinct valid lines."""
    fault_step: int
    """1-based index of the line at fault, 0 where no single line is."""
    num_formulas: int = 0
    """How many of `steps`, the first of them, give the sentences of the problem and its question formulas: as
    many as were asked for, a missing one with an empty text. 0 where none was asked for."""
    consistent: bool = False
    """Of these formulas those of the sentences can be read and are found to hold together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One verifier's judgement of one attempt."""

    problem_id: str
    sample: int
    status: Status
    """PASS needs everything that the task demands, for a proof the right answer and every step."""
    right: bool
    """The answer is right, whatever else is wrong."""
    answer: str
    """As written; empty where none was found."""
    fault: str
    """A `Fault`, or a name that the verifier declares in its ``FAULTS``."""
    verifier: str
    reason: str
    """One readable sentence; empty where PASS."""
    grade: float | None = None
    """A continuous score, higher is better, where the verifier gives one."""
    proof: ProofSteps | None = None
    worlds: tuple[str, ...] = ()
    """Of an answer Unknown that passes two small worlds, for people: one in which the question holds, and one
    in which it does not. None where no small ones are found, or the verifier looks for none."""

    @property
    def steps(self) -> tuple[StepVerdict, ...]:
        """The lines that were checked one by one; none where the verifier does not read lines."""
        return self.proof.steps if self.proof else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An attempt and the verifier's verdict on it."""

    attempt: Attempt
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Likelihood:
    """How likely one model finds the text of a `Passage`, or what a row would teach it."""

    problem_id: str
    model_id: str
    nll: AnyFloat
    """Summed negative log-likelihood of the tokens after the first, in nats."""
    num_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Duel:
    """Champion and challenger on one problem."""

    problem: Problem
    champion: Answer | Likelihood
    challenger: Answer | Likelihood


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A proportion and its two-sided 95 % interval."""

    rate: float
    low: float
    high: float
    num: int
    """Trials behind the rate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One number about a model on a draw, as its task names it."""

    key: str
    title: str
    """For people: a few words."""
    value: Interval | float
    unit: Literal["share", "", "tokens", "nats"] = "share"
    """A share is shown in per cent; an empty unit is a plain number."""
    note: str = ""
    """What the figure counts, in a sentence."""
    better: Literal["higher", "lower"] = "higher"

    @property
    def number(self) -> float:
        """The value without its interval."""
        return self.value.rate if isinstance(self.value, Interval) else self.value


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceScore:
    """The figures with an interval on the problems of one slice."""

    slice: str
    shares: dict[str, Interval]
    """By the key of the figure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """One model on one draw of problems."""

    model_id: str
    suite: str
    """Digest of the problem ids in order."""
    k: int
    """Samples of each problem; 1 is greedy."""
    num_problems: int
    num_undecided: int
    headline: str
    """Key of the figure that speaks for the whole."""
    figures: tuple[Figure, ...]
    slices: tuple[SliceScore, ...]
    faults: dict[str, int] = field(default_factory=dict)
    """How many answers had which fault, the most frequent first; empty in records of earlier versions."""

    def figure(self, key: str) -> Figure:
        """The figure of a key. Raises KeyError where the task does not name it."""
        for figure in self.figures:
            if figure.key == key:
                return figure
        raise KeyError(key)

    @property
    def head(self) -> Figure:
        """The headline's figure."""
        return self.figure(self.headline)

    @property
    def score(self) -> float:
        """The headline as a number of which more is better."""
        return self.head.number if self.head.better == "higher" else -self.head.number


Who = Literal["base", "champion", "working", "challenger"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """An evaluation with what was measured, and where."""

    who: Who
    """``working`` is the model that a round started from, where that is another than the champion."""
    where: str
    """``probe``, ``gate``, ``sampled``, ``few_shot``, ``carry`` or a name of the loop's own."""
    evaluation: Evaluation


@dataclass(frozen=True, slots=True, kw_only=True)
class Weakness:
    """A slice in which one kind of failure is more frequent than elsewhere."""

    slice: str
    fault: str
    rate: float
    elsewhere: float
    """Rate of the same fault in all other slices."""
    low: float
    high: float
    p_adjusted: float
    """One-sided Fisher exact, Benjamini-Hochberg adjusted over all cells."""
    quota: int
    """Problems to be made for it in this round."""
    signal: Literal["failure", "likelihood"] = "failure"
    """The measure on which the slice is weak: verified failures, or text that is unlikely to the model."""
    limit: float | None = None
    """Perplexity above which a passage counts as unlikely; None where the signal is verified failure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A slice that was found among problems of a task that names none."""

    name: str
    """Its most typical words."""
    centre: tuple[float, ...]
    """Mean of the embeddings of its problems."""
    places: tuple[int, ...]
    """Of its problems, among all those that clusters were looked for in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Closure:
    """Whether a weakness that a round aimed at closed, on fresh problems of its slice.

    A model fails a passage where its perplexity is above the weakness's limit.
    """

    slice: str
    fault: str
    num: int
    """Problems of the slice that both answered, or passages that both read."""
    before: int
    """Problems that the champion failed with this fault."""
    after: int
    """Problems that the challenger failed with this fault."""
    num_undecided: int
    """Problems on which either answer is undecided, or passages of which either likelihood is not finite: no
    failure of a model, but `p` counts it against the challenger."""
    cured: int
    """Problems that the champion alone failed with this fault."""
    caught: int
    """Problems that the challenger alone failed with this fault, or left undecided."""
    p: float
    """One-sided exact sign test that the fault became rarer, from `cured` and `caught`."""
    closed: bool
    """True where this is shown. False means not shown, which is not the same as not closed."""
    at_gate: bool = True
    """Whether the problems are the gate's, in its mixture; else they were drawn for this, of the slice alone,
    after the challenger was fixed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One message of a chat."""

    role: Literal["system", "user", "assistant"]
    text: str


class Role(StrEnum):
    """How training uses a row."""

    LEARN = "learn"
    """The text is learnt, at every epoch."""
    HOLD = "hold"
    """The untrained base's own text: the model is held to its parent on it, and goes over it once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRow:
    """A chat with the reply to learn; `rejected` is empty but for preference pairs.

    Without a chat the row is plain text, all of which is learnt but its first token.
    """

    problem_id: str
    chat: tuple[Turn, ...]
    """Ends with the user's turn that `chosen` replies to."""
    chosen: str
    rejected: str = ""
    weight: float = 1.0
    """Multiplies the row's part of the loss, and so of the gradient."""
    role: Role = Role.LEARN
    ends: bool = True
    """False where the text was cut off: no end of turn is learnt after it."""
    story: str = ""
    """Rows of one story are learnt side by side."""
    cluster: str = ""
    """Rows of one cluster, such as near twins, are all learnt or all held back for validation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Station:
    """One step from what was sampled to what is learnt."""

    name: str
    num_in: int
    num_out: int
    why: str
    """What the step keeps, or why it drops the rest, in a few words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Funnel:
    """The way from sampled completions to rows, station by station."""

    stations: tuple[Station, ...]

    def station(self, name: str) -> Station:
        """Raises KeyError where there is none of this name."""
        for station in self.stations:
            if station.name == name:
                return station
        raise KeyError(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSet:
    """The rows of one training."""

    id: str
    """Content hash of the rows."""
    rows: tuple[TrainingRow, ...]
    funnel: Funnel | None

    @staticmethod
    def of(rows: Sequence[TrainingRow], funnel: Funnel | None = None) -> "TrainingSet":
        """The set of these rows, named by their content."""
        # Sets without clusters keep the ids that they had before rows could name one. No text holds such a
        # key, because quotes in it are escaped.
        said = [to_json(row).replace(',"cluster":""', "") for row in rows]
        digest = hashlib.sha256("\n".join(said).encode()).hexdigest()[:16]
        return TrainingSet(id=digest, rows=tuple(rows), funnel=funnel)

    @property
    def num_held(self) -> int:
        """Rows on which the model is held to its parent."""
        return sum(row.role is Role.HOLD for row in self.rows)


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
    """True where the loss on rows held out ended the training before its last step."""
    not_learnt: tuple[str, ...] = ()
    """Ids of the problems whose rows were held out for that loss, or too long."""


class TrainFault(StrEnum):
    """Named reasons for which training ends a round."""

    LOSS_EXPLODED = "loss_exploded"
    NAN_GRADIENT = "nan_gradient"
    OUT_OF_MEMORY = "out_of_memory"
    WORKER_LOST = "worker_lost"
    NOTHING_TO_LEARN = "nothing_to_learn"
    RAISED = "raised"
    """A worker raised what it would raise again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainFailure:
    """Training that ended the round; the next one starts from the same model."""

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
    """One condition of acceptance: a number with its limit and unit, and sentences for people."""

    name: str
    observed: str
    threshold: str
    passed: bool
    ran: bool = True
    """False where an earlier check had already refused."""
    value: float | None = None
    """The number compared with `limit`; None where the check is not about a number, or did not run."""
    limit: float | None = None
    """None where no number would have passed."""
    unit: str = ""
    """``wins``, ``share``, ``ratio`` or ``nats a token``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """An item of a sentinel suite that one model does right and a later one does not."""

    id: str
    asked: str
    """The request, or the beginning of the document."""
    before: str
    """The reply, or the document's nats a token; empty where the reply was not kept."""
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What a sentinel suite shows of two models beside its check, which alone decides."""

    suite: str
    before_id: str
    after_id: str
    broken: tuple[str, ...]
    """Ids of requests that only the first model answers, or of documents that became less likely, the worst
    first."""
    num_mended: int
    """Requests that only the second model answers, or documents that became likelier."""
    examples: tuple[Broken, ...]
    """A few of what is broken."""
    before: tuple[Figure, ...] = ()
    """How varied the first model's replies are; empty where no replies were kept."""
    after: tuple[Figure, ...] = ()


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
    """The verifier that confirmed every PASS here; ``none`` where the task has one verifier."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """An item that a loop adds to the report of its rounds."""

    title: str
    kind: Literal["bars", "table", "curve", "heat", "text", "reliability"]
    rows: tuple[tuple[str, ...], ...]
    """A table and a heat map begin with their head; each row of bars or of a curve is a label and a number. A
    cell of a heat map is ``passed/asked``, such as ``3/4``, or empty. A row of a reliability diagram is whose
    chance it is, the mean of these chances in one bin, and how many of them came true, as ``3/4``."""
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A figure and its two-sided 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ReliabilityBin:
    """Steps whose chances lie in the same tenth."""

    predicted: float
    """Mean of the chances."""
    num_valid: int
    num: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """How good the chances are that one predictor gives steps which it has not learnt from."""

    name: str
    brier: Estimate
    """Mean squared difference from the outcome: 0 is perfect, and less is better."""
    ece: Estimate
    """Expected calibration error over ten bins of equal width."""
    bins: tuple[ReliabilityBin, ...]
    """Those that hold a step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Foresight:
    """The predictor of one round: how well it knows beforehand which steps are valid."""

    model_id: str
    """The model whose hidden states it reads."""
    num_steps: int
    num_groups: int
    """Problems that the steps are about; those of one story count once."""
    num_valid: int
    num_tokens: int
    """Tokens that were read for the hidden states."""
    scores: tuple[Calibration, ...]
    """Of the predictor first, then of the baselines; empty where there was too little to learn from."""
    advantages: tuple[Estimate, ...]
    """How much lower its Brier score is than that of each baseline, in their order."""
    chances: dict[str, float]
    """By the id of a problem the chance that a further reply to it passes, from those that are there."""
    further: Estimate | None
    """How much lower the Brier score of these chances is than by the verdicts on the replies alone; None
    where no problem has two replies, or all of them came out alike."""
    missing: str = ""
    """Why there is no predictor; empty where there is one."""

    @property
    def is_better(self) -> bool:
        """Whether it is shown to foresee steps better than baselines, and replies better than verdicts."""
        gains = (*self.advantages, self.further)
        return bool(self.advantages) and all(each is not None and each.low > 0 for each in gains)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """A value that an attribute of one person has, such as the year of birth."""

    subject: str
    """The person's full name."""
    attribute: str
    """A key of the attributes in use, such as ``birth_year``."""
    value: str
    """As it is said in an answer: ``1987``, ``3 May 1987``, ``Port Lenn``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialogue:
    """A talk of one day, in which facts may come up."""

    id: str
    day: int
    """1 is the first day."""
    turns: tuple[Turn, ...]
    person: str = ""
    """Whom it is with, where its source says so: the name that `I` stands for in that person's turns."""
    source: str = ""
    """Generator and seed, or file and line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A fact as somebody stated it, true or not, with the place where it was said."""

    fact: Fact
    dialogue: str
    """Id of the dialogue."""
    turn: int
    """Index of the turn that completes the statement, from 0."""
    text: str
    """The words that state it."""
    found_by: Literal["rule", "model"]


class Disposal(StrEnum):
    """What becomes of a statement."""

    STORE = "STORE"
    CORRECT = "CORRECT"
    """It replaces what was held."""
    REJECT = "REJECT"
    UNDECIDED = "UNDECIDED"
    """It cannot be judged: it is kept aside, and never learnt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """The decision about one statement, with its reason."""

    statement: Statement
    disposal: Disposal
    importance: int
    """1 to 10."""
    reason: str
    """One readable sentence."""
    memory: str = ""
    """Id of the memory that it made, or that it repeats or contradicts; empty where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """A fact that is held, with its origin."""

    id: str
    """Content hash of the fact, and of how many memories held it before, where it came back."""
    fact: Fact
    importance: int
    """1 to 10."""
    day: int
    """The day on which it was stored."""
    dialogue: str
    turn: int
    supersedes: str = ""
    """Id of the memory that it replaced; empty where it is the first."""
    superseded_by: str = ""
    """Id of the memory that replaced it; empty while it holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """What one night taught. The line's history says which model came of it, by run and round."""

    run_id: str
    round: int
    day: int
    """The day before it."""
    learnt: tuple[str, ...]
    """Ids of memories that the round's parent had not learnt before."""
    replayed: tuple[str, ...]
    """Ids of memories that it had."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lived:
    """What a line has been told, and what its nights taught: it outlives the run that was told."""

    days: int = 0
    memories: tuple[Memory, ...] = ()
    """All that are held and all that were superseded."""
    nights: tuple[Night, ...] = ()
    """Those of refused models too."""


class End(StrEnum):
    """The end of a round after the warm start."""

    PROVEN = "proven"
    """The champion moved: better than the last one, as the gate's test showed."""
    CARRIED = "carried"
    """The challenger looks better than the model that it was trained from; the next round starts from it."""
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """What became of a working model at the end of a round in which its trial was due."""

    working_id: str
    readiness: Check
    """Working model against champion, on the round's problems."""
    trial: Decision | None
    """The gate's, against the champion; None where none was held."""
    untried: str = ""
    """Why a working model that looked ready was not tried; empty where it was, or did not."""
    returned: str = ""
    """Why the working model was given up; empty where it was not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a round or a run took of the machine: every committed stage once, over all sessions.

    What an interruption undid is not in it, as it is not in the stages' seconds.
    """

    num_cpus: int
    """Cores that the plan reserves."""
    num_gpus: int
    driver_mib: int | None
    """Most memory that the driver's process held; None where the system does not say."""
    worker_mib: int | None
    """Most memory of the first train worker: of its GPU, or of its process after a step; None where nothing
    was trained."""
    cpu_joules: float | None
    """Energy of the processors of the driver's machine, whoever used them; None where it was not measured
    in every stage. Nothing is estimated."""
    gpu_joules: float | None
    """The same of that machine's GPUs."""
    cost: float | None
    """By the config's `price`; None where it gives none."""
    currency: str = ""

    def shown(self) -> dict[str, str]:
        """The figures for people, by what they are of."""
        memory = {"driver memory": self.driver_mib, "worker memory": self.worker_mib}
        energy = {"processor energy": self.cpu_joules}
        if self.num_gpus:
            energy["GPU energy"] = self.gpu_joules
        cost = "no price given" if self.cost is None else f"{self.cost:,.2f} {self.currency}"
        return {
            **{what: "–" if it is None else f"{it:,} MiB" for what, it in memory.items()},
            **{
                what: "not measured" if it is None else f"{it:,.0f} J ({it / _KILOWATT_HOUR:.3g} kWh)"
                for what, it in energy.items()
            },
            "cost": cost,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundRecord:
    """The record of a round; the report and the registry are made from these records alone."""

    round: int
    """0 is the warm start."""
    champion_before: str
    champion_after: str
    challenger: Challenger | None
    """None where training failed."""
    failure: TrainFailure | None
    weaknesses: tuple[Weakness, ...]
    funnel: Funnel | None
    measured: tuple[Measured, ...]
    """The parent on the round's probe, two models on the same gate problems (greedy), and both on fresh
    problems with k samples. An evaluation that was not made is left out."""
    decision: Decision
    """About the challenger, against the model that it was trained from."""
    samples: tuple[Duel, ...]
    """A few problems of the gate, for people to read."""
    seconds: dict[str, float]
    """By stage."""
    closures: tuple[Closure, ...] = ()
    """One for each weakness, in their order; empty where no gate problem was answered."""
    panels: tuple[Panel, ...] = ()
    carries: bool = False
    """Whether `decision` is about carrying on what looks better; else it can move the champion."""
    working_before: str = ""
    """The model that the round started from; empty where that is the champion."""
    working_after: str = ""
    """The model that the next round starts from; empty where that is the champion."""
    due: Due | None = None
    """None where no trial was due."""
    watched: tuple[Watched, ...] = ()
    """The sentinel suites that were asked, against the line's frozen first champion, in round 0 against the
    base; those of a round's challenger before those of a trial."""
    usage: Usage | None = None
    """None in records of earlier versions."""

    @property
    def parent(self) -> str:
        """Id of the model that the round started from: its challenger's parent."""
        return self.working_before or self.champion_before

    @property
    def trial(self) -> Decision | None:
        """The decision that could move the champion; None where none was made."""
        if not self.carries:
            return self.decision
        return self.due.trial if self.due else None

    @property
    def proven(self) -> bool:
        """Whether the champion was promoted in this round."""
        return self.trial is not None and self.trial.accepted

    @property
    def end(self) -> End:
        """The end of a round after the warm start."""
        if self.proven:
            return End.PROVEN
        kept = self.carries and self.decision.accepted and not (self.due and self.due.returned)
        return End.CARRIED if kept else End.DROPPED

    @property
    def num_moves(self) -> int:
        """How often the round moved the line's champion or working model."""
        carried = self.carries and self.decision.accepted
        return carried + self.proven + bool(self.due and self.due.returned)

    def evaluation(self, who: str, where: str) -> Evaluation | None:
        """One model's evaluation at one place; None where it was not measured."""
        return next(
            (each.evaluation for each in self.measured if (each.who, each.where) == (who, where)), None
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Where the line stood when a campaign began."""

    champion: str
    epoch: int
    working: str = ""
    """The model that was carried beside the champion, where the campaign starts from it; else empty."""
    refusals: int = 0
    """Trials that had refused that model's line."""
    touched: tuple[str, ...] = ()
    """Ids of the problems that it has to do with: none of them is drawn again."""
    written: tuple[str, ...] = ()
    """Problems that models wrote themselves on the way to it: none that leaks from them is judged on."""
    lived: Lived = Lived()
    """What the line had been told by then; nothing where the campaign starts from the base."""
    system_in_turn: bool = False
    """Whether the chat template takes no system message, so that its text is in the first user's turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """The untrained base, before anything is trained."""

    measured: tuple[Measured, ...]
    """``few_shot``: greedy, with solved problems in the prompt. ``sampled``: k samples of the same prompt."""


class Score(NamedTuple):
    """Negative log-likelihood of a text's tokens after the first, or of a reply's, in nats, and how many they
    are; a reply ends with the end of turn."""

    nll: float
    num_tokens: int
    model_id: str = ""
    """Content hash of the weights that scored the text, as reported by the sampler itself."""
    greedy: bool = False
    """Whether each of these tokens is the likeliest in its place, so that greedy decoding writes them."""


class Tokens(NamedTuple):
    """Text that is tokens already, because another program's measure decides where it is cut."""

    given: tuple[int, ...]
    """What is to be continued, or stands before the tokens whose likelihood is asked for."""
    scored: tuple[int, ...] = ()
    """The tokens whose likelihood is asked for; none where `given` is to be continued."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SentinelScores:
    """One model on one sentinel suite; item by item, so that two models can be compared paired."""

    model_id: str
    suite: str
    scores: tuple[AnyFloat, ...]
    """One for each document, its summed negative log-likelihood in nats; or one for each request, 1 if it was
    answered and else 0."""
    num_tokens: tuple[int, ...] = ()
    """Tokens of each document; empty for requests."""
    replies: tuple[str, ...] = ()
    """What was answered to each request; empty for documents, and in files of earlier versions."""
    rows: str = ""
    """Hash of what was asked; empty outside of a trial, and in files of earlier versions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Final:
    """First and last champion on the sealed problems, which are opened once, after the last round. Gains are
    quoted from here."""

    baseline: Evaluation
    """The line's frozen round-0 champion."""
    champion: Evaluation
    wins: int
    """Problems that the champion alone passed."""
    losses: int
    entropy: int
    """Seed of the problems, drawn when they were opened, so that nothing could be aimed at them before."""
    panels: tuple[Panel, ...] = ()
    """What the loop shows of the answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The outcome of a campaign."""

    run_id: str
    line: str
    champion: str
    rounds: int
    """Rounds judged after the warm start."""
    accepted: int
    """Rounds that moved the champion."""
    refused: int
    """Rounds that moved nothing."""
    stop_reason: str
    seconds: float
    ledgers_opened: int
    """Ledgers of the line, opened by all runs: each has its own chance of a false acceptance."""
    headline: str
    """Title of the figure that the next three are of; empty where the sealed problems were not judged."""
    base: float | None
    """The untrained base, few-shot, on its own draw."""
    baseline: float | None
    """The first champion on the sealed problems; None where they were not judged."""
    best: float | None
    """The last champion on the sealed problems; None where they were not judged."""
    report: str
    carried: int = 0
    """Rounds whose challenger looks better than the model it was trained from, and no more."""
    working: str = ""
    """The model that looks better than the champion and is not proven to be; empty where there is none."""
    usage: Usage | None = None
    """Of the whole run; None in summaries of earlier versions."""
    not_judged: str = ""
    """Why the answers to the sealed problems could not be judged; empty where they were."""

"""Settings of a task: one leaf for each kind of source, and the union of them that a config's ``task`` holds.

A key of another kind is an error. A task of a user's own is the path of a Python file (`engine/tasks`).
"""

from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import AfterValidator, Field, Tag, model_validator

from configs.base import OWN, Leaf, Share, by
from configs.curation import Curation
from configs.scorers import AnyScorer, Exact, Find, Semantic


class Task(Leaf):
    """A task that makes its problems: a built-in one, or a file of a user's own."""

    name: str = "prontoqa"
    """A name from `engine/tasks`, or the path of a Python file, relative to the current directory."""
    slices: dict[str, list[int | bool | str]] = {}
    """Values of each dimension; the suite's mixture is their cross product. Empty: the task's own default."""
    weights: dict[str, Annotated[float, Field(gt=0)]] = {}
    """How frequent slices are, where not all are alike: a key such as ``hops=3 negation=yes`` multiplies the
    weight of every slice that has all of its values. A slice that no key names has weight 1."""


class Shares(Leaf):
    """Shares of the records, by their story or text; a record with a ``split`` of its own keeps it."""

    train: Annotated[float, Field(ge=0, le=1)] = 0.4
    """For the warm start and what a loop samples."""
    probe: Annotated[float, Field(ge=0, le=1)] = 0.15
    """For figures that steer a campaign, and for what is carried: used again and again."""
    gate: Annotated[float, Field(ge=0, le=1)] = 0.35
    """For the tests that move the champion: each takes records that nothing before has touched."""
    sealed: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Opened once, after the last round."""


def _whole(shares: Shares) -> Shares:
    if abs(shares.train + shares.probe + shares.gate + shares.sealed - 1) > 1e-6:
        total = shares.train + shares.probe + shares.gate + shares.sealed
        raise ValueError(f"train, probe, gate and sealed must sum to 1, got {total:g}")
    return shares


class RecordsTask(Leaf):
    """A task whose problems are the lines of a user's own file."""

    name: Literal["records"] = "records"
    file: Annotated[str, Field(min_length=1)] | Annotated[list[str], Field(min_length=1)]
    """Path of a JSONL file, or several, relative to the current directory."""
    prompt: str = "prompt"
    """The field that holds the question; a record may hold ``messages`` in its place."""
    answer: str = "answer"
    """The field that holds the answer, or a list of accepted ones."""
    reply: str | None = None
    """The field that holds the reply to learn in the warm start; None: the answer as it stands."""
    gold: Find = "whole"
    """Where the accepted answer stands in the answer field."""
    scorer: AnyScorer = Exact()
    """How a reply is judged: a name, a mapping with a name and settings, or ``file.py:function``."""
    shares: Annotated[Shares, AfterValidator(_whole)] = Shares()
    per_test: bool = False
    """``true``: gate tests may judge on records of earlier tests. What is claimed then holds test by test,
    not over the line, and every decision says so."""


class DomainTask(Leaf):
    """A task of curated examples: what `ratchet curate` has divided into sets."""

    name: Literal["domain"] = "domain"
    directory: Annotated[str, Field(min_length=1)]
    """Path of the curated directory, relative to the current directory."""
    files: list[Annotated[str, Field(min_length=1)]] = []
    """Paths of JSONL files that are curated into the directory before a run begins; what was read before is
    not read again. Without any, the directory is taken as it is."""
    curation: Curation = Curation()
    """How `files` are curated: the settings of `ratchet curate`."""
    scorer: AnyScorer = Semantic()
    """How a reply is judged: a name, a mapping with a name and settings, or ``file.py:function``."""
    exam: Literal["verdicts", "preference"] = "verdicts"
    """``preference``: a judge compares the replies of two models (`gate.judge`), and the scorer's verdicts
    stand beside."""
    sealed: Annotated[float, Field(gt=0, lt=1)] = 0.25
    """Share of the set ``test`` that is opened once, after the last round; the gate's tests take the rest."""
    per_test: bool = False
    """``true``: gate tests may judge on examples of earlier tests; see the task ``records``."""


class TextTask(Leaf):
    """A task of plain documents, cut into passages whose likelihood counts."""

    name: Literal["text"] = "text"
    files: Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)]
    """Paths or patterns of .txt, .md and JSONL files, relative to the current directory. In JSONL each
    ``text`` is a document. ``package:NAME/FILE`` is a file of an installed Python package."""
    words: Annotated[int, Field(ge=20, le=2_000)] = 120
    """Most words of a passage."""
    divide: Literal["documents", "passages"] = "documents"
    """What goes to one part as a whole. ``passages`` is for a single long text: a gain is then shown for the
    rest of that text, not for other texts."""
    shares: Annotated[Shares, AfterValidator(_whole)] = Shares()
    per_test: bool = False
    """As in task `records`: ``true`` lets gate tests judge on passages of earlier tests."""


class GymDataset(Leaf):
    """A dataset of reasoning-gym with its mixture; ``python -m engine.gym NAME`` shows its parameters."""

    slices: dict[str, list[int | bool | float | str]] = {}
    """Parameters with the values that make up the mixture, which is their cross product. A name ``x`` without
    a parameter of its own sets both ``min_x`` and ``max_x``."""
    settings: dict[str, Any] = {}
    """Parameters, named as in `slices`, that have one value; others keep reasoning-gym's defaults."""


class GymTask(GymDataset):
    """Tasks of reasoning-gym, which generates problems without end and scores the answers."""

    name: Literal["gym"] = "gym"
    dataset: str | None = None
    """The one dataset that `slices` and `settings` are of."""
    datasets: dict[str, GymDataset] = {}
    """Several, each with its own; all their slices together are the mixture."""
    reply: Literal["whole", "tags"] = "whole"
    """What of a reply is the answer: all of it, or what stands between <answer> and </answer>."""

    @model_validator(mode="after")
    def _names_datasets_once(self) -> Self:
        if bool(self.dataset) == bool(self.datasets):
            got = "both" if self.dataset else "neither"
            raise ValueError(f"gym needs either `dataset: NAME` or `datasets: {{NAME: …}}`, got {got}")
        if self.datasets and (self.slices or self.settings):
            raise ValueError("with `datasets`, slices and settings belong to each of them")
        return self


GuardName = Literal["old-facts", "corrections", "interference", "unknown"]
"""What a night must not cost: see `engine/tasks/people_guards.py`."""


class PeopleTask(Leaf):
    """Facts about people, told in talks day by day: invented ones without end, or a user's own."""

    name: Literal["people"] = "people"
    seed: int = 0
    """Which invented people there are, and what is true of them."""
    people_a_day: Annotated[int, Field(ge=2, le=500)] = 8
    """Invented people who are told of for the first time on each day."""
    facts_a_person: Annotated[int, Field(ge=1, le=12)] = 5
    """What is told of each of them."""
    margins: dict[GuardName, Share] = {}
    """Largest tolerated drops of what a night must not cost, by a guard's name; 0.1 for the others. The fewer
    facts were told before, the larger is the least drop that can be excluded: `ratchet doctor` shows it."""
    dialogues: list[Annotated[str, Field(min_length=1)]] = []
    """Paths of JSONL files with talks of a user's own, relative to the current directory; without any, people
    are invented."""
    people: str | None = None
    """Path of a YAML file with what is true of the people in `dialogues`."""
    templates: str | None = None
    """Path of a YAML file with questions and answers about them, and where their facts are found."""

    @model_validator(mode="after")
    def _has_all_files_or_none(self) -> Self:
        if bool(self.dialogues) != bool(self.people) or (self.templates and not self.people):
            raise ValueError(
                "people of your own need `people` and `dialogues`, and may have `templates`; without any of "
                "them they are invented"
            )
        return self


class Generated(Leaf):
    """The mixture of one of several tasks."""

    slices: dict[str, list[int | bool | str]] = {}
    """As in `Task`."""
    weights: dict[str, Annotated[float, Field(gt=0)]] = {}
    """As in `Task`."""


class MixtureTask(Leaf):
    """Several tasks that make problems about proofs, each with an equal share."""

    name: Literal["mixture"] = "mixture"
    tasks: Annotated[dict[str, Generated], Field(min_length=1)]
    """By name: built-in ones, or paths of Python files."""


class FolioTask(Leaf):
    """Stories with formulas and questions about them, in FOLIO's or ProverQA's layout."""

    name: Literal["folio"] = "folio"
    file: Annotated[str, Field(min_length=1)] | Annotated[list[str], Field(min_length=1)]
    """Path of a JSON or JSONL file, or several, relative to the current directory. Their stories are divided
    among the parts."""
    sealed: str | None = None
    """Path of a file whose stories are all opened once, after the last round."""
    form: Literal["formal", "english"] = "formal"
    """``formal`` shows each sentence with its formula, and the model proves. ``english`` shows sentences
    alone: the model formalizes each, and then proves from its own formulas."""
    shares: Annotated[Shares, AfterValidator(_whole)] = Shares()
    per_test: bool = False
    """As in task `records`: ``true`` lets gate tests judge on stories of earlier tests."""


AnyTask: TypeAlias = Annotated[
    Annotated[Task, Tag("prontoqa")]
    | Annotated[Task, Tag("proofwriter")]
    | Annotated[Task, Tag("formal")]
    | Annotated[Task, Tag(OWN)]
    | Annotated[RecordsTask, Tag("records")]
    | Annotated[GymTask, Tag("gym")]
    | Annotated[TextTask, Tag("text")]
    | Annotated[DomainTask, Tag("domain")]
    | Annotated[PeopleTask, Tag("people")]
    | Annotated[FolioTask, Tag("folio")]
    | Annotated[MixtureTask, Tag("mixture")],
    by("name", "prontoqa"),
]


def how_to_use(file: str) -> str:
    """The sentence for a file of data that is given where a task or a config is wanted."""
    if file.endswith(TEXT_FILES):
        return (
            f"{file} holds text: a config names it, `task: {{name: text, files: [{file}]}}`; "
            "configs/error-driven-text.yaml is such a config"
        )
    return (
        f"{file} holds records: a config names it, `task: {{name: records, file: {file}}}`; "
        "configs/records.yaml is such a config, and `ratchet data check` looks through the file"
    )


RECORD_FILES = (".jsonl", ".ndjson")
"""Ends of names of files that hold records."""
TEXT_FILES = (".txt", ".md")
"""Ends of names of files that hold plain text."""

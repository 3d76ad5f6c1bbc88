"""`ratchet data check`: what a campaign would stumble over in a file of records, before it runs.

    ratchet data check my.jsonl scorer=numeric

A finding with ``!!`` must be mended. The others are figures to look at.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from configs.load import ConfigError, load, load_from
from configs.schema import Config, Gate, Sampler, Verify
from configs.tasks import RecordsTask
from engine.curate.near import NearPair, near_duplicates
from engine.errors import Mistake
from engine.preflight.data_findings import (
    of_gate,
    of_lines,
    of_near,
    of_parts,
    of_repeats,
    of_scorer,
    of_sentinels,
    places_of,
)
from engine.preflight.doctor import Finding
from engine.preflight.lengths import lengths_of
from engine.preflight.self_check import check_scorer
from engine.records import Problem, Verdict
from engine.tasks import load_task
from engine.tasks.fixed import Fixed
from engine.tasks.lines import PARTS, SENTINEL, Line
from engine.tasks.records import Gathered, gather, id_of, problem_of, scorer_settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What was found in a file of records."""

    sound: bool
    """False where something must be mended."""
    num_records: int
    """Different ones."""
    findings: tuple[Finding, ...]
    faults: tuple[dict[str, str | int], ...]
    """Lines that are no records, or contradict others: file, line, reason."""
    repeats: tuple[tuple[str, str], ...]
    """Places of records that repeat an earlier one, and of that."""
    near: tuple[tuple[str, str, float], ...]
    """Places of near duplicates, with their similarity."""
    leaks: tuple[tuple[str, str], ...]
    """Those of them that are learnt and judged on."""
    refused: tuple[dict[str, str], ...]
    """Gold replies that the scorer does not pass: place, reply, reason."""
    let_through: tuple[dict[str, str], ...]
    """Replies of other records that it passes: place, reply."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is checked, and against what."""

    task: RecordsTask
    gate: Gate
    sampler: Sampler
    verify: Verify
    config: Config | None = None
    """None where only files were named."""


def asked_of(arguments: Sequence[str]) -> Asked:
    """Files of records with keys of their task, such as ``scorer=numeric``; or a config with its overrides.

    Raises ConfigError.
    """
    files = [each for each in arguments if "=" not in each]
    overrides = [each for each in arguments if "=" in each]
    if not files:
        raise ConfigError(
            "`ratchet data check` takes a file of records, or a config that names one; got none"
        )
    if any(Path(file).suffix in (".yaml", ".yml") for file in files):
        if len(files) > 1:
            raise ConfigError(f"one config is checked at a time, got {' and '.join(files)}")
        config = load(files[0], overrides)
        if not isinstance(config.task, RecordsTask):
            raise ConfigError(f"{files[0]}: task.name must be records, got {config.task.name}")
        return Asked(
            task=config.task,
            gate=config.gate,
            sampler=config.sampler,
            verify=config.verify,
            config=config,
        )
    tree = {"name": "records", "file": list(dict.fromkeys(files))}
    task = load_from(RecordsTask, tree, overrides, "task")
    for file in files:
        if not Path(file).exists() or Path(file).is_dir():
            what = "is a directory" if Path(file).is_dir() else "does not exist"
            raise ConfigError(f"{file} {what}: `ratchet data check` takes files of records, or a config")
    return Asked(task=task, gate=Gate(), sampler=Sampler(), verify=Verify())


def tokenizer_of(model: Path | None, home: Path) -> Path | None:
    """The tokenizer of a model's directory; else that of the embedded model, where it has been fetched.

    Raises ConfigError for a directory without one.
    """
    if model is None:
        embedded = home / "models" / "smollm2-135m-instruct" / "tokenizer.json"
        return embedded if embedded.is_file() else None
    if not (file := model / "tokenizer.json").is_file():
        raise ConfigError(f"--model {model} must be a directory with a tokenizer.json")
    return file


def check(asked: Asked, tokenizer: Path | None) -> Checked:
    """Look through a file. `tokenizer` is a tokenizer.json; None leaves lengths in characters.

    Raises VerifierError where the scorer cannot be loaded.
    """
    gathered = gather(asked.task)
    findings = [*of_lines(gathered), *of_repeats(gathered)]
    near: list[NearPair] = []
    leaks: list[NearPair] = []
    refused: list[tuple[Problem, Verdict]] = []
    let_through: list[tuple[Problem, Verdict]] = []
    try:
        extra = scorer_settings(asked.task.scorer, gathered.lines)
        problems = [problem_of(line, extra) for line in gathered.lines]
        suite = _suite(asked.task, gathered)
    except Mistake as error:
        findings.append(Finding(section="scorer", what=asked.task.scorer.name, found=str(error), ok=False))
        problems, suite = [], None
    if suite:
        near = near_duplicates([line.prompt for line in gathered.lines])
        leaks = _leaks(near, gathered.lines, suite)
        findings += [*of_near(near, leaks, gathered.lines), *of_parts(suite, gathered)]
        tested = check_scorer(asked.task.scorer, problems, asked.verify)
        refused, let_through = tested.refused, tested.let_through
        findings += of_scorer(asked.task, tested)
        findings += lengths_of(gathered.lines, asked.sampler, tokenizer)
        findings += [
            *of_gate(asked.gate, asked.config, suite),
            *of_sentinels(asked.gate, asked.config, suite),
        ]
    places = {id_of(line): line.place for line in gathered.lines}
    return Checked(
        sound=all(finding.ok for finding in findings),
        num_records=len(gathered.lines),
        findings=tuple(findings),
        faults=tuple(
            {"file": each.file, "line": each.number, "reason": each.reason} for each in gathered.all_faults
        ),
        repeats=tuple((line.place, first.place) for line, first in gathered.repeats),
        near=tuple((*places_of(pair, gathered.lines), pair.similarity) for pair in near),
        leaks=tuple(places_of(pair, gathered.lines) for pair in leaks),
        refused=tuple(_with_place(each, places) for each in refused),
        let_through=tuple(_with_place(each, places) for each in let_through),
    )


def _with_place(judged: tuple[Problem, Verdict], places: dict[str, str]) -> dict[str, str]:
    problem, verdict = judged
    return {"place": places[problem.id], "found": verdict.answer, "reason": verdict.reason}


def _suite(task: RecordsTask, gathered: Gathered) -> Fixed | None:
    """The suite of a file without a fault; None where it has one."""
    if gathered.all_faults or not gathered.lines:
        return None
    suite = load_task(task.name).open(task)
    assert isinstance(suite, Fixed), "records are a finite set"
    return suite


def _leaks(near: Sequence[NearPair], lines: Sequence[Line], suite: Fixed) -> list[NearPair]:
    """Near duplicates of which one is learnt and the other judged on, or a sentinel."""
    part_of = {record.problem.id: part for part in (*PARTS, SENTINEL) for record in suite.records(part)}
    parts = [part_of[id_of(line)] for line in lines]
    return [pair for pair in near if (parts[pair.first] == "train") != (parts[pair.second] == "train")]

"""`ratchet data check`: what a campaign would stumble over in files of records or texts, before it runs.

    ratchet data check my.jsonl scorer=numeric
    ratchet data check docs/*.md

A finding with ``!!`` must be mended. The others are figures to look at.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from configs.load import ConfigError, load, load_from
from configs.schema import Config, Gate, Sampler, Verify
from configs.tasks import TEXT_FILES, FolioTask, RecordsTask, TextTask
from engine.errors import Mistake
from engine.models.base import embedded_at
from engine.preflight.data_alike import Alike, alike_in
from engine.preflight.data_findings import (
    not_checked,
    of_alike,
    of_documents,
    of_gate,
    of_lines,
    of_parts,
    of_repeats,
    of_scorer,
    of_sentinels,
    places_of,
)
from engine.preflight.data_stories import checked_files, of_stories
from engine.preflight.findings import Finding
from engine.preflight.lengths import lengths_of, passages_fit
from engine.preflight.self_check import check_scorer
from engine.records import Problem, Verdict
from engine.tasks import load_task, text
from engine.tasks.fixed import Fixed
from engine.tasks.lines import PARTS
from engine.tasks.records import Gathered, gather, id_of, problem_of, scorer_settings, suite_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What was found in files of records or texts."""

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
    """Those of them that are learnt and judged on; of records, those whose answers are one to the scorer."""
    refused: tuple[dict[str, str], ...]
    """Gold replies that the scorer does not pass: place, reply, reason."""
    let_through: tuple[dict[str, str], ...]
    """Replies of other records that it passes: place, reply."""
    conflicts: tuple[dict[str, str], ...] = ()
    """Records that ask the same but for capitals and points, with different answers: place, answer,
    other_place, other_answer."""
    left_out: tuple[dict[str, str], ...] = ()
    """Records with formulas that cannot be used: file, place, reason, why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is checked, and against what."""

    task: RecordsTask | TextTask | FolioTask
    gate: Gate
    sampler: Sampler
    verify: Verify
    config: Config | None = None
    """None where only files were named."""


def asked_of(arguments: Sequence[str]) -> Asked:
    """Files of records or texts with keys of their task; or a config with its overrides.

    JSONL is of texts where an override says ``name=text``, and of stories with formulas where it says
    ``name=folio``. Raises ConfigError.
    """
    files = [each for each in arguments if "=" not in each]
    overrides = [each for each in arguments if "=" in each]
    if not files:
        raise ConfigError(
            "`ratchet data check` takes a file of records or texts, or a config that names one; got none"
        )
    if any(Path(file).suffix in (".yaml", ".yml") for file in files):
        if len(files) > 1:
            raise ConfigError(f"one config is checked at a time, got {' and '.join(files)}")
        config = load(files[0], overrides)
        if not isinstance(config.task, RecordsTask | TextTask | FolioTask):
            raise ConfigError(f"{files[0]}: task.name must be records, text or folio, got {config.task.name}")
        return Asked(
            task=config.task,
            gate=config.gate,
            sampler=config.sampler,
            verify=config.verify,
            config=config,
        )
    names = list(dict.fromkeys(files))
    task: RecordsTask | TextTask | FolioTask
    if "name=folio" in overrides:
        task = load_from(FolioTask, {"name": "folio", "file": names}, overrides, "task")
    elif "name=text" in overrides or any(Path(file).suffix in TEXT_FILES for file in files):
        task = load_from(TextTask, {"name": "text", "files": names}, overrides, "task")
    else:
        task = load_from(RecordsTask, {"name": "records", "file": names}, overrides, "task")
    for file in files:
        if not Path(file).exists() or Path(file).is_dir():
            what = "is a directory" if Path(file).is_dir() else "does not exist"
            raise ConfigError(
                f"{file} {what}: `ratchet data check` takes files of records or texts, or a config"
            )
    return Asked(task=task, gate=Gate(), sampler=Sampler(), verify=Verify())


def tokenizer_of(model: Path | None, home: Path) -> Path | None:
    """The tokenizer of a model's directory; else that of the embedded model, where it has been fetched.

    Raises ConfigError for a directory without one.
    """
    if model is None:
        embedded = embedded_at(home) / "tokenizer.json"
        return embedded if embedded.is_file() else None
    if not (file := model / "tokenizer.json").is_file():
        raise ConfigError(f"--model {model} must be a directory with a tokenizer.json")
    return file


def check(asked: Asked, tokenizer: Path | None) -> Checked:
    """Look through files. `tokenizer` is a tokenizer.json; None leaves lengths in characters.

    Raises VerifierError where the scorer cannot be loaded.
    """
    if isinstance(asked.task, FolioTask):
        return _check_stories(asked, asked.task)
    if isinstance(asked.task, TextTask):
        return _check_texts(asked, asked.task, tokenizer)
    gathered = gather(asked.task)
    findings = [*of_lines(gathered), *of_repeats(gathered)]
    refused: list[tuple[Problem, Verdict]] = []
    let_through: list[tuple[Problem, Verdict]] = []
    alike = Alike()
    try:
        extra = scorer_settings(asked.task.scorer, gathered.lines)
        problems = [problem_of(line, extra) for line in gathered.lines]
        suite = _suite(asked.task, gathered)
    except Mistake as error:
        findings.append(Finding(section="scorer", what=asked.task.scorer.name, found=str(error), ok=False))
        problems, suite = [], None
    if gathered.lines and gathered.all_faults:
        findings.append(not_checked(scored=True))
    if suite:
        alike = alike_in(gathered.lines, suite, id_of, asked.task.scorer)
        findings += [*of_alike(alike, gathered.lines), *of_parts(suite, gathered)]
        tested = check_scorer(asked.task.scorer, problems, asked.verify)
        refused, let_through = tested.refused, tested.let_through
        findings += of_scorer(asked.task, tested)
        findings += lengths_of(gathered.lines, asked.sampler, tokenizer, asked.config)
        findings += [
            *of_gate(asked.gate, asked.config, suite),
            *of_sentinels(asked.gate, asked.config, suite),
        ]
    places = {id_of(line): line.place for line in gathered.lines}
    return replace(
        _checked(gathered, findings, alike),
        refused=tuple(_with_place(each, places) for each in refused),
        let_through=tuple(_with_place(each, places) for each in let_through),
    )


def _check_texts(asked: Asked, task: TextTask, tokenizer: Path | None) -> Checked:
    """Look through files of documents: no answer stands in them, so there is nothing to score."""
    texts = text.gather(task)
    gathered = texts.gathered
    findings = [*of_documents(texts), *of_lines(gathered, "passages"), *of_repeats(gathered)]
    alike = Alike()
    if gathered.lines and gathered.all_faults:
        findings.append(not_checked(scored=False))
    if suite := _suite(task, gathered):
        alike = alike_in(gathered.lines, suite, text.id_of)
        group = "document" if task.divide == "documents" else "story"
        findings += [*of_alike(alike, gathered.lines), *of_parts(suite, gathered, group)]
        findings += passages_fit(gathered.lines, asked.sampler, tokenizer, asked.config)
        findings += of_gate(asked.gate, asked.config, suite)
    return _checked(gathered, findings, alike)


def _check_stories(asked: Asked, task: FolioTask) -> Checked:
    """Look through stories with formulas: the solver says which of them can be used."""
    files = checked_files(task)
    findings = [finding for file, checked in files.items() for finding in of_stories(file, checked)]
    if all(any(not each.reason for each in checked.records) for checked in files.values()):
        suite = load_task(task.name).open(task)
        assert isinstance(suite, Fixed), "records are a finite set"
        sizes = ", ".join(f"{part} {suite.sizes[part]}" for part in PARTS)
        found = f"{sizes}: questions of train, stories of the others"
        findings += [
            Finding(section="splits", what="parts", found=found),
            *of_gate(asked.gate, asked.config, suite),
        ]
    return Checked(
        sound=all(finding.ok for finding in findings),
        num_records=sum(len(checked.records) for checked in files.values()),
        findings=tuple(findings),
        faults=(),
        repeats=(),
        near=(),
        leaks=(),
        refused=(),
        let_through=(),
        left_out=tuple(
            {"file": file, "place": each.record.place, "reason": each.reason, "why": each.why}
            for file, checked in files.items()
            for each in checked.records
            if each.reason
        ),
    )


def _checked(gathered: Gathered, findings: Sequence[Finding], alike: Alike) -> Checked:
    return Checked(
        sound=all(finding.ok for finding in findings),
        num_records=len(gathered.lines),
        findings=tuple(findings),
        faults=tuple(
            {"file": each.file, "line": each.number, "reason": each.reason} for each in gathered.all_faults
        ),
        repeats=tuple((line.place, first.place) for line, first in gathered.repeats),
        near=tuple((*places_of(pair, gathered.lines), pair.similarity) for pair in alike.near),
        leaks=tuple(places_of(pair, gathered.lines) for pair in alike.leaks),
        refused=(),
        let_through=(),
        conflicts=tuple(
            {
                "place": line.place,
                "answer": line.accepted[0],
                "other_place": first.place,
                "other_answer": first.accepted[0],
            }
            for line, first in alike.conflicts
        ),
    )


def _with_place(judged: tuple[Problem, Verdict], places: dict[str, str]) -> dict[str, str]:
    problem, verdict = judged
    return {"place": places[problem.id], "found": verdict.answer, "reason": verdict.reason}


def _suite(task: RecordsTask | TextTask, gathered: Gathered) -> Fixed | None:
    """The suite of files without a fault; None where they have one."""
    if gathered.all_faults or not gathered.lines:
        return None
    # What was read is not read again: a pipe gives it once.
    suite = text.suite_of(gathered, task) if isinstance(task, TextTask) else suite_of(gathered, task)
    suite.task = load_task(task.name)
    return suite

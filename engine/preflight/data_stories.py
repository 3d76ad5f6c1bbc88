"""The findings of `ratchet data check` about stories with formulas: what is left out of them, and why."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from configs.tasks import FolioTask
from engine.preflight.findings import Finding
from engine.tasks.folio_checked import MEANINGS, Checked, CheckedFile, Reason, check_file
from engine.terminal import counted

_SHOWN = 5
"""Examples of each reason that are shown; JSON has all."""


def checked_files(task: FolioTask) -> dict[str, CheckedFile]:
    """What is found of each file of a task. Raises DataError."""
    files = [task.file] if isinstance(task.file, str) else task.file
    named = dict.fromkeys([*files, *([task.sealed] if task.sealed else [])])
    return {file: check_file(Path(file)) for file in named}


def of_stories(file: str, checked: CheckedFile) -> list[Finding]:
    """How many of a file's records and formulas can be used, and the first of those that cannot."""
    records = checked.records
    used = [each for each in records if not each.reason]
    asked = sum(bool(each.question) for each in used)
    share = f"{100 * checked.num_parsed / max(1, checked.num_formulas):.1f} %"
    findings = [
        Finding(
            section=file,
            what="records",
            found=f"{len(used)} of {len(records)} can be used",
            ok=bool(used),
            remedy="" if used else "every record is left out, for the reasons below",
        ),
        Finding(
            section=file,
            what="formulas",
            found=f"{checked.num_parsed} of {counted(checked.num_formulas, 'formula')} are parsed ({share})",
        ),
        Finding(section=file, what="labels", found=_labels(records, asked)),
    ]
    for reason in Reason:
        left_out = [each for each in records if each.reason == reason]
        if left_out:
            findings.append(Finding(section=file, what=MEANINGS[reason], found=_examples(left_out)))
    if made := [each for record in used for each in record.made]:
        answers = Counter(each.answer for each in made)
        proved = sum(bool(each.gold) for each in made)
        found = f"{len(made)}: " + ", ".join(f"{answer} {num}" for answer, num in sorted(answers.items()))
        findings.append(
            Finding(section=file, what="questions made of premises", found=f"{found}; {proved} with a proof")
        )
    return findings


def _labels(records: Sequence[Checked], asked: int) -> str:
    """How many labels the solver finds again."""
    wrong = sum(each.reason == Reason.LABEL for each in records)
    if not asked + wrong:
        return "no conclusion has a formula, so labels cannot be checked"
    proved = sum(bool(each.gold) and bool(each.question) for each in records)
    return (
        f"the solver finds {asked} of {asked + wrong} where it decides; "
        f"{proved} of these {asked} records have a gold reply"
    )


def _examples(left_out: Sequence[Checked]) -> str:
    shown = [f"{each.record.place}: {each.why}" for each in left_out[:_SHOWN]]
    more = [f"… and {len(left_out) - _SHOWN} more: --json has all"] if len(left_out) > _SHOWN else []
    return "\n".join([counted(len(left_out), "record") + ":", *shown, *more])

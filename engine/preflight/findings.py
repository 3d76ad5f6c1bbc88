"""What is found before a run starts, and the table that shows it."""

from collections.abc import Callable
from dataclasses import dataclass

from engine.errors import Mistake
from engine.terminal import printable


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of what `ratchet doctor` and `ratchet plan` print."""

    section: str
    what: str
    found: str
    ok: bool = True
    """False where something is missing."""
    remedy: str = ""
    """How to get it."""
    marked: tuple[tuple[int, int], ...] = ()
    """Parts of `found`, from one character to another, that a terminal highlights."""


def found_by(*parts: Callable[[], list[Finding]]) -> list[Finding]:
    """The findings of some examinations of a config, up to the first that refuses it, which is one itself."""
    findings: list[Finding] = []
    try:
        for part in parts:
            findings += part()
    except Mistake as error:
        findings.append(Finding(section="config", what="cannot be used", found=str(error), ok=False))
    return findings


def print_table(findings: list[Finding]) -> None:
    """Prints findings for people, as wide as their terminal."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_header=False)
    for _ in range(4):
        table.add_column(overflow="fold")
    section = ""
    for finding in findings:
        mark = Text("ok", style="green") if finding.ok else Text("!!", style="bold red")
        found = Text(printable(finding.found))
        for start, end in finding.marked:
            found.stylize("bold green", start, end)
        found.append(printable(f"\n{finding.remedy}" if finding.remedy else ""))
        head = Text("" if finding.section == section else finding.section, style="bold")
        table.add_row(head, Text(printable(finding.what)), mark, found)
        section = finding.section
    Console().print(table)

"""Terminals: text of a model or of an error must not steer one, and only people see progress bars."""

import atexit
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Annotated, Any

import typer

log = logging.getLogger(__name__)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON to standard output, for programs.")]
RunName = Annotated[str, typer.Argument(help="Run id, run directory, or `latest`.")]

_LINE_SECONDS = 60
_FIRST_LINE_SECONDS = 20


def printable(text: str) -> str:
    """The text with every unprintable character except the line break shown as an escape."""
    return "".join(char if char.isprintable() or char == "\n" else f"\\x{ord(char):02x}" for char in text)


class LogLines(logging.StreamHandler):
    """Writes log lines to the current standard error, so that they appear above a progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        self.setStream(sys.stderr)
        super().emit(record)

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


@contextmanager
def progress(label: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a bar on standard error until the context ends; the function it yields takes how many are done.

    Without a terminal that takes control codes, a plain line is logged after 20 seconds and then once a
    minute, with an estimate of the time left.
    """
    from rich.console import Console

    console = Console(stderr=True)
    # FORCE_COLOR makes rich assume a terminal, so the stream itself is asked as well.
    if not (sys.stderr.isatty() and console.is_interactive):
        due = time.monotonic() + _FIRST_LINE_SECONDS
        begun: tuple[float, int] | None = None

        def report(done: int) -> None:
            nonlocal due, begun
            now = time.monotonic()
            # What comes before the first of them, such as a start, says nothing about the others.
            since, before = begun = begun or (now, done)
            if now > due and done > before:
                due = now + _LINE_SECONDS
                left = duration((now - since) / (done - before) * (total - done))
                log.info("    %s: %d of %d, about %s left", label, done, total, left)

        yield report
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    # Standard output is for the result and may be redirected.
    with Progress(*columns, console=console, transient=True, redirect_stdout=False) as bars:
        task = bars.add_task(label, total=total)
        yield lambda done: bars.update(task, completed=done)


class Relay:
    """Passes on the output of a command elsewhere, where its output and its errors are one stream."""

    def __init__(self, as_json: bool) -> None:
        """With `as_json` the last line of JSON is the result, and everything else goes to standard error."""
        self._as_json, self._held = as_json, ""

    def write(self, text: str) -> None:
        if not self._as_json:
            print(printable(text), end="", flush=True)
            return
        *lines, last = (self._held + text).splitlines(keepends=True) or [""]
        self._held = last if last.startswith("{") else ""
        lines.append(last.removeprefix(self._held))
        print(printable("".join(lines)), end="", file=sys.stderr, flush=True)

    def end(self, succeeded: bool) -> None:
        print(printable(self._held), end="", file=sys.stdout if succeeded else sys.stderr, flush=True)
        self._held = ""


def duration(seconds: float) -> str:
    """A time for people: ``40 s``, ``4 min`` or ``2.5 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def counted(num: int, noun: str) -> str:
    """A number with its noun, in the plural where there is not one: ``1 story``, ``2,000 stories``."""
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{num:,} {noun if num == 1 else plural}"


def show(value: Any, as_json: bool) -> None:
    """Print a record: one line per key for people, or one line of JSON for programs."""
    from pydantic import TypeAdapter

    plain = TypeAdapter(Any).dump_python(value, mode="json")
    if as_json:
        print(json.dumps(plain))
        return
    for key, entry in plain.items():
        text = entry if isinstance(entry, str) else json.dumps(entry)
        print(printable(f"{key.replace('_', ' '):<20} {text}"))


def as_process(command: Callable[[], None]) -> None:
    """Run a command that exits by itself, and end its process without the destructors of native libraries.

    Threads of Ray may still run when these destroy what the threads use: a campaign that had ended well died
    there of a segmentation fault.
    """
    try:
        command()
    except SystemExit as ended:
        if "ray" not in sys.modules or not isinstance(ended.code, int):
            raise
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):  # a closed pipe, or a closed stream
                stream.flush()
        os._exit(ended.code)

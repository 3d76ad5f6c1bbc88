"""Terminals: what a model wrote, or an error quotes, must not steer one; bars are for those who look."""

import json
import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

log = logging.getLogger(__name__)

_LINE_SECONDS = 60


def printable(text: str) -> str:
    """The text with control characters (and other unprintable ones, but line breaks) shown as escapes."""
    return "".join(char if char.isprintable() or char == "\n" else f"\\x{ord(char):02x}" for char in text)


class LogLines(logging.StreamHandler):
    """Log lines on whatever standard error is at the moment: while a bar is shown they go above it."""

    def emit(self, record: logging.LogRecord) -> None:
        self.setStream(sys.stderr)
        super().emit(record)

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


@contextmanager
def progress(label: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar on standard error, gone when the context ends. What it gives takes how many of `total` are done.

    Where standard error is no terminal, or one without control codes, there is none: a log has a plain line a
    minute.
    """
    from rich.console import Console

    console = Console(stderr=True)
    # rich takes FORCE_COLOR for a terminal: the stream has the last word.
    if not (sys.stderr.isatty() and console.is_interactive):
        told = [time.monotonic()]

        def tell(done: int) -> None:
            if time.monotonic() - told[0] > _LINE_SECONDS:
                told[0] = time.monotonic()
                log.info("%s: %d of %d", label, done, total)

        yield tell
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    # Standard output is for the result, and may go elsewhere.
    with Progress(*columns, console=console, transient=True, redirect_stdout=False) as bars:
        task = bars.add_task(label, total=total)
        yield lambda done: bars.update(task, completed=done)


class Relay:
    """Hands on what a command writes elsewhere, where its output and its errors are one stream."""

    def __init__(self, as_json: bool) -> None:
        """For programs, `as_json`, all goes to standard error but the result, the last line of JSON."""
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


def show(value: Any, as_json: bool) -> None:
    """Print a record: a key a line for people, or for programs one line of JSON."""
    from pydantic import TypeAdapter

    plain = TypeAdapter(Any).dump_python(value, mode="json")
    if as_json:
        print(json.dumps(plain))
        return
    for key, entry in plain.items():
        text = entry if isinstance(entry, str) else json.dumps(entry)
        print(printable(f"{key.replace('_', ' '):<20} {text}"))

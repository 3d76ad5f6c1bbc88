"""Terminals: what a model wrote, or an error quotes, must not steer one; bars are for those who look."""

import json
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


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

    Where standard error is no terminal, or one without control codes, there is none: a log has plain lines.
    """
    from rich.console import Console

    console = Console(stderr=True)
    # rich takes FORCE_COLOR for a terminal: the stream has the last word.
    if not (sys.stderr.isatty() and console.is_interactive):
        yield lambda done: None
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

"""Terminals: text of a model or of an error must not steer one, and only people see progress bars.

It also has what any process of ours does with the streams, the signals and the locale that it is given.
"""

import atexit
import codecs
import io
import json
import locale
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

log = logging.getLogger(__name__)

INTERRUPTED = 130
"""Exit code of what Ctrl-C or SIGTERM has ended."""

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON to standard output, for programs.")]
RunName = Annotated[str, typer.Argument(help="Run id, run directory, or `latest`.")]

_LINE_SECONDS = 60
_FIRST_LINE_SECONDS = 20
_STEADY_SECONDS = 5


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


def follow() -> None:
    """Show people what is logged from now on, with the time, unless the process logs elsewhere already."""
    logging.basicConfig(
        format="%(asctime)s %(message)s", datefmt="%H:%M:%S", level=logging.INFO, handlers=[LogLines()]
    )


@contextmanager
def progress(label: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a bar on standard error until the context ends; the function it yields takes how many are done.

    Without a terminal that takes control codes, a plain line is logged after 20 seconds and then once a
    minute, with an estimate of the time left once there is enough to go by.
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
            if now > due and before < done < total:
                due = now + _LINE_SECONDS
                per = (now - since) / (done - before)
                # A few that came at once say nothing of how fast the others will.
                is_steady = done - before >= max(3, total // 20) and now - since >= _STEADY_SECONDS
                left = f", about {duration(per * (total - done))} left" if is_steady else ""
                log.info("    %s: %d of %d%s", label, done, total, left)

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


class _Unheard(io.FileIO):
    """A standard stream whose reader may leave, as `head` does: what is written after that is dropped."""

    has_left = False

    def write(self, data: "ReadableBuffer", /) -> int:
        try:
            return super().write(data)
        except ConnectionError:  # a broken pipe is one
            self.has_left = True
            return memoryview(data).nbytes


def reader_left(stream: TextIO) -> bool:
    """Whether nobody reads a standard stream any more, so that what is done for its sake alone may end."""
    buffer = getattr(stream, "buffer", None)
    raw = getattr(buffer, "raw", buffer)
    return isinstance(raw, _Unheard) and raw.has_left


def _take_streams() -> None:
    """Make the standard streams such that no write fails because nobody reads, or for a character.

    One that was closed leads to nowhere: else the next file or pipe would get its number, also in a child.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # it gets the lowest free number
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115  as long as the process lives
        elif isinstance(stream, io.TextIOWrapper):
            stream.flush()
            unheard = _Unheard(stream.fileno(), "w", closefd=False)
            at_once = isinstance(stream.buffer, io.RawIOBase)  # as with PYTHONUNBUFFERED
            buffer: _Unheard | io.BufferedWriter = unheard if at_once else io.BufferedWriter(unheard)
            new = io.TextIOWrapper(
                buffer,
                encoding=stream.encoding,
                errors="backslashreplace",
                line_buffering=stream.line_buffering,
                write_through=stream.write_through,
            )
            setattr(sys, name, new)


def _read_utf8() -> None:
    """Start this process again if, by its locale, Python would read and write files in another encoding."""
    ours = codecs.lookup(locale.getencoding()).name == "utf-8"
    if ours or sys.flags.utf8_mode or "PYTHONUTF8" in os.environ:
        return
    os.environ["PYTHONUTF8"] = "1"
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def as_process(command: Callable[[], None]) -> None:
    """Run a command that exits by itself, and end its process without the destructors of native libraries.

    Threads of Ray may still run when these destroy what the threads use: a campaign that had ended well died
    there of a segmentation fault. SIGTERM ends the command as Ctrl-C does; a reader that leaves does not.
    """
    _read_utf8()
    _take_streams()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        try:
            command()
        except KeyboardInterrupt:
            sys.exit(INTERRUPTED)
    except SystemExit as ended:
        if "ray" not in sys.modules or not isinstance(ended.code, int):
            raise
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):  # a full disk, or a closed stream
                stream.flush()
        os._exit(ended.code)

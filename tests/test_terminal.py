"""Bars on a terminal, plain lines in a log: the same program with a pseudo-terminal and without one."""

import os
import pty
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from engine import terminal
from engine.terminal import Relay, counted, printable, progress

ROOT = Path(__file__).parent.parent
PROGRAM = r"""
import logging, time
from engine.terminal import LogLines, progress
logging.basicConfig(format="%(message)s", level=logging.INFO, handlers=[LogLines()])
log = logging.getLogger("a")
log.info("before")
with progress("answers [bold]", 40) as advance:
    for done in range(1, 41):
        time.sleep(0.02)
        advance(done)
        if done == 20:
            log.info("half %s", "\x1b[2J way")
            time.sleep(0.2)
log.info("after")
print("result")
"""
LINES = ["before", r"half \x1b[2J way", "after"]


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME")}
    return kept | {"PYTHONPATH": str(ROOT), "COLUMNS": "80"} | more


def on_a_terminal(**more: str) -> tuple[str, str]:
    """Run the program with a pseudo-terminal as its standard error; returns what both outputs received."""
    ours, theirs = pty.openpty()
    seen: list[bytes] = []

    def read() -> None:
        while True:
            try:
                block = os.read(ours, 4096)
            except OSError:  # the other end is closed
                return
            if not block:
                return
            seen.append(block)

    reader = threading.Thread(target=read)
    reader.start()
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=theirs,
        env=environment(**more),
        timeout=60,
        check=True,
    )
    os.close(theirs)
    reader.join()
    os.close(ours)
    return b"".join(seen).decode(), done.stdout.decode()


def test_a_terminal_shows_a_bar_that_breaks_no_line_and_leaves_nothing() -> None:
    text, output = on_a_terminal(TERM="xterm-256color")
    assert output == "result\n"
    assert "answers [bold]" in text and "━" in text
    assert "20/40" in text
    lines = text.replace("\r\n", "\n").split("\n")
    # Whatever stood on a line's row is erased first; only rich's own control codes are there.
    shown = [line.rpartition("\x1b[2K")[2].rpartition("\x1b[?25h")[2].lstrip("\r") for line in lines]
    assert [line for line in shown if line in LINES] == LINES
    assert "\x1b[2J" not in text
    assert text.rindex("\x1b[2K") > text.rindex("━"), "the bar was left standing"
    assert text.count("\x1b[?25h") == text.count("\x1b[?25l") > 0, "the cursor was left hidden"


@pytest.mark.parametrize("more", [{}, {"FORCE_COLOR": "1"}])
def test_a_log_has_plain_lines_only(more: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, env=environment(**more), timeout=60
    )
    assert done.stdout == "result\n"
    assert done.stderr.splitlines() == LINES


def test_a_terminal_without_control_codes_has_plain_lines_only() -> None:
    assert on_a_terminal(TERM="dumb")[0].splitlines() == LINES


def test_a_long_wait_logs_how_far_it_is(monkeypatch, caplog) -> None:
    clock = iter([0.0, 10.0, 15.0, 21.0, 80.0, 90.0])
    monkeypatch.setattr(terminal.time, "monotonic", lambda: next(clock))
    with caplog.at_level("INFO", "engine.terminal"), progress("answers", 40) as advance:
        for done in (1, 5, 12, 15, 21):
            advance(done)
    assert [message.strip() for message in caplog.messages] == [
        "answers: 12 of 40, about 28 s left",
        "answers: 21 of 40, about 76 s left",
    ]


def test_a_mixed_stream_is_split_into_result_and_errors(capsys) -> None:
    relay = Relay(as_json=True)
    for text in ("a line\n{no res", 'ult}\n{"rounds"', ": 1}\n", ""):
        relay.write(text)
    relay.end(succeeded=True)
    assert capsys.readouterr() == ('{"rounds": 1}\n', "a line\n{no result}\n")
    relay.write('{"half')
    relay.end(succeeded=False)
    assert capsys.readouterr() == ("", '{"half')
    plain = Relay(as_json=False)
    plain.write("a\x1b[31m line\n")
    plain.end(succeeded=True)
    assert capsys.readouterr() == ("a\\x1b[31m line\n", "")


def test_control_characters_are_shown_as_escapes() -> None:
    assert printable("a\x1b[31m\r\nü\x07") == "a\\x1b[31m\\x0d\nü\\x07"


def test_counts_are_in_the_plural_but_for_one() -> None:
    assert [counted(num, "look") for num in (0, 1, 2)] == ["0 looks", "1 look", "2 looks"]
    assert [counted(num, "gold reply") for num in (1, 5)] == ["1 gold reply", "5 gold replies"]
    assert [counted(num, "item") for num in (999, 1_000)] == ["999 items", "1,000 items"]

"""Bars on a terminal, plain lines in a log: the same program with a pseudo-terminal and without one."""

import json
import os
import pty
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

from engine import terminal
from engine.terminal import Relay, counted, printable, progress

pytestmark = pytest.mark.slow

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
    # Of this module alone: other threads of the process look at the time too.
    monkeypatch.setattr(terminal, "time", SimpleNamespace(monotonic=lambda: next(clock)))
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


def as_process(program: str, *before: str, **more: str) -> subprocess.Popen[str]:
    """Start a process whose `main` is a program; it has a result of 3 where the program has no other."""
    lines = "".join(f"    {line}\n" for line in program.strip().splitlines())
    code = f"import os, sys, time\ndef main():\n{lines}    sys.exit(3)\n"
    code += "from engine.terminal import as_process\nas_process(main)\n"
    return subprocess.Popen(
        [*before, sys.executable, "-c", code],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(**more),
    )


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("written", ["a", "a" * 200_000])
@pytest.mark.parametrize("left", [("stdout",), ("stderr",), ("stdout", "stderr")])
def test_a_reader_that_leaves_is_no_failure(left: tuple[str, ...], written: str, unbuffered: str) -> None:
    """As `head` leaves. What the command does goes on to its end, and its exit code is its own."""
    process = as_process(
        f"""
time.sleep(0.2)
for stream in (sys.stdout, sys.stderr):
    print({written[:1]!r} * {len(written)}, file=stream)
    print("more", file=stream, flush=True)
""",
        PYTHONUNBUFFERED=unbuffered,
    )
    for name in left:
        getattr(process, name).close()
    kept = [stream.read() for stream in (process.stdout, process.stderr) if stream and not stream.closed]
    assert process.wait(60) == 3
    assert kept == [f"{written}\nmore\n"] * (2 - len(left))


def test_the_command_line_leaves_a_closed_pipe_as_it_would_leave_an_open_one(tmp_path: Path) -> None:
    for arguments, code in ((["--help"], 0), (["run", "no-such.yaml"], 2)):
        command = [sys.executable, "-m", "ratchet", *arguments]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT)
        assert process.stdout and process.stderr
        process.stdout.close()
        process.stderr.close()
        assert process.wait(60) == code


def test_sigterm_ends_a_command_as_ctrl_c_does() -> None:
    process = as_process("print('ready', flush=True)\ntime.sleep(60)")
    assert process.stdout and process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 130


def test_sigterm_ends_any_command_with_130(tmp_path: Path) -> None:
    """Here one that still reads its config, from a pipe that nobody writes to."""
    config = tmp_path / "config.yaml"
    os.mkfifo(config)
    process = subprocess.Popen(
        [sys.executable, "-m", "ratchet", "run", str(config)],
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment(RATCHET_HOME=str(tmp_path)),
    )
    writer = None
    while writer is None:
        assert process.poll() is None, process.communicate()[1]
        with suppress(OSError):  # nobody reads it yet
            writer = os.open(config, os.O_WRONLY | os.O_NONBLOCK)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    os.close(writer)
    assert process.returncode == 130 and "Traceback" not in err


def test_streams_that_were_closed_take_no_file_of_ours(tmp_path: Path) -> None:
    """Else the file opened next would be standard output, also for whatever is started."""
    process = as_process(
        f"""
numbers = [*os.pipe(), os.open({str(tmp_path / "file")!r}, os.O_CREAT | os.O_WRONLY)]
print("to nobody")
print("to nobody", file=sys.stderr, flush=True)
sys.stdout.flush()
os.write(numbers[-1], repr(min(numbers) > 2).encode())
os.system("echo to nobody")
""",
        "bash",
        "-c",
        'exec "$@" <&- >&- 2>&-',
        "bash",
    )
    assert process.wait(60) == 3
    assert (tmp_path / "file").read_text() == "True"


def test_what_an_encoding_lacks_is_shown_as_an_escape() -> None:
    process = as_process(r"print('ü … \udcfc'); sys.stdout.flush(); sys.exit(0)", PYTHONIOENCODING="ascii")
    assert process.communicate(timeout=60) == ("\\xfc \\u2026 \\udcfc\n", "") and process.returncode == 0


@pytest.mark.parametrize(
    ("encoding", "more", "utf8_mode"),
    [("UTF-8", {}, 0), ("ISO-8859-1", {}, 1), ("ISO-8859-1", {"PYTHONUTF8": "0"}, 0)],
)
def test_files_are_utf8_whatever_the_locale(
    encoding: str, more: dict[str, str], utf8_mode: int, tmp_path: Path
) -> None:
    """The process starts again, with its own arguments, where its locale has another encoding."""
    (tmp_path / "ü.txt").write_text("ü …", encoding="utf-8")
    program = (
        "import json, locale, sys\n"
        f"locale.getencoding = lambda: {encoding!r}\n"
        "from engine.terminal import as_process\n"
        "def main():\n"
        "    print(json.dumps([sys.flags.utf8_mode, sys.argv[1], open(sys.argv[1]).read()]))\n"
        "    sys.exit(0)\n"
        "as_process(main)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "ü.txt")],
        capture_output=True,
        text=True,
        env=environment(LC_ALL="C.UTF-8", **more),
        timeout=60,
    )
    assert json.loads(done.stdout) == [utf8_mode, str(tmp_path / "ü.txt"), "ü …"], done.stderr

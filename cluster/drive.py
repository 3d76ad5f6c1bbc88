"""Drive a run on Ray until it ends or is interrupted, and show its summary."""

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import typer

from cluster import connect
from engine.disk.interruption import interruptible
from engine.disk.steps import Run
from engine.errors import Lost, cause_of
from engine.failures import DISK, GONE, KILLED, NO_ROOM, kind_of, said_by
from engine.records import Summary
from engine.terminal import INTERRUPTED, duration, follow, show

log = logging.getLogger(__name__)
T = TypeVar("T")


def drive(
    opened: Run,
    needs: Callable[[], connect.Needs],
    work: Callable[[], Summary],
    write_reports: Callable[[Path], object],
    *,
    as_json: bool,
) -> None:
    """Do a run's `work` on Ray, which must offer what it `needs`, and print its summary.

    A finished run is shown again, with its reports rewritten, also on a machine that does not offer as much.
    Raises and exits as `on_ray` does.
    """
    if summary := opened.summary():
        # A kill may have come between the summary and the reports.
        write_reports(opened.path)
    else:
        summary = on_ray(opened, needs(), work)
    _show(summary, as_json)


def on_ray(opened: Run, needs: connect.Needs, work: Callable[[], T]) -> T:
    """Do a run's `work` on Ray, which must offer what it `needs`.

    Exits with 130 when interrupted; raises Lost for a full disk and where a part of Ray is gone or finds no
    place, and whatever else `work` raises.
    """
    follow()
    logging.getLogger("torch").setLevel(logging.WARNING)  # at the end it would tell of its caches
    again = f"`ratchet resume {opened.id}` continues"
    log.info("Run %s, in %s: Ray and its workers start …", opened.id, opened.path)
    try:
        if link := connect.connect(needs):
            log.info("Ray's dashboard: %s", link)
        # After Ray has started, because Ray replaces the handler of SIGTERM with its own.
        with interruptible():
            return work()
    except KeyboardInterrupt:
        print(f"ratchet: interrupted; {again}", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None
    except Exception as error:
        cause, kind = cause_of(error), kind_of(error)
        if kind is DISK:
            place = getattr(cause, "filename", None) or "a file could not be written"
            raise Lost(f"the disk is full: {place}; free some space, then {again}") from None
        if kind in (GONE, KILLED, NO_ROOM):
            raise Lost(f"{kind.name}: {said_by(cause).rstrip('.')}; {again}") from error
        raise


def _show(summary: Summary, as_json: bool) -> None:
    """Print a summary, and for people where the report is and what they can do next."""
    if as_json:
        show(summary, as_json)
        return
    show(_in_words(summary), as_json)
    print(f"\nThe report, for a browser: {Path(summary.report).absolute().as_uri()}", file=sys.stderr)
    if next_step := _next_step(summary):
        print(next_step, file=sys.stderr)


def _in_words(summary: Summary) -> dict[str, str]:
    """A summary for people: what most campaigns do not have is there where there is any."""
    ends = {"accepted": summary.accepted, "carried": summary.carried, "refused": summary.refused}
    outcomes = ", ".join(f"{num} {end}" for end, num in ends.items() if num)
    return {
        "run": summary.run_id,
        "line": summary.line,
        "champion": summary.champion,
        **({"working model": summary.working} if summary.working else {}),
        "rounds": f"{summary.rounds}: {outcomes}" if outcomes else f"{summary.rounds}",
        "ended because": summary.stop_reason,
        "took": duration(summary.seconds),
        **_figures(summary),
        "ledgers opened": f"{summary.ledgers_opened}, by all runs of this line",
        **(summary.usage.shown() if summary.usage else {}),
    }


def _figures(summary: Summary) -> dict[str, str]:
    """What the sealed problems say."""
    if summary.baseline is None or summary.best is None:
        return {"sealed problems": f"not judged: {summary.not_judged}"}
    figures = f"{summary.baseline:.4g} at first, {summary.best:.4g} now"
    if summary.base is not None:
        figures += f"; the untrained base, on problems of its own, {summary.base:.4g}"
    return {summary.headline: figures}


def _next_step(summary: Summary) -> str:
    """What there is to do after a run; empty where it ended before its first round."""
    if summary.accepted:
        return (
            f"`ratchet serve configs/serve.yaml line={summary.line}` serves the champion; "
            f"`ratchet models show {summary.line}` shows its history."
        )
    if summary.working:
        return (
            "No gain is proven yet. What looks better is carried: a run with start=champion goes on from it."
        )
    if summary.rounds:
        return "No round was accepted: the report shows which check refused each, and why."
    return ""


@contextmanager
def until_interrupted(what: str) -> Iterator[None]:
    """Work that only an interruption ends, such as a server; ends quietly, and says that `what` has ended."""
    try:
        with interruptible():
            yield
    except KeyboardInterrupt:
        print(f"ratchet: {what} has ended", file=sys.stderr)

"""`ratchet memory`: what a run of the loop sleep holds to be true, and what it rejected and why.

ratchet memory latest Oslo --rejected
"""

import sys
from typing import Annotated

import typer

from engine.terminal import AsJson, show

app = typer.Typer()


@app.command()
def memory(
    name: Annotated[
        str, typer.Argument(metavar="RUN", help="Run id, run directory, or `latest`.")
    ] = "latest",
    words: Annotated[
        list[str] | None, typer.Argument(help="Show only what holds all of these words.")
    ] = None,
    rejected: Annotated[
        bool, typer.Option("--rejected", help="Show what was rejected or left undecided, and why.")
    ] = False,
    person: Annotated[str, typer.Option(help="Show only this person: a full name, or a part of one.")] = "",
    day: Annotated[int | None, typer.Option(min=1, help="Memory as it was after this day.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show what a run remembers, with where it was said; also while it runs."""
    from engine.disk.home import ratchet_home, run_dir_of
    from engine.memory.page import decisions_of, print_decisions, print_memories
    from engine.memory.recollect import chosen, remembered

    found = chosen(remembered(run_dir_of(ratchet_home(), name), day), words or (), person)
    if as_json:
        part = {"decided": decisions_of(found)} if rejected else {"memories": found.memories}
        show({"run": found.run, "day": found.day, **part}, as_json)
    elif rejected:
        print_decisions(found)
    else:
        print_memories(found)
    # A reader that has closed the pipe, such as `head`, is noticed here and not when the process ends.
    sys.stdout.flush()

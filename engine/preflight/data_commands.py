"""`ratchet data`: files of records or texts, looked through before anything runs on them.

ratchet data check my.jsonl scorer=numeric
"""

from pathlib import Path
from typing import Annotated

import typer

from engine.terminal import AsJson, show

app = typer.Typer(help="Files of records or texts.", no_args_is_help=True)


@app.callback()
def data() -> None:
    """Look through files of records or texts."""


@app.command()
def check(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE… [KEY=VALUE…]",
            help="Files, and keys of their task such as scorer=numeric; or a config with overrides.",
        ),
    ],
    model: Annotated[
        Path | None, typer.Option(help="A model's directory, whose tokenizer counts lengths.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Find broken lines, duplicates, leaks and wrong answers, check the scorer, and say what a gate can show.

    The exit code is 0 if nothing must be mended, else 1.
    """
    from engine.disk.home import ratchet_home
    from engine.preflight.data_check import asked_of, tokenizer_of
    from engine.preflight.data_check import check as look_through
    from engine.preflight.findings import print_table

    checked = look_through(asked_of(files), tokenizer_of(model, ratchet_home()))
    if as_json:
        show(checked, as_json)
    else:
        print_table(list(checked.findings))
        print("nothing must be mended" if checked.sound else "what is marked !! must be mended")
    raise typer.Exit(0 if checked.sound else 1)

"""`ratchet verify`: check proofs from any source.

ratchet verify proofs.jsonl
"""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def verify(
    file: Annotated[
        Path, typer.Argument(help="JSON lines with premises, question, proof and, where known, answer.")
    ],
    verifier: Annotated[
        str,
        typer.Option(
            help="`rules`, `z3`, `rules + z3` for both, or `unlabelled`: both, without the gold answer."
        ),
    ] = "rules + z3",
) -> None:
    """Check proofs from a file or a pipe: one JSON verdict per record, with a reason for every line.

    The exit code is 0 if every record passes, 1 if one does not, 2 if the file cannot be read. A record that
    cannot be read does not pass; the others are checked all the same.
    """
    from engine.verify.proof_file import verify_file

    # Standard output may be closed (`>&-`): then the exit code is all that is wanted.
    with open(os.devnull, "w") as nowhere:
        num_failed = verify_file(file, sys.stdout or nowhere, verifier)
    raise typer.Exit(1 if num_failed else 0)

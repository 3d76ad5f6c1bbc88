"""`ratchet curate`: a user's files become sets to learn from and to judge by.

ratchet curate faq.jsonl chats.jsonl --out data language.allowed=[en]
"""

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.terminal import INTERRUPTED, AsJson, counted, follow, printable, show

if TYPE_CHECKING:
    from configs.curation import Curation
    from engine.corpus.stations import Curated, Tally

app = typer.Typer()


@app.command()
def curate(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE… [KEY=VALUE…]",
            help="Files of JSONL or of one JSON array, and settings such as private.action=drop.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="Directory for the sets; what it held before stays in its set.")],
    config: Annotated[Path | None, typer.Option(help="A YAML file with settings.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; by default one a core.")] = None,
    as_json: AsJson = False,
) -> None:
    """Clean files of examples and preference pairs, and divide them; every removal has a reason."""
    from dataclasses import fields

    from engine.disk.interruption import interruptible

    names, settings = _asked(files, config)
    from engine.corpus.pipeline import curate as curate_files

    follow()
    try:
        with interruptible():
            curated = curate_files(names, settings, out, workers=workers)
    except KeyboardInterrupt:
        print("ratchet: interrupted; the same command goes on from what is done", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None
    if as_json:
        names = [each.name for each in fields(curated) if each.name != "samples"]
        show({name: getattr(curated, name) for name in names}, as_json)
    else:
        print(printable("\n".join(_lines(curated))))


def _asked(arguments: Sequence[str], config: Path | None) -> "tuple[list[str], Curation]":
    """The files and the settings that are named. Raises ConfigError."""
    from configs.curation import Curation
    from configs.load import ConfigError, load_as, load_from

    # A path may hold a sign of equality, too.
    files = [each for each in arguments if "=" not in each or os.path.isfile(each)]
    overrides = [each for each in arguments if each not in files]
    if not files:
        raise ConfigError("`ratchet curate` takes JSONL files, got none")
    if configs := [file for file in files if file.endswith((".yaml", ".yml"))]:
        raise ConfigError(f"{configs[0]} is no JSONL file: settings are given by --config {configs[0]}")
    if config is None:
        return files, load_from(Curation, {}, overrides, "settings")
    return files, load_as(Curation, config, overrides)


def _lines(curated: "Curated") -> Iterator[str]:
    """What people read: the way through the stations, the sets, and what is new."""
    kept = sum(curated.splits.values())
    yield f"{counted(kept, 'example')} from {counted(sum(each.lines for each in curated.sources), 'line')}"
    width = max(map(len, curated.counts))
    for name, tally in curated.counts.items():
        yield f"  {name:<{width}}  {tally.entered:>9,} → {tally.left:>9,}  {_found(name, tally)}".rstrip()
    yield ", ".join(f"{name} {num:,}" for name, num in curated.splits.items())
    if curated.before:
        new = ", ".join(f"{name} {num:,}" for name, num in curated.added.items())
        yield f"new since snapshot {curated.before}: {new}; no longer there: {curated.gone:,}"
        if curated.gone:
            yield (
                "what is no longer there comes back into its set, and its question with another reply too; "
                "what is only like it may come into any"
            )
    yield f"snapshot {curated.snapshot} is in {curated.directory}; for a browser:"
    yield (curated.directory / "card.html").as_uri()


def _found(name: str, tally: "Tally") -> str:
    """What a station left out and what it masked or noted, the most first."""
    parts = []
    for what, counts in (("", tally.removed), ("masked " if name == "private" else "noted ", tally.noted)):
        parts += [
            f"{what}{fault} {num:,}" for fault, num in sorted(counts.items(), key=lambda each: -each[1])
        ]
    return ", ".join(parts)

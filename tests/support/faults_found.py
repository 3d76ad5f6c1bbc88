"""What curation finds of the planted faults of `faulty_corpus`, kind by kind."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.corpus.credentials import CREDENTIALS
from engine.corpus.pipeline import curate
from engine.corpus.sets import REMOVED
from engine.tasks.examples import SPLITS
from tests.support.faulty_corpus import FaultyCorpus
from tests.support.planted_secrets import MAKERS

FOUND_AS = {
    "json": ("layout", "json"),
    "encoding": ("layout", "encoding"),
    "empty": ("layout", "empty"),
    "control": ("form", "control"),
    "markup": ("form", "markup"),
    "mojibake": ("quality", "mojibake"),
    "too_long": ("length", "too_long"),
    "language": ("language", "language"),
    "repetitive": ("quality", "repetitive"),
    "placeholder": ("quality", "placeholder"),
    "disclaimer": ("quality", "disclaimer"),
    "symbols": ("quality", "symbols"),
    "shouting": ("quality", "shouting"),
    "cut_off": ("quality", "cut_off"),
    "echo": ("quality", "echo"),
    "harmful": ("harm", "harmful"),
    "same_sides": ("pairs", "same_sides"),
    "length_only": ("pairs", "length_"),
    "contradictory_pair": ("conflicts", "contradictory_pair"),
    "label_conflict": ("conflicts", "label_conflict"),
    "duplicate": ("duplicates", "duplicate"),
    "near_duplicate": ("duplicates", "near_duplicate"),
    "verbatim": ("contamination", ""),
    "passage": ("contamination", ""),
    "reworded": ("contamination", ""),
}
"""Station and beginning of the fault, by kind; private data is masked and not left out."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """What curation made of a corpus, by line."""

    corpus: FaultyCorpus
    removed: Mapping[int, tuple[str, str]]
    """Station and fault."""
    kept: Mapping[int, str]
    """The row's texts as JSON."""
    splits: Mapping[int, str]
    written: str
    """All that stands in the directory's files for people and programs."""

    def found(self, kind: str) -> set[int]:
        """The lines in which a kind was found."""
        if kind in MAKERS:
            marks = [f"[{each}]" for each in (CREDENTIALS if kind == "credential" else (kind,))]
            return {line for line, row in self.kept.items() if any(mark in row for mark in marks)}
        station, fault = FOUND_AS[kind]
        return {
            line
            for line, (its, of) in self.removed.items()
            if its == station and (of == fault or (fault in ("", "length_") and of.startswith(fault)))
        }

    def planted_alike(self, kind: str) -> set[int]:
        """Lines of all kinds that are found as this one is."""
        same = [each for each in FOUND_AS if kind in FOUND_AS and FOUND_AS[each] == FOUND_AS[kind]]
        return {line for each in (same or [kind]) for line in self.corpus.planted[each]}

    @property
    def clean(self) -> set[int]:
        """The lines in which nothing was planted."""
        return (self.kept.keys() | self.removed.keys()).difference(*self.corpus.planted.values())


def _lines_of(file: Path) -> Iterator[dict[str, Any]]:
    return map(json.loads, file.read_text().splitlines())


def found_in(corpus: FaultyCorpus, out: Path, **settings: Any) -> Result:
    """Curate a corpus into a directory, by its settings with some others in their place."""
    curate([str(corpus.file)], corpus.settings.model_copy(update=settings), out, workers=1)
    kept: dict[int, str] = defaultdict(str)
    splits: dict[int, str] = {}
    for split in SPLITS:
        for row in _lines_of(out / f"{split}.jsonl"):
            line = int(row["source"].rpartition(" ")[2])
            kept[line] += json.dumps({key: row[key] for key in row if key != "source"}, ensure_ascii=False)
            splits[line] = split
    return Result(
        corpus=corpus,
        removed={each["number"]: (each["station"], each["fault"]) for each in _lines_of(out / REMOVED)},
        kept=kept,
        splits=splits,
        written="".join(
            file.read_text() for file in sorted(out.iterdir()) if file.suffix in (".jsonl", ".html", ".json")
        ),
    )

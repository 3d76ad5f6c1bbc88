"""The data card: one page that shows what was made of some files, what was left out and why, and samples."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from engine.corpus.sets import REMOVED
from engine.corpus.stations import Curated, Histogram, Tally
from engine.report.page import write_page

TEMPLATE = Path(__file__).parent / "card.html.j2"
_MASKED = "private"
"""The station whose notes say what stands masked in the sets."""


class Bar(NamedTuple):
    """A count with its share of the highest one beside it."""

    name: str
    num: int
    share: float


def write_card(curated: Curated, path: Path) -> None:
    """Write the page of a snapshot to a file, which is replaced in one step. Raises OSError."""
    read = sum(source.lines for source in curated.sources)
    kept = sum(curated.splits.values())
    write_page(
        path,
        TEMPLATE,
        curated=curated,
        removed_file=REMOVED,
        num_read=read,
        num_kept=kept,
        removed=_bars(_removed(curated.counts)),
        masked=_bars(dict(curated.counts[_MASKED].noted) if _MASKED in curated.counts else {}),
        histograms={name: _bars(_between(each)) for name, each in curated.histograms.items()},
        settings=json.dumps(curated.settings, indent=2, ensure_ascii=False, default=str),
    )


def _removed(counts: Mapping[str, Tally]) -> dict[str, int]:
    """How many each station left out for each fault, the most first."""
    found = {
        f"{station}: {fault.replace('_', ' ')}": num
        for station, tally in counts.items()
        for fault, num in tally.removed.items()
        if num
    }
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def _between(histogram: Histogram) -> dict[str, int]:
    """The counts of a histogram by their bounds, such as ``32 to 63``."""
    edges = histogram.edges
    return {
        f"{low:,} to {high - 1:,}": num
        for low, high, num in zip(edges, edges[1:], histogram.counts, strict=False)
    }


def _bars(counts: Mapping[str, int]) -> list[Bar]:
    highest = max(counts.values(), default=0) or 1
    return [Bar(name, num, num / highest) for name, num in counts.items()]

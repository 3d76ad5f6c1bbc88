"""Of 40 planted faults of each kind among 2,000 rows, how many curation finds, and what it takes for one.

    python -m tests.bench.bench_faults [SEEDS]

Each of so many seeds, 5 by default, makes a file of its own (`tests/support/faulty_corpus.py`). Recall is the
share of what was planted that is found as what it is, precision the share of what is found that was planted.
"""

import sys
import tempfile
from collections import Counter
from pathlib import Path

from configs.curation import Duplicates
from tests.bench.harness import keep
from tests.support.faults_found import FOUND_AS, found_in
from tests.support.faulty_corpus import faulty_corpus
from tests.support.planted_secrets import MAKERS

_CONTAMINATION = "verbatim"
"""Any of the kinds that are found as contamination."""


def counted(seed: int) -> tuple[dict[str, Counter[str]], Counter[str]]:
    """What was planted, found and right of each kind in one corpus, and what became of other rows."""
    with tempfile.TemporaryDirectory() as folder:
        corpus = faulty_corpus(Path(folder), seed)
        result = found_in(corpus, Path(folder) / "out")
        near = found_in(corpus, Path(folder) / "twins", duplicates=Duplicates(near=False))
    by_kind: dict[str, Counter[str]] = {}
    for kind in (*FOUND_AS, *MAKERS):
        planted, found = corpus.planted[kind], result.found(kind)
        right = found & result.planted_alike(kind)
        by_kind[kind] = Counter(
            planted=len(planted), hit=len(planted & found), found=len(found), right=len(right)
        )
    alarms = result.found(_CONTAMINATION) - result.planted_alike(_CONTAMINATION)
    twins = [(line, corpus.twins[line]) for line in corpus.planted["near_duplicate"] & near.splits.keys()]
    return by_kind, Counter(
        rows=len(result.kept.keys() | result.removed.keys()),
        clean=len(result.clean),
        clean_left_out=len(result.clean & result.removed.keys()),
        contamination_false_alarms=len(alarms),
        twins=len(twins),
        twins_on_two_sides=sum(near.splits[one] != near.splits.get(other) for one, other in twins),
        secrets=len(corpus.secrets),
        secrets_written=sum(secret in result.written for secret in corpus.secrets.values()),
    )


def main() -> None:
    num_seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    by_kind: dict[str, Counter[str]] = {}
    others: Counter[str] = Counter()
    for seed in range(num_seeds):
        found, more = counted(seed)
        for kind, counts in found.items():
            by_kind.setdefault(kind, Counter()).update(counts)
        others.update(more)
    print(f"{num_seeds} files\n  {'kind':<20} recall         precision")
    for kind, of in by_kind.items():
        hit, right = f"{of['hit']} of {of['planted']}", f"{of['right']} of {of['found']}"
        recall, precision = of["hit"] / of["planted"], of["right"] / max(of["found"], 1)
        print(f"  {kind:<20} {recall:.3f} {hit:<12} {precision:.3f} {right}")
    for name, num in others.items():
        print(f"  {name.replace('_', ' '):<28} {num:,}")
    keep("faults", {"by_kind": by_kind, "others": others, "seeds": num_seeds})


if __name__ == "__main__":
    main()

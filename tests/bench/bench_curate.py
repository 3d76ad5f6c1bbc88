"""Rows that curation gets through in a second, and its memory, as files grow.

    python -m tests.bench.bench_curate [ROWS…]

By default 20,000 and 100,000 rows; a million is for a machine that has the time. Each size is curated in a
process of its own, anew, then again with a hundredth more rows. Of the rows 1 % repeat an earlier one, 1 %
almost, and 5 % hold a mail address. The peak of memory is that of the process that compares, with the pages
of files that it has mapped, and that of the largest of those that read.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random

from configs.curation import Curation
from engine.corpus.pipeline import curate
from tests.bench.harness import keep
from tests.support.topics import TOPICS

SIZES = (20_000, 100_000)
_VERBS = "carry paint mend weigh sell count clean store move test fold wrap".split()  # noqa: SIM905


def write_corpus(file: Path, num: int, seed: int = 0) -> None:
    """Rows of about 700 characters, one after the other, so that any number fits in memory."""
    rng = Random(seed)
    names = list(TOPICS)
    recent: list[dict[str, str]] = []
    with file.open("w") as out:
        for at in range(num):
            draw = rng.random()
            if recent and draw < 0.02:
                row = dict(rng.choice(recent))
                if draw < 0.01:
                    row["response"] = f"Well, {row['response']}"
            else:
                topic = rng.choice(names)
                told = " ".join(_sentence(rng, TOPICS[topic]) for _ in range(9))
                mail = f" Write to user{at}@acme-tools.com." if rng.random() < 0.05 else ""
                row = {"prompt": f"Case {at}: {_sentence(rng, TOPICS[topic])}", "response": told + mail}
                recent = [*recent[-99:], row]
            out.write(json.dumps(row) + "\n")


def _sentence(rng: Random, words: Sequence[str]) -> str:
    (one, other), (do, then) = rng.choices(words, k=2), rng.choices(_VERBS, k=2)
    return f"To {do} the {one} beside {rng.randrange(10_000)} others, {then} the {other}."


def child(out: Path, files: list[str]) -> None:
    """Curate in this process, and print what it took."""
    began = time.perf_counter()
    curated = curate(files, Curation(), out)
    seconds = time.perf_counter() - began
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    own, others = (each.ru_maxrss // 1024 for each in used)
    found = {
        "seconds": round(seconds, 1),
        "cpu_seconds": round(sum(each.ru_utime + each.ru_stime for each in used), 1),
        "kept": sum(curated.splits.values()),
        "own_mib": own,
        "reader_mib": others,
    }
    print(json.dumps(found))


def measured(out: Path, *files: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "tests.bench.bench_curate", "child", str(out), *map(str, files)]
    found: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return found


def main() -> None:
    if sys.argv[1:2] == ["child"]:
        child(Path(sys.argv[2]), sys.argv[3:])
        return
    sizes = [int(size) for size in sys.argv[1:]] or SIZES
    figures: dict[str, dict[str, float]] = {}
    print(f"{len(os.sched_getaffinity(0))} cores")
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            file, more, out = (Path(folder) / name for name in ("a.jsonl", "b.jsonl", "out"))
            write_corpus(file, size)
            write_corpus(more, size // 100, seed=1)
            for what, files in (("anew", (file,)), ("with 1 % more", (file, more))):
                found = measured(out, *files)
                rate = size / found["seconds"]
                figures[f"{size} {what}"] = {**found, "rows_a_second": rate}
                print(
                    f"  {size:>9,} rows {what:<14} {found['seconds']:>8,.1f} s  {rate:>8,.0f} rows/s  "
                    f"{found['cpu_seconds']:,.1f} s of a core; "
                    f"{found['own_mib']:,.0f} MiB, a reader {found['reader_mib']:,.0f} MiB; "
                    f"{found['kept']:,.0f} kept",
                    flush=True,
                )
    keep("curate", figures)


if __name__ == "__main__":
    main()

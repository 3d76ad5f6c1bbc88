"""Mining held against what was planted: three weak slices among forty, 400 problems.

    python -m tests.bench.bench_mining [known|seldom|found|asked] [rounds]

Elsewhere one problem in five fails; with ``seldom`` it is one in a hundred to one in thirty, as of a good
model, in one kind or in two. ``known``: the task names its slices. ``found``: they are clusters of
synthetic embeddings of forty topics. ``asked``: they are clusters of real embeddings of questions about forty
topics. Of both there are a few draws, of which each round takes one. A reported slice is false where its
problems fail no more often than the others, and mixed where most of its problems are of no weak topic.
"""

import sys
from functools import cache
from statistics import mean

from engine.embeddings import embedder
from tests.support.simulated_mining import (
    ELSEWHERE,
    Draw,
    asked_topics,
    exact_bounds,
    false_shares,
    known_slices,
    one_of,
    rare_slices,
    simulate,
    synthetic_topics,
)

RATES = (ELSEWHERE, 0.4, 0.6, 0.8)
CLUSTERS = (20, 40)
SYNTHETIC, ASKED = 50, 8
"""Draws in all."""
SELDOM: dict[str, Draw] = {
    "40 slices, 400 problems": known_slices,
    **{f"12 slices, three of them rare, {num} problems": rare_slices(num) for num in (96, 240, 480)},
}


def table(title: str, draw: Draw, num: int) -> None:
    print(f"\n{title}, {num} rounds for each rate (99 % bounds exact and one-sided)")
    print("| failures in the weak slices | recall | slices reported | false | at most | mixed | at most |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for seed, rate in enumerate(RATES):
        rounds = simulate(draw, num, weak_rate=rate, seed=seed)
        false, mixed = false_shares(rounds), false_shares(rounds, mixed=True)
        cells = [
            f"{rate:.0%}" if rate > ELSEWHERE else "none is weak",
            f"{mean(each.recall for each in rounds):.1%}" if rate > ELSEWHERE else "",
            f"{mean(each.num_reported for each in rounds):.2f}",
            *(
                text
                for each in (false, mixed)
                for text in (f"{mean(each):.2%}", f"{exact_bounds(each)[1]:.2%}")
            ),
        ]
        print(f"| {' | '.join(cells)} |", flush=True)


def seldom(num: int) -> None:
    print(f"\nfailures are rare, {num} rounds for each cell (99 % bounds exact and one-sided)")
    print(
        "| slices, problems | kinds | elsewhere | none weak: false | at most | three of 40 %: found | false |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for title, draw in SELDOM.items():
        for kinds in (1, 2):
            for seed, rate in enumerate((0.01, 0.02, 0.03)):
                nothing, weak = (
                    simulate(draw, num, weak_rate=each, seed=seed, elsewhere=rate, num_faults=kinds)
                    for each in (rate, 0.4)
                )
                false = false_shares(nothing)
                cells = [
                    title,
                    str(kinds),
                    f"{rate:.0%}",
                    f"{mean(false):.2%}",
                    f"{exact_bounds(false)[1]:.2%}",
                    f"{mean(each.recall for each in weak):.1%}",
                    f"{mean(false_shares(weak)):.2%}",
                ]
                print(f"| {' | '.join(cells)} |", flush=True)


def main() -> None:
    which = sys.argv[1] if len(sys.argv) > 1 else "known"
    num = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
    match which:
        case "known":
            table("slices that the task names", known_slices, num)
        case "seldom":
            seldom(num)
        case "found":
            for clusters in CLUSTERS:
                draw = one_of(SYNTHETIC, synthetic_topics(clusters))
                table(f"{clusters} clusters of synthetic embeddings", draw, num)
        case "asked":
            once = cache(embedder())
            for clusters in CLUSTERS:
                draw = one_of(ASKED, asked_topics(clusters, lambda texts: once(tuple(texts))))
                table(f"{clusters} clusters of real embeddings", draw, num)
        case _:
            sys.exit(f"known, seldom, found or asked, got {which}")


if __name__ == "__main__":
    main()

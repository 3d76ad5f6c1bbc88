"""The hippocampus held against labelled statements, and what is found of them in talk.

    python -m tests.bench.bench_memory [judged|found|model]

``judged``: precision and recall of each decision on 500 statements, of which 100 are by hand. ``found``: what
rules find in the talks of invented people, and what is then in memory. ``model``: the same for the embedded
model with constrained decoding; some minutes.
"""

import sys
from collections import Counter
from collections.abc import Callable, Sequence

from engine.embeddings import embedder
from engine.memory.extract import by_model, by_rule
from engine.memory.judge import judge
from engine.people.dialogues import Said, talks
from engine.people.wordings import Wordings
from engine.people.world import World
from engine.records import Dialogue, Memory, Statement
from tests.support.judging import Judged, by_hand, by_seed, judged_alone, scores

SEEDS, DAYS = 10, 3
Find = Callable[[Sequence[Dialogue]], list[Statement]]


def judged() -> None:
    embed = embedder()
    made, contradictions = by_seed(400, embed)
    _decisions("100 statements written by hand", judged_alone(by_hand(), embed))
    _decisions("400 statements made by seed", made)
    print(f"\ncontradicting statements stored: {contradictions}")


def _decisions(title: str, found: Sequence[Judged]) -> None:
    print(f"\n{title}: {sum(each.right for each in found)} of {len(found)} decided rightly")
    print("| decision | made | wanted | precision | recall |\n| --- | --- | --- | --- | --- |")
    for disposal, score in scores(found).items():
        row = (disposal, score.made, score.wanted, f"{score.precision:.1%}", f"{score.recall:.1%}")
        print(f"| {' | '.join(map(str, row))} |")
    wrong = [each for each in found if not each.right]
    for each in wrong:
        said, reason = each.labelled.statement, each.judgement.reason
        print(f"- {each.labelled.expected} wanted for “{said.text}” ({said.fact.value}): {reason}")


def found(find: Find, seeds: int) -> None:
    """What is found of the statements but for remarks of the day, and what of the truth is then in memory."""
    count = Counter[str]()
    for seed in range(seeds):
        world, wordings, memories = World(seed), Wordings(), list[Memory]()
        for day in range(1, DAYS + 1):
            told = talks(world, wordings, day)
            said = find([talk for talk, _ in told])
            count.update(_compared([each for _, statements in told for each in statements], said))
            day_of = [talk for talk, _ in told]
            _, memories = judge(said, memories, wordings.attributes, dialogues=day_of, day=day)
        holding = {_place(each): each.fact.value for each in memories if not each.superseded_by}
        truth = {(fact.subject, fact.attribute): fact.value for fact in world.known(DAYS)}
        count["true"] += sum(holding.get(place) == value for place, value in truth.items())
        count["false"] += sum(holding.get(place, value) != value for place, value in truth.items())
        count["known"] += len(truth)
    print(f"found {count['right']} of {count['wanted']} statements, {count['made'] - count['right']} others")
    print(f"in memory {count['true']} of {count['known']} facts, {count['false']} with another value")


def _place(memory: Memory) -> tuple[str, str]:
    return memory.fact.subject, memory.fact.attribute


def _compared(labelled: Sequence[Said], said: Sequence[Statement]) -> Counter[str]:
    def key(each: Statement) -> tuple[object, ...]:
        fact = each.fact
        return each.dialogue, each.turn, fact.subject, fact.attribute, fact.value.casefold()

    wanted = {key(each.statement) for each in labelled if each.label != "trivial"}
    made = set(map(key, said))
    return Counter(wanted=len(wanted), made=len(made), right=len(wanted & made))


def model() -> None:
    from cluster.connect import connect
    from engine.sample.group import SamplerGroup
    from tests.bench.work import settings

    config, plan, path = settings()
    connect(plan)
    with SamplerGroup(
        config.sampler, path, threads=plan.samplers.threads, gpus=0, share_gpu=False
    ) as sampler:
        found(lambda talks: by_model(sampler, path, talks, Wordings()), 1)


def main() -> None:
    match sys.argv[1] if len(sys.argv) > 1 else "all":
        case "all":
            judged()
            found(lambda talks: by_rule(talks, Wordings()), SEEDS)
        case "judged":
            judged()
        case "found":
            found(lambda talks: by_rule(talks, Wordings()), SEEDS)
        case "model":
            model()
        case which:
            sys.exit(f"judged, found or model, got {which}")


if __name__ == "__main__":
    main()

"""SOKRATES (OaK-DPO): sample proofs, check every step, prefer the better proved.

METHODS, section 1. The steps of one round: measure the champion on fresh problems, mine where it
fails, draw problems aimed there, sample k proofs of each, verify every line, and make preference
pairs (`dpo`) or keep the verified proofs (`rft`).
"""

from pathlib import Path

from engine.curate.preferences import build
from engine.measure.evaluate import answer, measure
from engine.measure.mine import mine, slice_weights
from engine.records import Answer, TrainingSet, Weakness
from engine.sample.protocol import Sampling
from loops.context import Context
from loops.loop import Proposal


def propose(context: Context, champion: Path, round: int, seen: frozenset[str]) -> Proposal:
    """A training set for `champion`. `seen` are the ids of problems that earlier rounds used."""
    config, run, suite = context.config, context.run, context.suite
    length = config.sampler.max_new_tokens

    probe = suite.draw(config.probe.num_problems, split=f"probe-{round}", seed=config.seed, exclude=seen)
    greedy = run.step_many(
        context.stage(round, "probe"),
        Answer,
        lambda: answer(context.bench, champion, probe, Sampling(max_new_tokens=length)),
    )
    judged = frozenset(problem.id for problem in probe)
    aimed = config.propose.num_problems if config.propose.problems == "weak" else 0
    weaknesses = run.step_many(
        context.stage(round, "mine"),
        Weakness,
        lambda: mine(probe, greedy, false_discovery=config.probe.false_discovery, num_problems=aimed),
    )

    problems = suite.draw(
        config.propose.num_problems,
        split=f"propose-{round}",
        seed=config.seed,
        exclude=seen | judged,
        weights=slice_weights(suite.slices, weaknesses, config.propose.num_problems),
        questions=config.propose.questions,
    )
    sampling = Sampling(
        samples=config.propose.samples,
        temperature=config.propose.temperature,
        top_p=config.propose.top_p,
        seed=config.seed + round,
        max_new_tokens=length,
    )
    answers = run.step_many(
        context.stage(round, "sample"), Answer, lambda: answer(context.bench, champion, problems, sampling)
    )
    data = run.step(
        context.stage(round, "prefer"),
        TrainingSet,
        lambda: build(
            problems,
            answers,
            config=config.propose,
            method=config.train.method,
            system=config.system,
            seen_by_judges=judged,
            target=suite.task.target,
        ),
    )
    return Proposal(
        data=data,
        probe=measure(probe, greedy),
        weaknesses=tuple(weaknesses),
        seen=seen | judged | {problem.id for problem in problems},
    )

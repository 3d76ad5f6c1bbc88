"""The predictor q̂ on a real model: how well it foresees lines, from which layer, and what it saves.

    ratchet run configs/quickstart.yaml stop.rounds=1     # where the line has no champion yet
    python -m tests.bench.bench_predictor [MODEL] [NUM] [KEY=VALUE ...]

MODEL, a line's champion by default, answers NUM [400] fresh problems eight times each; keys change the
quickstart's config. A head learns from the first two replies to each. Further samples are then dealt out
among those that are there already, by several rules, and it is counted how many tokens each rule needs for
as many rows as two more samples of every problem bring. Replies are kept, so that a second call samples
nothing.
"""

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from configs.loops import OakDpo
from engine.disk.files import replace_file
from engine.disk.home import ratchet_home
from engine.measure.bench import open_benches
from engine.measure.evaluate import answers
from engine.models.nodes import refer_to
from engine.predict.allocate import rows_expected
from engine.predict.calibration import advantage, calibration_of
from engine.predict.head import cross_fitted, train_head
from engine.predict.predictor import BASELINES, FOLDS, NAME, marked_lines, material_of
from engine.predict.replies import further
from engine.predict.states import Place, States, read_states
from engine.predict.steps import Step, steps_of
from engine.records import Answer, Estimate, Problem, Status, from_json, to_json
from engine.registry.locate import model_dir_of
from engine.registry.registry import Registry
from engine.sample.protocol import Sampling
from engine.tasks import suite_of
from tests.bench.harness import keep
from tests.bench.work import CONFIG, settings

LINE = "prontoqa-quickstart/smollm2-135m"
SAMPLES, FIRST, MORE = 8, 2, 4
"""Replies to each problem; those that are always sampled; and those that a chosen problem gets besides."""
DEPTHS = (0.25, 0.5, 0.75, 1.0)
DEALS, RESAMPLES = 40, 200
"""Orders in which further samples are dealt, and resamples of problems for an interval."""
THRESHOLDS = (0.02, 0.05, 0.1, 0.2)


def main() -> None:
    from cluster.connect import connect

    words = [word for word in sys.argv[1:] if "=" not in word]
    if not (words or Registry(ratchet_home()).line(LINE).champion):
        print(f"skipped: {LINE} has no champion yet; `ratchet run {CONFIG} stop.rounds=1` makes one")
        return
    name, num = (words + [LINE, "400"][len(words) :])[:2]
    config, plan, _ = settings(*[word for word in sys.argv[1:] if "=" in word])
    model = model_dir_of(ratchet_home(), name)
    suite = suite_of(config)
    problems = suite.draw(int(num), split="predictor", seed=0)
    connect(plan)
    sampling = Sampling(
        samples=SAMPLES,
        temperature=config.loop.temperature,
        seed=1,
        max_new_tokens=config.sampler.max_new_tokens,
    )
    with open_benches(config.sampler, config.verify, config.system, plan, suite, model) as benches:
        system = benches.labels.system
        given = _kept(
            ratchet_home() / "bench" / f"predictor-{refer_to(model).id}-{num}.jsonl",
            lambda: list(answers(benches.labels, model, problems, sampling)),
        )
    first = [each for each in given if each.attempt.sample < FIRST]
    steps = steps_of(problems, first)
    place = Place(plan.samplers.threads, plan.samplers.gpus, config.sampler.dtype)
    began = time.perf_counter()
    states = read_states(refer_to(model), marked_lines(problems, first, steps, system), DEPTHS, place)
    seconds = time.perf_counter() - began
    print(
        f"{len(steps)} lines of {len(first)} replies to {len(problems)} problems, {_valid(steps).mean():.1%} "
        f"of them valid; {states.num_tokens:,} tokens read in {seconds:.0f} s"
    )
    foreseen = _foreseen(steps, states)
    best = min(DEPTHS, key=lambda depth: np.mean((foreseen[depth] - _valid(steps)) ** 2))
    print(f"\nfrom here on with the states at {best:g}, the best of the four: chosen on what it is shown on")
    _stopped_early(first, steps, foreseen[best])
    found = further(problems, first, steps, foreseen[best], FOLDS, 0)
    if found is None:
        print("\nno further samples are dealt: all replies came out alike")
        return
    print(f"\nfurther replies: Brier score {_text(found.advantage)} lower than from verdicts alone")
    assert isinstance(config.loop, OakDpo)
    _dealt(problems, given, found.chances, config.loop)


def _kept(file: Path, make: Callable[[], list[Answer]]) -> list[Answer]:
    if not file.exists():
        began = time.perf_counter()
        made = make()
        seconds, num = time.perf_counter() - began, sum(each.attempt.num_tokens for each in made)
        print(f"{len(made)} replies of {num:,} tokens sampled and checked in {seconds:.0f} s")
        file.parent.mkdir(parents=True, exist_ok=True)
        replace_file(file, "".join(to_json(each) + "\n" for each in made).encode())
    return [from_json(Answer, line) for line in file.read_bytes().split(b"\n")[:-1]]


def _valid(steps: Sequence[Step]) -> np.ndarray:
    return np.array([step.valid for step in steps], dtype=np.float32)


def _text(figure: Estimate) -> str:
    return f"{figure.value:.4f} ({figure.low:.4f} to {figure.high:.4f})"


def _foreseen(steps: Sequence[Step], states: States) -> dict[float, np.ndarray]:
    """The chances by each depth, out of fold, and a table of them with the baselines."""
    groups, valid, kept = [step.group for step in steps], _valid(steps), {}
    plain = material_of(steps, states, 0)
    others = {name: cross_fitted(plain, train, FOLDS, 0) for name, train in BASELINES.items()}
    heads = ("predictor", "Brier score", "calibration error", *(f"lower than {name}" for name in others))
    print(f"\n| {' | '.join(heads)} |\n| --- | --- | --- | --- | --- |")
    for depth in DEPTHS:
        own = cross_fitted(material_of(steps, states, DEPTHS.index(depth)), train_head, FOLDS, 0)
        found = calibration_of(f"{NAME}, states at {depth:g}", own, valid, groups)
        gains = [_text(advantage(own, other, valid, groups)) for other in others.values()]
        print(
            f"| {found.name} | {_text(found.brier)} | {_text(found.ece)} | {' | '.join(gains)} |", flush=True
        )
        kept[depth] = own
        keep(f"predictor-{depth:g}", {"brier": found.brier.value, "ece": found.ece.value})
    for name, other in others.items():
        found = calibration_of(name, other, valid, groups)
        print(f"| {name} | {_text(found.brier)} | {_text(found.ece)} | | |")
    return kept


def _stopped_early(given: Sequence[Answer], steps: Sequence[Step], chances: np.ndarray) -> None:
    """What it would save, and lose, to end replies after a line of little chance, or one that is refused."""
    whole = sum(each.attempt.num_tokens for each in given)
    passed = [each.verdict.status is Status.PASS for each in given]

    def stop(hopeless: np.ndarray) -> tuple[float, float]:
        """Share of tokens after the first hopeless line, and of the passing replies that have one."""
        first: dict[int, Step] = {}
        for step, is_hopeless in zip(steps, hopeless.tolist(), strict=True):
            if is_hopeless:
                first.setdefault(step.answer, step)
        saved = sum(
            given[place].attempt.num_tokens * (1 - step.end / len(given[place].attempt.text))
            for place, step in first.items()
        )
        return saved / whole, sum(passed[place] for place in first) / max(1, sum(passed))

    print("\n| a reply ends after | tokens saved | passing replies lost |\n| --- | --- | --- |")
    for threshold in THRESHOLDS:
        saved, lost = stop(chances < threshold)
        print(f"| a line of a chance under {threshold:g} | {saved:.1%} | {lost:.1%} |")
    saved, lost = stop(_valid(steps) < 0.5)
    print(f"| a line that the checker refuses | {saved:.1%} | {lost:.1%} |")


def _dealt(
    problems: Sequence[Problem], given: Sequence[Answer], chances: dict[str, float], loop: OakDpo
) -> None:
    """What rules for further samples save, against two more samples of each problem."""
    groups = [given[i : i + SAMPLES] for i in range(0, len(given), SAMPLES)]
    passed = np.array([[each.verdict.status is Status.PASS for each in group] for group in groups])
    seen, rate = passed[:, :FIRST].sum(axis=1), float(passed[:, :FIRST].mean())
    mean = float(np.mean(list(chances.values())))
    rules = {
        "q̂": [chances.get(problem.id, mean) for problem in problems],
        "verdicts alone": [(num + 2 * rate) / (FIRST + 2) for num in seen.tolist()],
        "chance": None,
        "the replies themselves, as no rule can": passed[:, FIRST:].mean(axis=1).tolist(),
    }
    came = _Came.of(groups, loop.proofs_per_problem)
    print("\n| further samples go by | tokens saved for as many rows | rows more for as many tokens |")
    print("| --- | --- | --- |")
    for name, own in rules.items():
        worth = np.zeros(len(problems))
        for place, chance in enumerate(own or ()):
            num = int(seen[place])
            worth[place] = rows_expected(chance, passed=num, failed=FIRST - num, more=MORE, settings=loop)
        saved, more = came.savings(worth)
        print(f"| {name} | {saved} | {more} |", flush=True)


class _Came(NamedTuple):
    """What came of each problem on average over the orders in which its further replies could come."""

    rows: np.ndarray
    """After the first replies, after as many again, and after MORE further ones. Shape (3, num_problems)."""
    tokens: np.ndarray
    """The same for the tokens sampled."""

    @staticmethod
    def of(groups: Sequence[Sequence[Answer]], most: int) -> "_Came":
        rng = np.random.default_rng(0)
        rows, tokens = np.zeros((3, len(groups))), np.zeros((3, len(groups)))
        for place, group in enumerate(groups):
            for _ in range(DEALS):
                dealt = [*group[:FIRST], *(group[FIRST + i] for i in rng.permutation(SAMPLES - FIRST))]
                for i, num in enumerate((FIRST, 2 * FIRST, FIRST + MORE)):
                    texts = {each.attempt.text for each in dealt[:num] if each.verdict.status is Status.PASS}
                    rows[i, place] += min(most, len(texts)) / DEALS
                    tokens[i, place] += sum(each.attempt.num_tokens for each in dealt[:num]) / DEALS
        return _Came(rows, tokens)

    def savings(self, worth: np.ndarray) -> tuple[str, str]:
        """Shares of tokens saved and of rows gained, with 95 % intervals over problems."""
        rng, num = np.random.default_rng(0), len(worth)
        weights = [np.ones(num), *rng.multinomial(num, np.full(num, 1 / num), RESAMPLES)]
        found = np.array([self._of_one(worth + 1e-9 * rng.random(num), each) for each in weights])
        low, high = (np.quantile(found[1:], at, axis=0) for at in (0.025, 0.975))
        saved, more = (
            f"{100 * value:+.1f} % ({100 * least:+.1f} to {100 * most:+.1f})"
            for value, least, most in zip(found[0], low, high, strict=True)
        )
        return saved, more

    def _of_one(self, worth: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
        """Tokens saved at as many rows, and rows more at as many tokens, of problems that are there so often.

        Where even all problems do not bring as many rows, the tokens are those of all of them.
        """
        order = np.argsort(-worth)
        rows, tokens = (
            (each[0] @ weight) + np.cumsum(((each[2] - each[0]) * weight)[order]) for each in self
        )
        wanted_rows, wanted_tokens = self.rows[1] @ weight, self.tokens[1] @ weight
        needed = min(int(np.searchsorted(rows, wanted_rows)), len(rows) - 1)
        within = min(int(np.searchsorted(tokens, wanted_tokens)), len(rows) - 1)
        return float(1 - tokens[needed] / wanted_tokens), float(rows[within] / wanted_rows - 1)


if __name__ == "__main__":
    main()

"""Writes a realistic run directory from the records: a warm start, an accepted and a refused round."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from configs.schema import Config
from engine.records import (
    Answer,
    Attempt,
    Baseline,
    Challenger,
    Check,
    Decision,
    Duel,
    Evaluation,
    Fault,
    Figure,
    Finish,
    Funnel,
    Interval,
    Likelihood,
    Look,
    Measured,
    Panel,
    Passage,
    Problem,
    ProofSteps,
    Recall,
    Reference,
    RoundRecord,
    SliceScore,
    Station,
    Status,
    StepVerdict,
    Summary,
    Theory,
    TrainFailure,
    Verdict,
    Weakness,
    to_json,
)

BASE, WARM, FIRST, SECOND = "5be1f0c2a97d4e31", "c04d7a1be8835f62", "91f2b6ce07d84a3d", "e7a85c30d1b94f26"
SECONDS = {
    "probe": 21.4,
    "mine": 0.2,
    "sample": 99.1,
    "prefer": 0.3,
    "train": 176.0,
    "alive": 3.2,
    "gate": 57.9,
    "pass-at-k": 24.6,
}


def interval(rate: float, num: int) -> Interval:
    """Build a proportion with its Wilson interval."""
    centre = (rate + 1.92 / num) / (1 + 3.84 / num)
    half = 1.96 * math.sqrt(rate * (1 - rate) / num + 0.96 / num**2) / (1 + 3.84 / num)
    return Interval(rate=rate, low=max(0.0, centre - half), high=min(1.0, centre + half), num=num)


def evaluation(model_id: str, strict: float, accuracy: float, num: int, k: int = 1) -> Evaluation:
    """Build the figures of one model, which fall with the hops; sampled where `k` is more than 1."""
    slices = []
    for hops in (1, 2, 3):
        for negation in ("no", "yes"):
            spread = 0.22 - 0.11 * hops - (0.06 if negation == "yes" else 0.0)
            here = min(0.98, max(0.0, strict + spread)) if strict else 0.0
            cell = f"hops={hops} negation={negation} distractors=1"
            each = max(1, num // 6)
            shares = {"strict": interval(here, each), "accuracy": interval(accuracy, each)}
            slices.append(SliceScore(slice=cell, shares=shares))
    figures = [
        Figure(key="strict", title="strict", value=interval(strict, num), note="right answer, valid steps"),
        Figure(key="accuracy", title="accuracy", value=interval(accuracy, num), note="right answer"),
        Figure(key="step_validity", title="valid steps", value=min(1.0, strict + 0.14)),
        Figure(key="with_answer", title="valid steps, answer counted", value=min(1.0, strict + 0.18)),
    ]
    if k > 1:
        passed = interval(min(0.97, strict + 0.19), num)
        figures += [
            Figure(key="pass_at_k", title=f"pass@{k}", value=passed, note="any of the samples passes"),
            Figure(key="majority", title="majority vote", value=interval(accuracy, num)),
        ]
    distinct = 2.31 if k > 1 else 1.0
    figures += [
        Figure(key="distinct", title="distinct completions a problem", value=distinct, unit=""),
        Figure(key="tokens", title="tokens an answer", value=54.0, unit="tokens", better="lower"),
    ]
    return Evaluation(
        model_id=model_id,
        suite="d1b0",
        k=k,
        num_problems=num,
        num_undecided=0,
        headline="strict",
        figures=tuple(figures),
        slices=tuple(slices),
    )


def measured(who: Any, where: str, *figures: Any) -> Measured:
    """Build an evaluation with its place; `figures` are the arguments of `evaluation`."""
    return Measured(who=who, where=where, evaluation=evaluation(*figures))


def problem() -> Problem:
    """Build a problem of two hops, with two premises that lead nowhere."""
    premises = (
        "Each wumpus is a tumpus.",
        "Every tumpus is not sour.",
        "Each rompus is sour.",
        "Tumpuses are zumpuses.",
        "Max is a wumpus.",
    )
    return Problem(
        id="p1",
        task="prontoqa",
        slice="hops=2 negation=yes distractors=1",
        turns=("\n".join(premises),),
        truth=Theory(premises=premises, question="Max is sour.", notation="english", answer="False"),
        gold=("Max is a tumpus. [1 5 mp] [6]\nMax is not sour. [2 6 mp] [7]\nAnswer: False",),
        split="gate",
        origin="prontoqa seed 7",
    )


def sample(before_line: str = "Max is sour. [2 6 mp] [7]", why: str = "") -> Duel:
    """Build a pair of answers: the champion's has one bad line (`before_line`), the challenger's has none."""
    first = StepVerdict(number=6, text="Max is a tumpus. [1 5 mp] [6]", valid=True, reason="")
    bad = StepVerdict(
        number=7, text=before_line, valid=False, reason=why or "mp on lines 2 and 6 gives “Max is not sour.”"
    )
    good = StepVerdict(number=7, text="Max is not sour. [2 6 mp] [7]", valid=True, reason="")

    def answer(model_id: str, last: StepVerdict, status: Status, said: str, fault: str) -> Answer:
        passed = status is Status.PASS
        steps = (first, last)
        proof = ProofSteps(
            valid=passed,
            steps=steps,
            num_valid=sum(step.valid for step in steps),
            fault_step=0 if passed else 2,
        )
        return Answer(
            attempt=attempt(model_id, f"{first.text}\n{last.text}\nAnswer: {said}"),
            verdict=Verdict(
                problem_id="p1",
                sample=0,
                status=status,
                right=passed,
                answer=said,
                fault=fault,
                verifier="rules",
                reason="" if passed else f"Line 7 is not valid: {bad.reason}",
                proof=proof,
            ),
        )

    return Duel(
        problem=problem(),
        champion=answer(WARM, bad, Status.FAIL, "True", "wrong_polarity"),
        challenger=answer(FIRST, good, Status.PASS, "False", Fault.NONE),
    )


def attempt(model_id: str, *replies: str) -> Attempt:
    """Build a greedy attempt at the problem."""
    return Attempt(
        problem_id="p1",
        model_id=model_id,
        sample=0,
        replies=replies,
        num_prompt_tokens=96,
        num_tokens=31,
        finish=Finish.STOP,
    )


def other_samples() -> tuple[Duel, ...]:
    """Build a question with known answers, a dialogue that must recall something, and a text."""
    asked = replace(
        problem(),
        slice="topic=rivers",
        turns=("Which river flows\nthrough Vienna?",),
        truth=Reference(accepted=("Danube", "the Danube"), extra={"unit": "a name"}),
        gold=("Danube",),
    )
    dialogue = replace(
        problem(),
        slice="turns=2",
        turns=("My name is Ada.", "What is my name?"),
        truth=Recall(expected=((), ("Ada", "your name")), forbidden=((), ("Bob",))),
        gold=("Hello!", "Ada"),
    )
    passage = replace(problem(), slice="domain=law", turns=(), truth=Passage(text="Whereas the party " * 20))

    def answer(model_id: str, status: Status, fault: str, *replies: str) -> Answer:
        return Answer(
            attempt=attempt(model_id, *replies),
            verdict=Verdict(
                problem_id="p1",
                sample=0,
                status=status,
                right=status is Status.PASS,
                answer=replies[-1],
                fault=fault,
                verifier="exact",
                reason="",
                grade=0.82,
            ),
        )

    def likelihood(model_id: str, nll: float) -> Likelihood:
        return Likelihood(problem_id="p1", model_id=model_id, nll=nll, num_tokens=80)

    return (
        Duel(
            problem=asked,
            champion=answer(WARM, Status.FAIL, "wrong_answer", "The Rhine"),
            challenger=answer(FIRST, Status.PASS, "none", "Danube"),
        ),
        Duel(
            problem=dialogue,
            champion=answer(WARM, Status.UNDECIDED, "verifier_limit", "Hi!", "Your name is Bob."),
            challenger=answer(FIRST, Status.PASS, "none", "Hello, Ada.", "Your name is Ada."),
        ),
        Duel(problem=passage, champion=likelihood(WARM, 164.0), challenger=likelihood(FIRST, 160.0)),
    )


def panels() -> tuple[Panel, ...]:
    """Build one panel of each kind; some of their numbers are not numbers."""
    curve = tuple((f"step {i}", f"{2.5 / (i + 1):.3f}") for i in range(12))
    return (
        Panel(
            title="Dreams kept",
            kind="bars",
            rows=(("vivid", "31"), ("dull", "12.5"), ("lost", "-4"), ("unknown", "n/a")),
            note="By kind.",
        ),
        Panel(title="Facts", kind="table", rows=(("fact", "kept"), ("name", "yes"), ("age", "no"))),
        Panel(title="Surprise", kind="curve", rows=(*curve, ("broken", "nan")), note="In nats."),
        Panel(title="Memory", kind="text", rows=(("Ada", "is a name"), ("Vienna",))),
        Panel(
            title="Recall",
            kind="heat",
            rows=(("person", "home", "born"), ("Ada", "3/4", "0/2"), ("Bob", "", "1/0"), ("Eve", "5/4", "?")),
        ),
        Panel(
            title="Foreseen",
            kind="reliability",
            rows=(
                ("head", "0.05", "2/40"),
                ("head", "0.9512", "38/40"),
                ("rate", "0.5", "40/80"),
                ("rate", "?", "1/2"),
                ("rate",),
            ),
            note="By chance.",
        ),
    )


def likely(model_id: str, nats: float, num: int) -> Evaluation:
    """Measure a model by the likelihood of texts alone, where less is better and nothing is a share."""
    head = Figure(key="nll", title="surprise", value=nats, unit="nats", note="a token", better="lower")
    return Evaluation(
        model_id=model_id,
        suite="d1b0",
        k=1,
        num_problems=num,
        num_undecided=0,
        headline="nll",
        figures=(head,),
        slices=(),
    )


def checks(superior: bool) -> tuple[Check, ...]:
    """Build the checks of a gate; after a refusal the rest did not run."""
    observed = (
        "35 wins, 11 losses after 150 problems" if superior else "11 wins, 16 losses after 150 problems"
    )
    needed = "at least 33 wins" if superior else "conditional power at least 5 %"
    rest = (
        ("no harm: english", "perplexity ratio at most 1.06", "under 1.15", 1.06, 1.15, "ratio"),
        ("no harm: instructions", "drop at most 2.1 points", "under 5 points", 0.021, 0.05, "share"),
        ("pass@4 not inferior", "drop at most −1 point", "under 10 points", -0.01, 0.1, "share"),
    )
    wins, limit = (35, 33) if superior else (11, None)
    return (
        Check(
            name="live weights", observed="512 of 512 log-probabilities differ", threshold="any", passed=True
        ),
        Check(
            name="superiority",
            observed=observed,
            threshold=needed,
            passed=superior,
            value=wins,
            limit=limit,
            unit="wins",
        ),
        *(
            Check(
                name=name,
                observed=seen if superior else "",
                threshold=bar,
                passed=superior,
                ran=superior,
                value=value if superior else None,
                limit=most,
                unit=unit,
            )
            for name, seen, bar, value, most, unit in rest
        ),
    )


def looks(superior: bool) -> tuple[Look, ...]:
    """Build cumulative interim analyses that cross at the third look, or are futile there."""
    won = ((50, 11, 4, 15, 0.71, 0.0002), (100, 21, 8, 24, 0.83, 0.0007), (150, 35, 11, 33, 1.0, 0.0016))
    lost = ((50, 4, 5, None, 0.41, 0.0002), (100, 8, 11, 18, 0.13, 0.0007), (150, 11, 16, 22, 0.03, 0.0016))
    names = ("num_problems", "wins", "losses", "boundary", "conditional_power", "spent")
    return tuple(Look(**dict(zip(names, row, strict=True))) for row in (won if superior else lost))


def challenger(model_id: str, parent_id: str, method: str) -> Challenger:
    """Build a trained model's record."""
    return Challenger(
        model_id=model_id,
        path=f"models/{model_id}",
        parent_id=parent_id,
        training_set_id="7d9e01ab33c4",
        method=method,
        num_steps=38,
        num_tokens=61_240,
        tokens_per_second=412.0,
        final_loss=0.083,
        update_size=0.0142,
        reference=(41.2, 38.9, 44.0, 52.1),
        seconds=148.0,
    )


def warm_start() -> RoundRecord:
    """Build round 0 with a warm start: a baseline without a superiority test."""
    decision = Decision(
        champion_id=BASE,
        challenger_id=WARM,
        level=0.0,
        entropy=0,
        looks=(),
        checks=checks(True)[:1] + checks(True)[2:4],
        accepted=True,
        reason="Baseline: the warm start does no harm, and later rounds are held against it.",
        second_verifier="none",
    )
    return RoundRecord(
        round=0,
        champion_before=BASE,
        champion_after=WARM,
        challenger=challenger(WARM, BASE, "sft"),
        failure=None,
        weaknesses=(),
        funnel=None,
        measured=(measured("challenger", "sampled", WARM, 0.36, 0.66, 100, 4),),
        decision=decision,
        samples=(),
        seconds={"rehearse": 31.0, "train": 175.2, "alive": 3.1},
    )


def untrained_start() -> RoundRecord:
    """Build round 0 of a run without a warm start, whose baseline is the untrained base."""
    decision = Decision(
        champion_id=BASE,
        challenger_id=BASE,
        level=0.0,
        entropy=0,
        looks=(),
        checks=(Check(name="baseline", observed="the untrained base", threshold="none", passed=True),),
        accepted=True,
        reason="Baseline: all 1 checks passed.",
        second_verifier="none",
    )
    return RoundRecord(
        round=0,
        champion_before=BASE,
        champion_after=BASE,
        challenger=None,
        failure=None,
        weaknesses=(),
        funnel=None,
        measured=(),
        decision=decision,
        samples=(),
        seconds={},
    )


def weakness() -> Weakness:
    """Build a weakness: a kind of failure that is frequent in one slice."""
    return Weakness(
        slice="hops=3 negation=yes distractors=1",
        fault="wrong_polarity",
        rate=0.44,
        elsewhere=0.11,
        low=0.24,
        high=0.65,
        p_adjusted=0.0031,
        quota=46,
    )


def judged(number: int, samples: tuple[Duel, ...] = ()) -> RoundRecord:
    """Build round 1, which is accepted, or round 2, which is refused as futile."""
    superior = number == 1
    before, after = (WARM, FIRST) if superior else (FIRST, SECOND)
    old, new = (0.37, 0.53) if superior else (0.55, 0.52)
    reason = (
        "Better: 35 wins against 11 losses, where 33 wins were needed."
        if superior
        else "Superiority was not shown: with 11 wins against 16 losses, going on would be futile."
    )
    other = Weakness(
        slice="hops=3 negation=no distractors=1",
        fault="bad_citation",
        rate=0.31,
        elsewhere=0.09,
        low=0.15,
        high=0.53,
        p_adjusted=0.041,
        quota=29,
    )
    return RoundRecord(
        round=number,
        champion_before=before,
        champion_after=FIRST,
        challenger=challenger(after, before, "rft"),
        failure=None,
        weaknesses=(weakness(), other) if superior else (other,),
        funnel=Funnel(
            stations=(
                Station(name="parsed", num_in=480, num_out=466, why="14 do not match the grammar"),
                Station(name="distinct", num_in=466, num_out=348, why="118 repeat another of their problem"),
                Station(name="decided", num_in=348, num_out=347, why="1 could not be judged"),
                Station(
                    name="verified", num_in=347, num_out=181, why="every step valid, and the answer right"
                ),
                Station(name="learnt", num_in=181, num_out=66, why="at most 2 of each problem"),
            )
        ),
        measured=(
            measured("champion", "probe", before, old - 0.01, old + 0.24, 96),
            measured("champion", "gate", before, old, old + 0.25, 150),
            measured("challenger", "gate", after, new, new + 0.22, 150),
            measured("champion", "sampled", before, old, old + 0.2, 100, 4),
            measured("challenger", "sampled", after, new, new + 0.2, 100, 4),
        ),
        decision=Decision(
            champion_id=before,
            challenger_id=after,
            level=0.025,
            entropy=266_841_093_377_201_905,
            looks=looks(superior),
            checks=checks(superior),
            accepted=superior,
            reason=reason,
            second_verifier="none",
        ),
        samples=samples or (sample(), sample("Max is a zumpus. [4 6 mp] [7]", "the proof does not end here")),
        seconds=SECONDS,
    )


def failed(number: int, failure: TrainFailure) -> RoundRecord:
    """Build a round that ended when its training failed, without challenger, looks or checks."""
    decision = Decision(
        champion_id=FIRST,
        challenger_id="",
        level=0.0,
        entropy=0,
        looks=(),
        checks=(),
        accepted=False,
        reason="No challenger was made.",
        second_verifier="none",
    )
    return RoundRecord(
        round=number,
        champion_before=FIRST,
        champion_after=FIRST,
        challenger=None,
        failure=failure,
        weaknesses=(),
        funnel=None,
        measured=(measured("champion", "probe", FIRST, 0.54, 0.77, 96),),
        decision=decision,
        samples=(),
        seconds={"probe": 20.9, "train": 12.0},
    )


def write_run(run_dir: Path, rounds: tuple[RoundRecord, ...], ended: bool = True) -> Path:
    """Write the files of a run with these rounds, as a campaign does."""
    run_dir.mkdir(parents=True, exist_ok=True)
    config = Config(name="quickstart", line="prontoqa/smollm2-135m", budget="new")
    (run_dir / "config.yaml").write_text(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False))
    environment = {
        "python": "3.11.9",
        "platform": "Linux x86_64",
        "cpus": 2,
        "packages": {"torch": "2.13.0", "ray": "2.60.0"},
    }
    (run_dir / "environment.json").write_text(json.dumps(environment))
    base = (
        measured("base", "few_shot", BASE, 0.0, 0.48, 48),
        measured("base", "sampled", BASE, 0.0, 0.51, 48, 4),
    )
    (run_dir / "baseline.json").write_text(to_json(Baseline(measured=base)))
    with (run_dir / "metrics.jsonl").open("w") as metrics:
        for record in rounds:
            directory = run_dir / "rounds" / f"{record.round:03d}"
            directory.mkdir(parents=True)
            (directory / "round.json").write_text(to_json(record))
            duel = sample()
            answers = {"probe": duel.champion, "sample": duel.champion, "pass-at-k": duel, "mine": weakness()}
            for stage in answers.keys() & record.seconds.keys():
                (directory / f"{stage}.jsonl").write_text(to_json(answers[stage]) + "\n")
            for step in range(1, 39):
                row = {
                    "time": 1.0 * step,
                    "round": record.round,
                    "stage": "train",
                    "step": step,
                    "loss": (1.6 if record.round == 0 else 0.35) * math.exp(-step / 11)
                    + 0.08
                    + 0.01 * (step % 3),
                    "learning_rate": 3e-4 * min(step / 4, 0.5 + 0.5 * math.cos(math.pi * step / 38)),
                    "grad_norm": 2.4 * math.exp(-step / 15) + 0.3 + 0.1 * (step % 4),
                }
                metrics.write(json.dumps(row) + "\n")
    if ended:
        summary = Summary(
            run_id=run_dir.name,
            line=config.line,
            champion=rounds[-1].champion_after if rounds else BASE,
            rounds=len(rounds),
            accepted=1,
            refused=1,
            stop_reason="All 2 rounds are done.",
            seconds=803.0,
            ledgers_opened=3,
            headline="strict",
            base=0.0,
            baseline=0.35,
            best=0.47,
            report=str(run_dir / "report.html"),
        )
        (run_dir / "summary.json").write_text(to_json(summary))
    return run_dir

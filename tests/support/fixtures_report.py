"""A realistic run directory, written from the records: warm start, an accepted round, a refused one."""

import json
import math
from pathlib import Path

import yaml

from configs.schema import Config
from engine.records import (
    Attempt,
    Challenger,
    Check,
    Decision,
    Evaluation,
    Fault,
    Finish,
    Funnel,
    Interval,
    Look,
    Problem,
    RoundRecord,
    Sample,
    SliceScore,
    Status,
    StepVerdict,
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
    """A proportion with its Wilson interval."""
    centre = (rate + 1.92 / num) / (1 + 3.84 / num)
    half = 1.96 * math.sqrt(rate * (1 - rate) / num + 0.96 / num**2) / (1 + 3.84 / num)
    return Interval(rate=rate, low=max(0.0, centre - half), high=min(1.0, centre + half), num=num)


def evaluation(model_id: str, strict: float, accuracy: float, num: int, k: int = 1) -> Evaluation:
    """Figures of one model, falling with the hops; sampled where `k` is more than 1."""
    slices = []
    for hops in (1, 2, 3):
        for negation in ("no", "yes"):
            spread = 0.22 - 0.11 * hops - (0.06 if negation == "yes" else 0.0)
            here = min(0.98, max(0.0, strict + spread)) if strict else 0.0
            cell = f"hops={hops} negation={negation} distractors=1"
            each = max(1, num // 6)
            slices.append(
                SliceScore(slice=cell, strict=interval(here, each), accuracy=interval(accuracy, each))
            )
    return Evaluation(
        model_id=model_id,
        suite="d1b0",
        accuracy=interval(accuracy, num),
        strict=interval(strict, num),
        step_validity=min(1.0, strict + 0.14),
        step_validity_with_answer=min(1.0, strict + 0.18),
        num_undecided=0,
        pass_at_k=interval(min(0.97, strict + 0.19), num) if k > 1 else None,
        k=k,
        majority=interval(accuracy, num) if k > 1 else None,
        distinct_per_problem=2.31 if k > 1 else 1.0,
        mean_tokens=54.0,
        slices=tuple(slices),
    )


def problem() -> Problem:
    """A problem of two hops, with two premises that lead nowhere."""
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
        premises=premises,
        question="Max is sour.",
        prompt="\n".join(premises),
        gold_answer="False",
        gold_text="Max is a tumpus. [1 5 mp] [6]\nMax is not sour. [2 6 mp] [7]\nAnswer: False",
        notation="english",
        split="gate",
        origin="prontoqa seed 7",
    )


def sample(before_line: str = "Max is sour. [2 6 mp] [7]", why: str = "") -> Sample:
    """The problem, answered by the champion with one bad line (`before_line`) and well by the challenger."""
    first = StepVerdict(number=6, text="Max is a tumpus. [1 5 mp] [6]", valid=True, reason="")
    bad = StepVerdict(
        number=7, text=before_line, valid=False, reason=why or "mp on lines 2 and 6 gives “Max is not sour.”"
    )
    good = StepVerdict(number=7, text="Max is not sour. [2 6 mp] [7]", valid=True, reason="")

    def attempt(model_id: str, text: str) -> Attempt:
        return Attempt(
            problem_id="p1",
            model_id=model_id,
            sample=0,
            text=text,
            num_prompt_tokens=96,
            num_tokens=31,
            finish=Finish.STOP,
        )

    def verdict(status: Status, steps: tuple[StepVerdict, ...], answer: str, fault: Fault) -> Verdict:
        passed = status is Status.PASS
        return Verdict(
            problem_id="p1",
            sample=0,
            status=status,
            answer_right=passed,
            proof_valid=passed,
            answer=answer,
            steps=steps,
            num_valid_steps=sum(step.valid for step in steps),
            fault=fault,
            fault_step=0 if passed else 2,
            verifier="rules",
            reason="" if passed else f"Line 7 is not valid: {bad.reason}",
        )

    return Sample(
        problem=problem(),
        before=attempt(WARM, f"{first.text}\n{before_line}\nAnswer: True"),
        before_verdict=verdict(Status.FAIL, (first, bad), "True", Fault.WRONG_POLARITY),
        after=attempt(FIRST, f"{first.text}\n{good.text}\nAnswer: False"),
        after_verdict=verdict(Status.PASS, (first, good), "False", Fault.NONE),
    )


def checks(superior: bool) -> tuple[Check, ...]:
    """The checks of a gate as people see them; after a refusal the rest did not run."""
    observed = (
        "35 wins, 11 losses after 150 problems" if superior else "11 wins, 16 losses after 150 problems"
    )
    needed = "at least 33 wins" if superior else "conditional power at least 5 %"
    rest = (
        ("no harm: english", "perplexity ratio at most 1.06", "under 1.15"),
        ("no harm: instructions", "drop at most 2.1 points", "under 5 points"),
        ("pass@4 not inferior", "difference at least +1 point", "over −10 points"),
    )
    return (
        Check(
            name="live weights", observed="512 of 512 log-probabilities differ", threshold="any", passed=True
        ),
        Check(name="superiority", observed=observed, threshold=needed, passed=superior),
        *(
            Check(name=name, observed=seen if superior else "", threshold=bar, passed=superior, ran=superior)
            for name, seen, bar in rest
        ),
    )


def looks(superior: bool) -> tuple[Look, ...]:
    """Cumulative interim analyses: crossing at the third look, or futile there."""
    won = ((50, 11, 4, 15, 0.71, 0.0002), (100, 21, 8, 24, 0.83, 0.0007), (150, 35, 11, 33, 1.0, 0.0016))
    lost = ((50, 4, 5, None, 0.41, 0.0002), (100, 8, 11, 18, 0.13, 0.0007), (150, 11, 16, 22, 0.03, 0.0016))
    names = ("num_problems", "wins", "losses", "boundary", "conditional_power", "spent")
    return tuple(Look(**dict(zip(names, row, strict=True))) for row in (won if superior else lost))


def challenger(model_id: str, parent_id: str, method: str) -> Challenger:
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
    """Round 0: a baseline without a superiority test."""
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
        champion_probe=None,
        champion_gate=None,
        challenger_gate=None,
        champion_sampled=None,
        challenger_sampled=evaluation(WARM, 0.36, 0.66, 100, k=4),
        decision=decision,
        samples=(),
        seconds={"rehearse": 31.0, "train": 175.2, "alive": 3.1},
    )


def judged(number: int, samples: tuple[Sample, ...] = ()) -> RoundRecord:
    """Round 1 is accepted and round 2 refused as futile."""
    superior = number == 1
    before, after = (WARM, FIRST) if superior else (FIRST, SECOND)
    old, new = (0.37, 0.53) if superior else (0.55, 0.52)
    reason = (
        "Better: 35 wins against 11 losses, where 33 wins were needed."
        if superior
        else "Superiority was not shown: with 11 wins against 16 losses, going on would be futile."
    )
    weak = Weakness(
        slice="hops=3 negation=yes distractors=1",
        fault=Fault.WRONG_POLARITY,
        rate=0.44,
        elsewhere=0.11,
        low=0.24,
        high=0.65,
        p_adjusted=0.0031,
        quota=46,
    )
    other = Weakness(
        slice="hops=3 negation=no distractors=1",
        fault=Fault.BAD_CITATION,
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
        weaknesses=(weak, other) if superior else (other,),
        funnel=Funnel(
            problems=120,
            generated=480,
            unparsed=14,
            duplicate=118,
            leaked=0,
            undecided=1,
            failed=166,
            kept=181,
            unsolved_problems=23,
            trivial_problems=31,
            rows=66,
        ),
        champion_probe=evaluation(before, old - 0.01, old + 0.24, 96),
        champion_gate=evaluation(before, old, old + 0.25, 150),
        challenger_gate=evaluation(after, new, new + 0.22, 150),
        champion_sampled=evaluation(before, old, old + 0.2, 100, k=4),
        challenger_sampled=evaluation(after, new, new + 0.2, 100, k=4),
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
    """A round whose training ended it: no challenger, no looks, no checks."""
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
        champion_probe=evaluation(FIRST, 0.54, 0.77, 96),
        champion_gate=None,
        challenger_gate=None,
        champion_sampled=None,
        challenger_sampled=None,
        decision=decision,
        samples=(),
        seconds={"probe": 20.9, "train": 12.0},
    )


def write_run(run_dir: Path, rounds: tuple[RoundRecord, ...], ended: bool = True) -> Path:
    """Write the files of a run as a campaign does, up to `rounds`."""
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
    few_shot, sampled = evaluation(BASE, 0.0, 0.48, 48), evaluation(BASE, 0.0, 0.51, 48, k=4)
    (run_dir / "baseline.json").write_text(
        f'{{"few_shot": {to_json(few_shot)}, "sampled": {to_json(sampled)}}}'
    )
    with (run_dir / "metrics.jsonl").open("w") as metrics:
        for record in rounds:
            directory = run_dir / "rounds" / f"{record.round:03d}"
            directory.mkdir(parents=True)
            (directory / "round.json").write_text(to_json(record))
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
        summary = {
            "run_id": run_dir.name,
            "line": config.line,
            "champion": rounds[-1].champion_after if rounds else BASE,
            "rounds": len(rounds),
            "accepted": 1,
            "refused": 1,
            "stop_reason": "All 2 rounds are done.",
            "seconds": 803.0,
            "ledgers_opened": 3,
        }
        (run_dir / "summary.json").write_text(json.dumps(summary))
    return run_dir

"""Trials from end to end on scripted models: real problems, verifiers, gate, ledger and stages."""

import json
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from configs.load import from_tree
from configs.schema import Gate
from engine.disk.steps import Run
from engine.gate.arithmetic import GateError
from engine.gate.elsewhere import sentinels
from engine.gate.terms import Trial
from engine.gate.trial import Evidence, conclude, try_baseline, try_challenger
from engine.measure.bench import Bench
from engine.measure.evaluate import TooManyUndecided, VerifierFault
from engine.models.identity import Model
from engine.models.liveness import TEXTS
from engine.records import (
    Answer,
    Decision,
    Duel,
    Evaluation,
    Interval,
    Score,
    SentinelScores,
    from_json,
)
from engine.registry.ledger import CommittedTest, LedgerUsedUp
from engine.registry.registry import Registry
from tests.support.proof_helpers import proof
from tests.support.scripted import ANSWERS, SUITE, VERIFIER, Script, Scripted
from tests.support.verifiers import kept_pool

pytestmark = pytest.mark.slow

LINE = "test/tiny"
SETTINGS = from_tree(
    {
        "name": "tiny",
        "line": LINE,
        "gate": {"looks": 4, "look_size": 20, "entropy": 5, "planned_tests": 2},
    },
    "test",
).gate


@contextmanager
def trial(
    tmp_path: Path,
    sampler: Scripted,
    *,
    run_id: str = "r",
    max_undecided: float = 0.05,
    gate: Gate = SETTINGS,
    second: str = "",
) -> Iterator[tuple[Trial, Registry]]:
    tmp_path.mkdir(exist_ok=True)
    run = Run.create(tmp_path, from_tree({"name": "tiny", "line": LINE}, "test"), run_id)
    registry = Registry(tmp_path)
    registry.open_ledger(LINE, alpha=0.05, planned_tests=2, run_id=run_id, fresh=False)

    def model(name: str) -> Model:
        return Model(id=name, path=Path(name))

    verifier = f"{VERIFIER}:verify + {VERIFIER}:{second}" if second else f"{VERIFIER}:verify"
    with kept_pool(verifier, seconds=1.0) as pool:
        yield (
            Trial(
                run=run,
                prefix="rounds/001/",
                bench=Bench(sampler, pool, "", max_undecided, second),
                suite=SUITE,
                settings=gate,
                max_new_tokens=64,
                champion=model("champion"),
                challenger=model("challenger"),
                reference=(sampler.models["challenger"].nll,) * len(TEXTS),
                frozen=model("frozen"),
                base=model("base"),
                seen=frozenset(),
            ),
            registry,
        )
    run._lock.close()


def judge(tmp_path: Path, sampler: Scripted, **settings) -> tuple[Evidence, Decision, Registry]:
    with trial(tmp_path, sampler, **settings) as (each, registry):
        evidence = try_challenger(each, registry, LINE, 1)
        return evidence, conclude(each, evidence), registry


def scripted(**changes: Script) -> Scripted:
    models = {
        "base": Script(skill=0.0),
        "frozen": Script(nll=101.0),
        "champion": Script(nll=102.0),
        "challenger": Script(skill=0.95, nll=103.0),
    }
    return Scripted(**(models | changes))


def statuses(duel: Duel) -> tuple[str, str]:
    assert isinstance(duel.champion, Answer) and isinstance(duel.challenger, Answer)
    return duel.champion.verdict.status, duel.challenger.verdict.status


def committed(registry: Registry) -> tuple[CommittedTest, ...]:
    ledger = registry.line(LINE).ledger
    assert ledger
    return ledger.tests


def measured(evidence: Evidence, who: str, where: str) -> Evaluation | None:
    found = [each.evaluation for each in evidence.measured if (each.who, each.where) == (who, where)]
    assert len(found) <= 1
    return found[0] if found else None


def strict(evaluation: Evaluation | None) -> Interval:
    assert evaluation and isinstance(evaluation.head.value, Interval)
    return evaluation.head.value


def names(decision: Decision, *, ran: bool) -> list[str]:
    return [check.name for check in decision.checks if check.ran is ran]


def test_a_better_challenger_is_accepted_on_evidence(tmp_path: Path) -> None:
    evidence, decision, registry = judge(tmp_path, scripted())
    assert decision.accepted, decision.reason
    assert names(decision, ran=True) == ["superiority", "alive", "pass@4", "english", "instructions"]
    assert (decision.level, decision.entropy, decision.second_verifier) == (0.025, 5, "none")
    last = decision.looks[-1]
    assert last.boundary is not None and last.wins >= last.boundary and last.losses == 0
    assert last.num_problems == 20 * len(decision.looks) < 80  # stopped early
    places = [(who, where) for where in ("gate", "sampled") for who in ("champion", "challenger")]
    assert [(each.who, each.where) for each in evidence.measured] == places
    before, after, sampled = (measured(evidence, *place) for place in (*places[:2], places[3]))
    assert before and after and before.suite == after.suite
    assert strict(before).num == last.num_problems == before.num_problems
    assert strict(after).rate > strict(before).rate
    assert sampled and sampled.k == 4 and sampled.figure("pass_at_k").number > 0.9
    outcomes = {statuses(duel) for duel in evidence.samples}
    assert ("FAIL", "PASS") in outcomes and len(evidence.samples) <= 16
    (test,) = committed(registry)
    assert test.rejected_null is True and test.challenger_id == "challenger"


def test_an_equal_challenger_is_refused_and_later_checks_are_not_run(tmp_path: Path) -> None:
    sampler = scripted(challenger=Script(nll=103.0))
    evidence, decision, registry = judge(tmp_path, sampler)
    assert not decision.accepted
    assert decision.reason.startswith("superiority: 0 won, 0 lost of ")
    assert names(decision, ran=True) == ["superiority", "alive"]
    assert names(decision, ran=False) == ["pass@4", "english", "instructions"]
    assert measured(evidence, "champion", "sampled") is None
    assert measured(evidence, "challenger", "gate") is not None
    assert committed(registry)[0].rejected_null is False
    assert not any("frozen" in call or "base" in call for call in sampler.calls)


def test_a_worse_challenger_is_stopped_early(tmp_path: Path) -> None:
    _, decision, _ = judge(tmp_path, scripted(challenger=Script(skill=0.1, nll=103.0)))
    assert not decision.accepted and len(decision.looks) < 4
    assert decision.looks[-1].losses > decision.looks[-1].wins == 0


@pytest.mark.parametrize("nll", [102.0, math.nan, math.inf])
def test_a_challenger_that_is_the_champion_or_not_finite_is_refused_before_any_problem(
    tmp_path: Path, nll: float
) -> None:
    sampler = scripted(challenger=Script(skill=0.95, nll=nll))
    evidence, decision, registry = judge(tmp_path, sampler)
    assert not decision.accepted and decision.reason.startswith("alive: log-likelihoods ")
    assert names(decision, ran=True) == ["alive"] and decision.looks == ()
    assert names(decision, ran=False) == ["superiority", "pass@4", "english", "instructions"]
    assert evidence.measured == () and evidence.samples == () == evidence.duels
    assert (evidence.level, evidence.entropy) == (0.025, 5)
    assert not any(call.startswith("sample") for call in sampler.calls)
    assert committed(registry)[0].rejected_null is False


def test_an_engine_that_does_not_run_what_was_trained_is_refused(tmp_path: Path) -> None:
    """As vLLM on a CPU does after a plain reload: the new body under the old head."""
    sampler = scripted()
    with trial(tmp_path, sampler) as (each, registry):
        trained = replace(each, reference=(103.0, 103.0, 103.0, 95.0))
        evidence = try_challenger(trained, registry, LINE, 1)
    decision = conclude(each, evidence)
    assert not decision.accepted and "0.04 nats a token from the trainer's" in decision.reason
    assert not any(call.startswith("sample") for call in sampler.calls)


@pytest.mark.parametrize("who", ["champion", "challenger"])
def test_answers_of_other_weights_are_refused(tmp_path: Path, who: str) -> None:
    sampler = scripted()
    sampler.models[who] = replace(sampler.models[who], reports="impostor")
    with pytest.raises(GateError, match=f"was answered by impostor, on trial is {who}"):
        judge(tmp_path, sampler)
    assert not any(call.startswith("sample") for call in sampler.calls), "liveness tells before any problem"


def test_answers_of_other_weights_are_refused_at_the_sentinels(tmp_path: Path) -> None:
    sampler = scripted(frozen=Script(nll=101.0, reports="impostor"))
    with pytest.raises(GateError, match="was answered by impostor, on trial is frozen"):
        judge(tmp_path, sampler)


def test_the_embeddings_of_a_trial_show_how_far_replies_lie_apart(tmp_path: Path) -> None:
    def embed(texts: Sequence[str]) -> np.ndarray:
        return np.eye(2)[[len(text) % 2 for text in texts]]

    with trial(tmp_path, scripted(challenger=Script(instructed=0.0))) as (each, _):
        plain, seen = (sentinels(replace(each, embed=how), each.frozen).watched for how in (None, embed))
    assert [len(one.after) for one in seen] == [0, len(plain[1].after) + 1], "documents have no replies"
    before, after = seen[1].before[-1], seen[1].after[-1]
    assert before.key == after.key == "spread" and before.number > 0.3
    assert after.number == 0.0, "all that it says is one sentence"


def test_a_sentinel_that_is_not_finite_refuses_the_challenger_without_a_crash(tmp_path: Path) -> None:
    class Broken(Scripted):
        """A model that gives no number on prose alone: it is alive."""

        def score(self, model: Path, texts: Sequence[str]) -> list[Score]:
            scores = super().score(model, texts)
            if model.name == "challenger" and len(texts) > len(TEXTS):
                return [Score(math.nan, 50, "challenger"), *scores[1:-1], Score(math.inf, 50, "challenger")]
            return scores

    sampler = Broken(**scripted().models)
    _, decision, registry = judge(tmp_path, sampler)
    assert not decision.accepted
    assert decision.reason == "english: 2 documents not finite; needed: perplexity ratio under 1.150."
    assert committed(registry)[0].rejected_null is True
    stage = tmp_path / "runs/r/sentinels/english/challenger.json"
    scores = from_json(SentinelScores, stage.read_text()).scores
    assert math.isnan(scores[0]) and scores[-1] == math.inf and len(scores) == 64
    # Resumed from what was written, it is refused again.
    silent = scripted()
    assert judge(tmp_path, silent)[1] == decision and silent.calls == []


def test_only_suites_that_are_switched_on_are_asked(tmp_path: Path) -> None:
    own = tmp_path / "sums.jsonl"
    rows = [{"id": f"sum-{i}", "prompt": f"{i} + 1?", "accept": [str(i + 1)]} for i in range(100)]
    own.write_text("".join(json.dumps(row) + "\n" for row in rows))
    ANSWERS.update({row["prompt"]: row["accept"][0] for row in rows})
    sentinels = SETTINGS.sentinels.model_copy(update={"suites": [str(own), "english"]})
    gate = SETTINGS.model_copy(update={"sentinels": sentinels})
    sampler = scripted()
    _, decision, _ = judge(tmp_path, sampler, gate=gate)
    assert decision.accepted, decision.reason
    assert names(decision, ran=True) == ["superiority", "alive", "pass@4", "sums", "english"]
    folder = tmp_path / "runs/r/sentinels"
    assert sorted(path.name for path in folder.iterdir()) == ["english", "sums"]
    assert sorted(path.stem for path in (folder / "sums").iterdir()) == ["base", "challenger", "frozen"]
    shown = next(check for check in decision.checks if check.name == "sums")
    assert "100.0% -> 100.0% (base 100.0%) of 100" in shown.observed

    harmed = scripted(challenger=Script(skill=0.95, nll=103.0, instructed=0.0))
    _, decision, _ = judge(tmp_path, harmed, gate=gate, run_id="two")
    assert decision.reason.startswith("sums: 100.0% -> 0.0%")
    english = SETTINGS.sentinels.model_copy(update={"suites": ["english"]})
    _, decision, _ = judge(
        tmp_path / "english", harmed, gate=SETTINGS.model_copy(update={"sentinels": english}), run_id="three"
    )
    assert decision.accepted, "instructions were asked though they are switched off"


def test_a_suite_that_changes_during_a_run_is_an_integrity_failure(tmp_path: Path) -> None:
    own = tmp_path / "own.jsonl"
    rows = [{"id": f"r{i}", "prompt": f"{i}?", "accept": ["x"]} for i in range(100)]
    own.write_text("".join(json.dumps(row) + "\n" for row in rows))
    ANSWERS.update({row["prompt"]: "x" for row in rows})
    sentinels = SETTINGS.sentinels.model_copy(update={"suites": [str(own)]})
    gate = SETTINGS.model_copy(update={"sentinels": sentinels})
    assert judge(tmp_path, scripted(), gate=gate)[1].accepted
    for changed in (rows[:90], rows[::-1], [*rows[:-1], rows[-1] | {"accept": ["y"]}]):
        own.write_text("".join(json.dumps(row) + "\n" for row in changed))
        with pytest.raises(
            GateError, match="suite own has other rows than .* was asked: the file has changed"
        ):
            judge(tmp_path, scripted(), gate=gate)


def test_harm_to_english_or_instructions_refuses_a_better_challenger(tmp_path: Path) -> None:
    for run_id, harmed, failed in (
        ("one", Script(skill=0.95, nll=120.0), "english"),
        ("two", Script(skill=0.95, nll=103.0, instructed=0.0), "instructions"),
    ):
        _, decision, registry = judge(tmp_path / run_id, scripted(challenger=harmed), run_id=run_id)
        assert not decision.accepted and decision.reason.startswith(f"{failed}: ")
        assert [check.name for check in decision.checks if not check.passed] == [failed]
        assert committed(registry)[0].rejected_null is True


def test_every_check_holds_its_number_beside_its_sentence(tmp_path: Path) -> None:
    _, decision, _ = judge(tmp_path, scripted())
    units = {check.name: check.unit for check in decision.checks}
    assert units == {
        "superiority": "wins",
        "alive": "nats a token",
        "pass@4": "share",
        "english": "ratio",
        "instructions": "share",
    }
    for check in decision.checks:
        assert check.value is not None and check.limit is not None
        assert check.value >= check.limit if check.name == "superiority" else check.value < check.limit


def test_harm_is_measured_against_the_frozen_champion_not_the_present_one(tmp_path: Path) -> None:
    """Small losses, each within the margin, must not add up over the rounds."""
    models = {"frozen": Script(nll=100.0), "champion": Script(nll=107.0)}
    _, decision, _ = judge(tmp_path, scripted(**models, challenger=Script(skill=0.95, nll=114.0)))
    assert not decision.accepted and decision.reason.startswith("english: perplexity x 1.3")


@pytest.mark.parametrize(
    ("champion", "challenger", "losses"),
    [
        (Script(skill=0.0, hangs=1.0, nll=102.0), Script(skill=1.0), 0),
        (Script(skill=1.0, nll=102.0), Script(skill=0.0, hangs=1.0), 2),
        (Script(skill=0.0, nll=102.0), Script(skill=0.0, hangs=1.0), 0),
    ],
)
def test_undecided_counts_against_the_challenger(
    tmp_path: Path, champion: Script, challenger: Script, losses: int
) -> None:
    """Else a challenger could win by making the verifier give up."""
    gate = SETTINGS.model_copy(update={"looks": 1, "look_size": 2})
    models = scripted(champion=champion, challenger=challenger)
    _, decision, _ = judge(tmp_path, models, max_undecided=1.0, gate=gate)
    assert not decision.accepted
    assert (decision.looks[0].wins, decision.looks[0].losses) == (0, losses)


def test_too_many_undecided_stop_the_round_and_the_test_stays_spent(tmp_path: Path) -> None:
    sampler = scripted(challenger=Script(hangs=0.2, nll=103.0))
    with pytest.raises(TooManyUndecided, match="of 20 answers could not be judged"):
        judge(tmp_path, sampler)
    (test,) = committed(Registry(tmp_path))
    assert test.rejected_null is None


def test_a_second_verifier_confirms_every_pass_and_stands_in_the_decision(tmp_path: Path) -> None:
    evidence, decision, _ = judge(tmp_path, scripted(), second="confirm")
    assert decision.accepted and decision.second_verifier == "confirm"
    judges = {
        duel.challenger.verdict.verifier
        for duel in evidence.duels
        if isinstance(duel.challenger, Answer) and proof(duel.challenger.verdict).valid
    }
    assert judges == {"rules + z3 5.4.0"}


def test_a_proof_that_the_second_verifier_refutes_ends_the_trial(tmp_path: Path) -> None:
    with pytest.raises(VerifierFault, match=r"rules accepts, z3 5.4.0 refutes: line 4 is wrong"):
        judge(tmp_path, scripted(), second="refute", max_undecided=1.0)
    (test,) = committed(Registry(tmp_path))
    assert test.rejected_null is None


def test_a_trial_is_resumed_from_its_stages_with_the_same_decision(tmp_path: Path) -> None:
    first = judge(tmp_path, scripted())
    silent = scripted()
    again = judge(tmp_path, silent)
    assert again[:2] == first[:2] and silent.calls == []
    assert len(committed(Registry(tmp_path))) == 1


def test_a_trial_cut_off_while_judging_goes_on_to_the_same_decision(tmp_path: Path) -> None:
    slight = Script(skill=0.75, nll=103.0)
    whole = judge(tmp_path / "whole", scripted(challenger=slight))[1]
    judge(tmp_path / "cut", scripted(challenger=slight))
    journal = tmp_path / "cut/runs/r/journal.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    cut = next(i for i, line in enumerate(lines) if json.loads(line)["stage"].endswith("look-02"))
    journal.write_text("".join(lines[:cut]))
    resumed = scripted(challenger=slight)
    assert judge(tmp_path / "cut", resumed)[1] == whole
    assert len(whole.looks) > 1 and "score challenger" in resumed.calls


def test_a_used_up_ledger_refuses_the_next_test(tmp_path: Path) -> None:
    with trial(tmp_path, scripted()) as (each, registry):
        for round in (1, 2):
            registry.commit_test(LINE, run_id="r", round=round, challenger_id=str(round))
        with pytest.raises(LedgerUsedUp):
            try_challenger(each, registry, LINE, 3)
    assert not (tmp_path / "runs/r/rounds/001/look-01.jsonl").exists()


def test_the_baseline_is_held_against_the_base_without_a_test(tmp_path: Path) -> None:
    sampler = scripted(challenger=Script(skill=0.2, nll=103.0))
    with trial(tmp_path, sampler) as (each, registry):
        evidence = try_baseline(each)
        decision = conclude(each, evidence)
        assert committed(registry) == ()
    assert decision.accepted and decision.reason == "Baseline: all 3 checks passed."
    assert names(decision, ran=True) == ["alive", "english", "instructions"]
    assert evidence.looks == () and evidence.measured == ()
    assert (decision.level, decision.entropy) == (0.0, 0)
    assert "sample frozen" not in sampler.calls and "sample base" in sampler.calls


def test_a_baseline_that_does_harm_or_is_not_alive_is_refused(tmp_path: Path) -> None:
    for name, changed, failed in (
        ("harm", Script(nll=130.0), "english"),
        ("dead", Script(nll=102.0), "alive"),
    ):
        with trial(tmp_path / name, scripted(challenger=changed)) as (each, _):
            decision = conclude(each, try_baseline(each))
        assert not decision.accepted and decision.reason.startswith(f"{failed}: ")
        assert names(decision, ran=False) == ([] if failed == "english" else ["english", "instructions"])


def test_no_problem_of_the_gate_was_seen_before(tmp_path: Path) -> None:
    drawn = SUITE.draw(60, split="gate", seed=5)
    seen = frozenset(problem.id for problem in drawn[:30])
    with trial(tmp_path, scripted()) as (each, registry):
        evidence = try_challenger(replace(each, seen=seen), registry, LINE, 1)
    folder = tmp_path / "runs/r/rounds/001"
    lines = [line for file in folder.glob("*.jsonl") for line in file.read_text().splitlines()]
    asked = [json.loads(line)["problem"]["id"] for line in lines]
    assert asked and not seen & set(asked)
    looks = [json.loads(line)["problem"]["id"] for file in folder.glob("look-*") for line in file.open()]
    sampled = [json.loads(line)["problem"]["id"] for line in (folder / "pass-at-k.jsonl").open()]
    assert len(looks) == len(set(looks)) and not set(looks) & set(sampled)
    assert evidence.looks

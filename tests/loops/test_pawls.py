"""Two pawls from round to round on scripted models: real gate, registry, stages and report."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from configs.schema import Config
from engine.disk.steps import Run
from engine.records import End, RoundRecord, Start, from_json, to_json
from engine.registry.lines import EventKind, Line
from engine.registry.registry import Registry
from engine.registry.touched import touched_by, written_by
from loops import context as one_context
from loops.context import Context
from tests.support.scripted import Script
from tests.support.scripted_campaign import LINE, config_of, ends, play, played
from tests.support.scripted_experiment import write_model

pytestmark = pytest.mark.slow

LUCKY = 0.7
"""Start of a share that wins more than it loses in the first round's draw, and not in the second's."""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("base"), 0.0)


def skilled(*skills: float, instructed: tuple[float, ...] = ()) -> dict[str, Script]:
    """Champion m0 and the challengers of rounds 1, 2, ...; each has log-likelihoods of its own."""
    names = ["m0", *(f"c{number}" for number in range(1, len(skills)))]
    keeps = instructed or (1.0,) * len(skills)
    return {
        name: Script(skill=skill, nll=100.0 + 0.1 * number, instructed=keep)
        for number, (name, skill, keep) in enumerate(zip(names, skills, keeps, strict=True))
    }


def test_steps_add_up_to_a_proof(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No step would be shown by itself; three together are."""
    models = skilled(0.3, 0.33, 0.36, 0.60)
    records, registry, sampler = play(tmp_path, config_of(base, 3), models, monkeypatch)
    assert ends(records) == ["carried", "carried", "proven trial"]
    first, second, third = records
    assert [record.parent for record in records] == ["m0", "c1", "c2"]
    assert [record.champion_after for record in records] == ["m0", "m0", "c3"]
    assert [record.working_after for record in records] == ["c1", "c2", ""]
    assert first.due is None and second.due is not None and second.due.trial is None
    assert third.due is not None and third.due.trial is not None
    trial = third.due.trial
    assert (trial.champion_id, trial.challenger_id, trial.level) == ("m0", "c3", 0.025)
    assert trial.looks and [check.name for check in trial.checks if check.ran] == [
        "superiority", "alive", "pass@2", "english", "instructions",
    ]  # fmt: skip
    assert third.decision.champion_id == "c2" and third.decision.level == 0
    line = registry.line(LINE)
    assert (line.champion, line.working, line.epoch) == ("c3", None, 5)
    assert line.ledger is not None and line.ledger.num_left == 1
    whose = {(each.who, each.where) for each in third.measured}
    assert whose >= {("working", "carry"), ("challenger", "carry"), ("champion", "gate"), ("working", "gate")}
    # The champion answers only where a proof is due, and the working model's answers are not asked again.
    assert sampler.calls.count("sample m0") == 3 + 2 + len(trial.looks) + 1
    page = (tmp_path / "runs/r/report.html").read_text()
    assert "Champion c3 is proven better than the one before it (proven in round 3)." in page


def test_people_can_follow_what_is_done_and_what_came_of_it(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    (_, last), *_ = play(tmp_path, config_of(base, 2), skilled(0.3, 0.4, 0.95), monkeypatch)
    assert last.due and last.due.trial and last.due.trial.accepted
    assert "no harm elsewhere" in last.seconds
    lines = iter(message.strip() for message in caplog.messages)
    for wanted in (
        "champion and challenger answer 60 fresh problems …",
        "won, ",
        "champion and challenger answer 20 other problems 2 times each …",
        "No harm elsewhere: the challenger reads 64 texts of english …",
        "Round 1: carried. Looks better, which is not proven: ",
        "working model and challenger answer 60 fresh problems …",
        "The champion answers the same 60 problems …",
        "The gate: champion and working model answer 20 fresh problems, look 1 of at most 4 …",
        f"so far {last.due.trial.looks[0].wins} won, {last.due.trial.looks[0].losses} lost of 20",
        "Round 2: proven. Better, and all ",
    ):
        # In this order, with other lines between.
        assert any(wanted in line for line in lines), wanted


def test_a_trial_is_held_on_problems_that_nothing_before_has_touched(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The seed is pinned, so that only what is left out keeps the draws of the rounds apart."""
    play(tmp_path, config_of(base, 4), skilled(0.3, 0.4, 0.6, 0.7, 0.95), monkeypatch)
    stages = sorted((tmp_path / "runs/r").glob("rounds/*/*.jsonl"))
    drawn = [ids(file) for file in stages if "look" in file.stem or "pass-at-k" in file.stem]
    assert len(drawn) == 4 + 4 + 2 + 2 + 2, "carried four times, tried twice on two looks"
    assert sum(map(len, drawn)) == len(set().union(*drawn))


def ids(file: Path) -> set[str]:
    return {json.loads(line)["problem"]["id"] for line in file.read_text().splitlines()}


def test_what_does_not_look_better_is_dropped_and_the_line_goes_on(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = skilled(0.3, 0.5, 0.4, 0.9)
    del models["c3"]
    records, registry, _ = play(tmp_path, config_of(base, 3), models, monkeypatch)
    assert ends(records) == ["carried", "proven trial", "dropped"]
    assert records[1].decision.accepted is False and records[1].champion_after == "c1"
    assert records[2].failure is not None and records[2].due is None
    kinds = [event.kind for event in registry.history(LINE)]
    assert kinds.count(EventKind.DROPPED) == 1 and kinds.count(EventKind.PROMOTED) == 1


def test_a_working_line_found_worse_is_given_up(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lucky draw carries what is no better; the next draw shows it before anything is claimed."""
    models = {"m0": Script(skill=0.5), "c1": Script(skill=0.5, start=LUCKY, nll=100.1)}
    records, registry, _ = play(tmp_path, config_of(base, 3), models, monkeypatch)
    assert ends(records) == ["carried", "dropped back", "dropped"]
    due = records[1].due
    assert (
        due is not None and due.trial is None and due.returned.startswith("Found worse than the champion: ")
    )
    assert [record.parent for record in records] == ["m0", "c1", "m0"]
    line = registry.line(LINE)
    assert (line.champion, line.working) == ("m0", None)
    assert line.ledger is not None and line.ledger.num_left == line.ledger.planned_tests, "no budget is spent"


def test_harm_that_creeps_is_never_promoted_past_the_margin(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each challenger is better by some points and forgets about one request of a hundred more."""
    rounds = 8
    models = skilled(
        *(0.3 + 0.08 * number for number in range(rounds + 1)),
        instructed=tuple(1.0 - 0.012 * number for number in range(rounds + 1)),
    )
    config = config_of(base, rounds, carry={"problems": 60, "prove_every": 3})
    records, registry, _ = play(tmp_path, config, models, monkeypatch)
    kept = models[registry.line(LINE).champion or ""].instructed
    assert kept > 0.95, "the champion has lost more than the margin"
    assert ends(records) == [
        *("carried", "carried", "carried trial", "carried"),
        *("dropped", "dropped trial back", "dropped", "dropped"),
    ]
    trials = [record.due.trial for record in records if record.due and record.due.trial]
    assert all(trial.reason.startswith("instructions: ") for trial in trials)
    back = records[5]
    assert back.due and "2 trials refused it; the last: instructions: " in back.due.returned
    assert (back.working_after, back.champion_after, records[6].parent) == ("", "m0", "m0")
    dropped = [record.decision.reason for record in records if record.end is End.DROPPED]
    assert all(reason.startswith("instructions: ") for reason in dropped), "the cheap guard sees it too"
    page = (tmp_path / "runs/r/report.html").read_text()
    assert "Back to the champion. 2 trials refused it; the last: instructions" in page


def test_refusals_that_end_a_campaign_are_followed_by_its_last_proof(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = skilled(0.3, 0.7, 0.2, 0.2, 0.2)
    config = config_of(base, 9, refusals=2, planned_tests=3, carry={"problems": 60, "prove_every": 9})
    records, registry, _ = play(tmp_path, config, models, monkeypatch)
    assert ends(records) == ["carried", "dropped", "proven trial"]
    assert registry.line(LINE).champion == "c1"
    ledger = registry.line(LINE).ledger
    assert ledger is not None and ledger.num_left, "it was not the error budget that ended it"


def test_a_later_campaign_goes_on_from_what_an_earlier_one_carried(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(base, 2, planned_tests=4)
    models = skilled(0.5, 0.56)
    monkeypatch.setattr(one_context, "unleaked", lambda suite, texts, fresh: suite)
    with monkeypatch.context() as patch:
        patch.setattr(Context, "written", lambda self, round: ["Max is red."])
        records, registry, _ = play(tmp_path, config, models, patch, run_id="one")
    assert written_by(tmp_path, LINE) == ("Max is red.",)
    assert ends(records) == ["carried", "dropped trial"]
    assert registry.line(LINE).working == records[-1].working_after == "c1"
    page = (tmp_path / "runs/one/report.html").read_text()
    assert "No gain is proven: m0 stays champion. Working model c1 looks better" in page

    models |= {"c2": Script(skill=0.9, nll=104.0)}
    records, registry, _ = play(tmp_path, config, models, monkeypatch, run_id="two", first=2)
    assert [record.parent for record in records] == ["c1", "c2"]
    assert registry.line(LINE).champion == "c2"
    start = from_json(Start, (tmp_path / "runs/two/start.json").read_bytes())
    assert start.written == ("Max is red.",), "of which nothing is judged that leaks from it"
    # The seed is pinned to the same for both: what the working model has to do with is not drawn again.
    first, second = (asked(tmp_path / "runs" / run) for run in ("one", "two"))
    assert len(first) > 60 and len(second) > 60 and not first & second

    # Going over the earlier campaign again leaves alone what belongs to the line as it is now.
    kept = touched_by(tmp_path, LINE)
    del models["c2"]
    play(tmp_path, config, models, monkeypatch, run_id="one")
    assert touched_by(tmp_path, LINE) == kept


def asked(run: Path) -> set[str]:
    found = [ids(file) for file in run.glob("rounds/*/*.jsonl") if "look" in file.stem]
    return set().union(*found)


def test_trials_that_refused_a_working_line_count_over_campaigns(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, models = config_of(base, 2, planned_tests=4), skilled(0.5, 0.56)
    first, _, _ = play(tmp_path, config, models, monkeypatch, run_id="one")
    second, registry, _ = play(tmp_path, config, models, monkeypatch, run_id="two", first=5)
    assert ends(first) == ["carried", "dropped trial"] and ends(second) == ["dropped", "dropped trial back"]
    assert registry.line(LINE).working is None


def test_a_ledger_that_others_have_used_up_ends_the_campaign_and_loses_no_round(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, models = config_of(base, 4, planned_tests=1), skilled(0.3, 0.5, 0.9)
    assert killed(tmp_path, config, models, monkeypatch, "rounds/002/ready:after")
    registry = Registry(tmp_path)
    registry.open_ledger(LINE, alpha=0.05, planned_tests=1, run_id="other", fresh=False)
    registry.commit_test(LINE, run_id="other", round=1, challenger_id="x")
    records, registry, _ = play(tmp_path, config, models, monkeypatch)
    assert ends(records) == ["carried", "carried"]
    due = records[1].due
    assert due is not None and due.trial is None and "is used up" in due.untried
    line = registry.line(LINE)
    assert (line.champion, line.working) == ("m0", "c2")
    assert "It could not be tried: the error ledger" in (tmp_path / "runs/r/report.html").read_text()


def test_a_round_whose_last_test_another_run_has_spent_is_refused_and_not_lost(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, models = config_of(base, 2, planned_tests=1, carry=False), skilled(0.3, 0.9, 0.9)
    assert killed(tmp_path, config, models, monkeypatch, "rounds/001/alive:after")
    registry = Registry(tmp_path)
    registry.open_ledger(LINE, alpha=0.05, planned_tests=1, run_id="other", fresh=False)
    registry.commit_test(LINE, run_id="other", round=1, challenger_id="x")
    (record,), _, why = played(tmp_path, config, models, monkeypatch)
    (check,) = record.decision.checks
    assert check.name == "error budget" and "is used up" in check.observed
    assert record.challenger and record.decision.challenger_id == record.challenger.model_id == "c1"
    assert why == "The error budget of 1 planned test is used up."


def test_what_other_ledgers_of_the_line_have_left_is_not_asked(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, models = config_of(base, 2, carry=False), skilled(0.3, 0.9, 0.9)
    assert killed(tmp_path, config, models, monkeypatch, "rounds/001/round:after")
    registry = Registry(tmp_path)
    registry.open_ledger(LINE, alpha=0.05, planned_tests=1, run_id="other", fresh=True)
    registry.commit_test(LINE, run_id="other", round=1, challenger_id="x")
    records, _, why = played(tmp_path, config, models, monkeypatch)
    assert ends(records) == ["proven", "dropped"] and why == "All 2 rounds are done."


def test_a_round_that_has_begun_is_played_to_its_end_when_its_time_is_over(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, models = config_of(base, 2, hours=1.0, carry=False), skilled(0.3, 0.9, 0.9)
    assert killed(tmp_path, config, models, monkeypatch, "rounds/001/alive:after")
    monkeypatch.setattr(Run, "total_seconds", 3601.0)
    records, _, why = played(tmp_path, config, models, monkeypatch)
    assert ends(records) == ["proven"] and why == "The time is over: stop.hours=1."


def test_killed_between_the_two_moves_of_one_round(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The challenger of round 2 is carried and proven: the registry follows with both, each once."""
    config, models = config_of(base, 2), skilled(0.3, 0.45, 0.9)
    _, whole, _ = play(tmp_path / "whole", config, models, monkeypatch)
    home = tmp_path / "killed"
    with monkeypatch.context() as dying:
        dying.setattr(Registry, "promote", dies_at_a_trials(Registry.promote))
        assert killed(home, config, models, dying, "")
    assert Registry(home).line(LINE).working == "c2"
    _, after, _ = play(home, config, models, monkeypatch)
    assert history(after) == history(whole) and after.line(LINE).champion == "c2"


def dies_at_a_trials(promote: Callable[..., Line]) -> Callable[..., Line]:
    """Instead of promoting what was proven, the process dies."""

    def call(self: Registry, line: str, model_id: str, **how: Any) -> Line:
        if not how.get("baseline"):
            os.kill(os.getpid(), signal.SIGKILL)
        return promote(self, line, model_id, **how)

    return call


STAGES = (
    "carry",
    "rounds/001/carry-alive",
    "rounds/001/carry-look",
    "rounds/001/carry-pass-at-k",
    "rounds/001/last",
    "rounds/001/round",
    "rounds/002/ready",
    "rounds/002/alive",
    "rounds/002/look-01",
    "rounds/002/pass-at-k",
    "rounds/002/round",
)


def told(records: list[RoundRecord]) -> list[dict]:
    trees = [json.loads(to_json(record)) for record in records]
    return [{key: value for key, value in tree.items() if key not in ("seconds", "usage")} for tree in trees]


def killed(
    home: Path, config: Config, models: dict[str, Script], monkeypatch: pytest.MonkeyPatch, fault: str
) -> bool:
    """Whether a campaign of another process dies at a fault point."""
    child = os.fork()
    if not child:
        os.environ["RATCHET_FAULT"] = fault
        play(home, config, models, monkeypatch)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def history(registry: Registry) -> list[tuple]:
    return [(event.kind, event.round, event.model_id, event.epoch) for event in registry.history(LINE)]


@pytest.mark.parametrize(
    "moments", [("inside",), pytest.param(("before", "inside", "after"), marks=pytest.mark.soak)]
)
def test_killed_at_every_new_stage(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moments: tuple[str, ...]
) -> None:
    config, models = config_of(base, 3, hours=100.0), skilled(0.3, 0.45, 0.9, 0.2)
    wanted, registry, _ = play(tmp_path / "whole", config, models, monkeypatch)
    assert ends(wanted) == ["carried", "proven trial", "dropped"]
    home = tmp_path / "killed"
    for stage in STAGES:
        for when in moments:
            assert killed(home, config, models, monkeypatch, f"{stage}:{when}"), (stage, when)
    records, after, _ = play(home, config, models, monkeypatch)
    assert told(records) == told(wanted)
    assert history(after) == history(registry)
    assert after.line(LINE) == registry.line(LINE)


def test_what_a_working_line_left_behind_may_be_pruned_while_its_campaign_is_interrupted(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, models = config_of(base, 3), skilled(0.3, 0.33, 0.36, 0.60)
    wanted, _, _ = play(tmp_path / "whole", config, models, monkeypatch)
    home = tmp_path / "pruned"
    assert killed(home, config, models, monkeypatch, "rounds/003/carry-look:inside")
    freed = Registry(home).prune()
    assert [model.manifest.model_id for model in freed] == ["c1"]
    records, registry, _ = play(home, config, models, monkeypatch)
    assert told(records) == told(wanted) and registry.line(LINE).champion == "c3"


@pytest.mark.parametrize("carry", [False, {"problems": 60, "prove_every": 2}])
def test_verifiers_that_disagree_end_the_round_and_promote_nothing(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, carry: Any
) -> None:
    config, models = config_of(base, 2, carry=carry), skilled(0.3, 0.9, 0.9)
    records, registry, sampler = play(tmp_path, config, models, monkeypatch, second="refute")
    assert ends(records) == ["dropped", "dropped"]
    for record in records:
        (check,) = record.decision.checks
        assert check.name == "verifier" and "refute" in check.observed
        assert record.challenger and record.decision.challenger_id == record.challenger.model_id
    assert registry.line(LINE).champion == "m0" and registry.line(LINE).working is None
    # A round that was stopped is not taken up again.
    asked = len(sampler.calls)
    again, _, sampler = play(tmp_path, config, models, monkeypatch, second="refute")
    assert again == records and asked and not sampler.calls
    freed = [model.manifest.model_id for model in registry.prune()]
    assert sorted(freed) == ["c1", "c2"], "the registry knows what became of them"

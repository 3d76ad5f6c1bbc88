"""The whole loop through the real Ray, vLLM and TRL on a tiny model, and killed while it trains.

A run that is killed is a process of its own; others share an engine (`tests/support/kept.py`).
"""

import json
import shutil
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from engine.records import End
from tests.support.cli import cli
from tests.support.golden import assert_as_golden
from tests.support.kept import Here
from tests.support.runs import CONFIG, essence, finish, journal, kill_when, problem_ids, ratchet, rounds

pytestmark = pytest.mark.engine


@pytest.fixture(scope="session")  # tests on the Ray of the session come after all others
def undisturbed(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    out = finish(ratchet(home, "run", CONFIG, f"base={tiny_model}", "run_id=r", "--json"))
    summary = json.loads(out.strip().splitlines()[-1])
    assert summary["rounds"] == 2
    return home


def test_a_campaign_trains_judges_records_and_reports(undisturbed: Path) -> None:
    run = undisturbed / "runs" / "r"
    records = rounds(run)
    assert [record.round for record in records] == [0, 1, 2]
    warm = records[0]
    assert warm.decision.accepted and warm.challenger is not None and warm.decision.level == 0
    judged = [record for record in records[1:] if record.decision.looks]
    assert judged, "no round reached the gate"
    for record in judged:
        assert record.decision.entropy == 7
        assert record.funnel is not None and record.funnel.station("passed").num_out > 0
        champion, challenger = (record.evaluation(who, "gate") for who in ("champion", "challenger"))
        assert champion is not None and challenger is not None
        assert champion.suite == challenger.suite
        assert record.decision.second_verifier == "none"
    metrics = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert {entry["round"] for entry in metrics} >= {0, 1}
    assert max(Counter(journal(run)).values()) == 1
    assert "<html" in (run / "report.html").read_text()
    registry = json.loads(cli(undisturbed, "models", "--json").stdout)
    assert registry["lines"][0]["champion"] == records[-1].champion_after


def test_every_stage_says_what_it_said_before_the_records_changed_their_shape(undisturbed: Path) -> None:
    assert_as_golden(undisturbed / "runs" / "r", "campaign")


def test_killed_while_training(undisturbed: Path, tiny_model: Path, tmp_path: Path, here: Here) -> None:
    run = tmp_path / "runs" / "r"
    start = ("run", CONFIG, f"base={tiny_model}", "run_id=r", "stop.rounds=1")

    process = ratchet(tmp_path, *start)
    training = run / "rounds" / "001" / "training"
    kill_when(process, lambda: any(training.glob("first-*/metrics.jsonl")))
    assert "rounds/001/train" not in journal(run) and "rounds/001/sample" in journal(run)

    # A config that was changed in between is refused, and costs nothing.
    refused = cli(tmp_path, *start, "loop.samples=3")
    assert refused.returncode == 2 and "another config" in refused.stderr

    here(tmp_path, *start)
    assert max(Counter(journal(run)).values()) == 1
    expected = undisturbed / "runs" / "r"
    # That one went on to a second round.
    done, whole = ({stage for stage in journal(each) if "rounds/" in stage} for each in (run, expected))
    assert done == {stage for stage in whole if "rounds/002" not in stage}
    assert [essence(record) for record in rounds(run)] == [essence(record) for record in rounds(expected)[:2]]
    for stage in ("rounds/001/probe", "rounds/001/sample"):
        assert problem_ids(run, stage) == problem_ids(expected, stage)
        assert len(set(problem_ids(run, stage))) == len(problem_ids(run, stage))


def test_what_is_carried_is_proven_later(tiny_model: Path, tmp_path: Path, here: Here) -> None:
    """The warm start learns too little, so that rounds have something to gain."""
    run, carries = tmp_path / "runs" / "r", "gate.carry={problems: 40, prove_every: 2}"
    learns = ("warm_start.train.epochs=5", "loop.temperature=0.8", "baseline=null", "final.num_problems=8")
    given = (carries, "gate.sentinels.suites=[english]", *learns)
    out = here(tmp_path, "run", CONFIG, f"base={tiny_model}", "run_id=r", "--json", *given)
    summary = json.loads(out.strip().splitlines()[-1])
    _, first, second = rounds(run)
    assert first.end is End.CARRIED and first.challenger is not None and first.due is None
    assert (first.champion_after, first.working_after) == (first.champion_before, first.challenger.model_id)
    assert first.evaluation("champion", "probe") and second.evaluation("working", "probe")
    assert second.parent == first.working_after and second.challenger is not None
    assert second.challenger.parent_id == second.parent
    assert second.due is not None and second.due.trial is not None and second.due.trial.looks
    assert second.end is End.PROVEN and second.champion_before == first.champion_after
    assert (summary["accepted"], summary["carried"], summary["refused"]) == (1, 1, 0)
    assert summary["champion"] == second.champion_after and summary["working"] == ""
    problems = [id for stage in ("carry-look", "look-01") for id in judged_ids(run / "rounds/002", stage)]
    assert len(set(problems)) == len(problems) == 40 + 20


def judged_ids(folder: Path, stage: str) -> list[str]:
    lines = (folder / f"{stage}.jsonl").read_text().splitlines()
    return [json.loads(line)["problem"]["id"] for line in lines]


@pytest.mark.soak
def test_verifiers_that_disagree_end_the_round_and_promote_nothing(
    undisturbed: Path, tiny_model: Path, tmp_path: Path
) -> None:
    shutil.copytree(undisturbed / "registry", tmp_path / "registry")
    refuted = (
        "task={name: tests/support/refuted_task.py}",
        "stop.rounds=1",
        "start=champion",
        "gate.entropy=8",
    )
    process = ratchet(tmp_path, "run", CONFIG, f"base={tiny_model}", "run_id=again", *refuted)
    out, err = process.communicate(timeout=600)
    # Nor can the sealed problems be judged, and the summary says so.
    assert process.returncode == 0, err[-3000:]
    assert "not judged: " in out and "refuter refutes: nothing is proved" in out
    (stopped,) = rounds(tmp_path / "runs" / "again")
    (check,) = stopped.decision.checks
    assert check.name == "verifier" and "refuter refutes: nothing is proved" in check.observed
    assert not stopped.decision.accepted and stopped.champion_after == stopped.champion_before
    done = journal(tmp_path / "runs" / "again")
    assert "rounds/001/train" in done
    # Nothing of it is taken up again.
    resumed = ratchet(tmp_path, "resume", "again")
    err = resumed.communicate(timeout=600)[1]
    assert resumed.returncode == 0, err[-2000:]
    assert "rounds/001" not in err and journal(tmp_path / "runs" / "again") == done


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.soak)])
def test_a_signal_while_training_leaves_a_resumable_run(
    tiny_model: Path, tmp_path: Path, number: int, default_sigint: None
) -> None:
    endless = "warm_start.train.epochs=1000"
    process = ratchet(tmp_path, "run", CONFIG, f"base={tiny_model}", "run_id=r", endless)
    training = tmp_path / "runs" / "r" / "rounds" / "000" / "training"
    deadline = time.monotonic() + 300
    while not any(training.glob("first-*/metrics.jsonl")):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.1)
    process.send_signal(number)
    err = process.communicate(timeout=60)[1]
    assert process.returncode == 130, err[-3000:]
    assert "ratchet resume r" in err
    assert "Traceback" not in err

"""What rounds are recorded to have taken: added up from the journal, over resumes, and never guessed."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from configs.load import from_tree
from engine.disk import steps
from engine.disk.meter import Meter
from engine.disk.steps import Run
from engine.records import Check, RoundRecord, Summary, Usage, from_json, to_json
from loops.usage import usage_of
from tests.support.fixtures_report import judged
from tests.support.runs import ended, reopened

DONE = Check(name="alive", observed="yes", threshold="yes", passed=True)
PLAN: Any = SimpleNamespace(num_cpus=4, num_gpus=2)


def a_run(home: Path, **changes: Any) -> Run:
    return Run.create(home, from_tree({"name": "t", "line": "a/b", **changes}, "t"), "r")


def with_stages(run: Run, **seconds: float) -> Run:
    """The run as a later process finds it, with stages that took so long and an amount of energy each."""
    run.close()
    with (run.path / "journal.jsonl").open("a") as journal:
        for name, each in seconds.items():
            number, _, stage = name.partition("_")
            entry = {"stage": f"rounds/{number[1:]:0>3}/{stage}", "seconds": each, "sha256": "", "time": 0.0}
            journal.write(json.dumps(entry | {"cpu_joules": 10 * each, "peak_mib": round(each)}) + "\n")
    return Run(run.path)


@pytest.mark.parametrize(("per", "cost"), [("hour", 2.0), ("core_hour", 8.0), ("gpu_hour", 4.0)])
def test_a_round_costs_its_finished_stages_over_all_sessions(tmp_path: Path, per: str, cost: float) -> None:
    run = a_run(tmp_path, price={"amount": 4.0, "per": per, "currency": "EUR"})
    run = with_stages(run, r1_probe=600.0, r2_probe=7200.0)
    run = with_stages(run, r1_train=1200.0)
    usage = usage_of(run, PLAN, run.taken("rounds/001/"), 1)
    assert (usage.cost, usage.currency) == (cost, "EUR")
    assert (usage.cpu_joules, usage.gpu_joules, usage.driver_mib) == (18_000, None, 1200)
    whole = usage_of(run, PLAN, run.taken(""))
    assert whole.cost == pytest.approx(cost * 5) and whole.cpu_joules == 90_000
    again = reopened(run)
    assert usage_of(again, PLAN, again.taken("rounds/001/"), 1) == usage


def test_a_stage_costs_what_its_own_machine_held(tmp_path: Path) -> None:
    run = a_run(tmp_path, price={"amount": 1.0, "per": "core_hour", "currency": "EUR"})
    for stage, seconds, cores in (("probe", 36_000.0, 16), ("train", 3600.0, 4)):
        run.held = {"cores": cores, "gpus": 0}
        run.step(f"rounds/001/{stage}", Check, lambda: DONE)
        file = run.path / "journal.jsonl"
        *before, last = file.read_text().splitlines()
        changed = json.dumps(json.loads(last) | {"seconds": seconds})
        file.write_text("".join(f"{line}\n" for line in (*before, changed)))
        run.close()
        run = Run(run.path)
    assert usage_of(run, PLAN, run.taken("rounds/001/"), 1).cost == 10 * 16 + 4


def test_energy_that_one_stage_lacks_is_not_measured(tmp_path: Path) -> None:
    """As where a run of an earlier version goes on, or on another machine."""
    run = with_stages(a_run(tmp_path), r1_probe=5.0, r1_train=5.0)
    assert usage_of(run, PLAN, run.taken("rounds/001/"), 1).cpu_joules == 100
    file = run.path / "journal.jsonl"
    run.close()
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    del lines[0]["cpu_joules"], lines[0]["peak_mib"]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    again = Run(run.path)
    usage = usage_of(again, PLAN, again.taken("rounds/001/"), 1)
    assert (usage.cpu_joules, usage.driver_mib) == (None, 5)
    assert usage.shown() == {
        "driver memory": "5 MiB",
        "worker memory": "–",
        "processor energy": "not measured",
        "GPU energy": "not measured",
        "cost": "no price given",
    }


def test_the_worker_of_a_round_is_known_from_its_steps(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    steps = [(1, "train", 300), (1, "train-2", 900), (2, "train", 400)]
    run.metrics([{"round": number, "stage": it, "step": 1, "memory_mib": mib} for number, it, mib in steps])
    run.metrics([{"round": 1, "stage": "train", "step": 2, "validation_loss": 1.0, "memory_mib": 500}])
    assert usage_of(run, PLAN, run.taken("rounds/001/"), 1).worker_mib == 900
    assert usage_of(run, PLAN, run.taken("rounds/002/"), 2).worker_mib == 400
    assert usage_of(run, PLAN, run.taken("rounds/003/"), 3).worker_mib is None
    assert usage_of(run, PLAN, run.taken("")).worker_mib == 900


def test_what_is_measured_reaches_the_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    used = [0.0, 0.0]
    meter = Meter(lambda: used[0], lambda: used[1], often=1e6)
    monkeypatch.setattr(steps, "meter", lambda: meter)
    run = a_run(tmp_path)

    def work() -> Check:
        used[0] += 3.6e6
        used[1] += 1234.0
        return DONE

    run.step("rounds/001/probe", Check, work)
    shown = usage_of(run, PLAN, run.taken("rounds/001/"), 1).shown()
    assert shown["processor energy"] == "3,600,000 J (1 kWh)"
    assert shown["GPU energy"] == "1,234 J (0.000343 kWh)"


def test_records_with_and_without_it_are_read() -> None:
    usage = Usage(
        num_cpus=2, num_gpus=0, driver_mib=1, worker_mib=None, cpu_joules=None, gpu_joules=None, cost=0.5
    )
    record, summary = judged(1), ended()
    for cls, whole in ((RoundRecord, record), (Summary, summary)):
        tree = json.loads(to_json(whole))
        assert tree.pop("usage") is None
        assert from_json(cls, json.dumps(tree)) == whole
        tree["usage"] = json.loads(to_json(usage))
        assert from_json(cls, json.dumps(tree)).usage == usage
    assert "GPU energy" not in usage.shown(), "a machine without GPUs lacks none"

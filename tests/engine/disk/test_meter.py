"""What stages take: counted once, whatever nests, runs over, is killed or can no longer be read."""

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from configs.load import from_tree
from engine.disk import steps
from engine.disk.energy import Joules, rapl
from engine.disk.meter import STATUS, Meter
from engine.disk.steps import Run
from engine.records import Check
from tests.support.runs import reopened

DONE = Check(name="alive", observed="yes", threshold="yes", passed=True)


class Machine:
    """Counters that a test turns on by hand."""

    def __init__(self) -> None:
        self.cpu: float | None = 100.0
        self.gpu: float | None = 0.0

    def work(self, cpu: float = 0.0, gpu: float = 0.0) -> Check:
        assert self.cpu is not None and self.gpu is not None
        self.cpu, self.gpu = self.cpu + cpu, self.gpu + gpu
        return DONE


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    counters = Machine()
    metered(monkeypatch, lambda: counters.cpu, lambda: counters.gpu)
    return counters


def metered(
    monkeypatch: pytest.MonkeyPatch, cpu: Joules | None, gpu: Joules | None, often: float = 1e6
) -> None:
    meter = Meter(cpu, gpu, often)
    monkeypatch.setattr(steps, "meter", lambda: meter)


def a_run(home: Path) -> Run:
    return Run.create(home, from_tree({"name": "t", "line": "a/b"}, "t"), "r")


def joules(run: Run) -> dict[str, tuple[float, float]]:
    return {name: (it["cpu_joules"], it["gpu_joules"]) for name, it in run.taken("").items()}


def test_energy_of_a_stage_inside_another_counts_once(tmp_path: Path, machine: Machine) -> None:
    run = a_run(tmp_path)

    def outer() -> Check:
        machine.work(1)
        run.step("inner", Check, lambda: machine.work(20, 5))
        return machine.work(2, 1)

    run.step("outer", Check, outer)
    machine.work(1000)
    run.step("later", Check, lambda: machine.work(4))
    assert joules(run) == {"inner": (20, 5), "outer": (3, 1), "later": (4, 0)}
    assert joules(reopened(run)) == joules(run)


def test_a_counter_that_is_lost_is_not_made_up(tmp_path: Path, machine: Machine) -> None:
    run = a_run(tmp_path)

    def lose() -> Check:
        machine.gpu = None
        return DONE

    run.step("lost", Check, lose)
    run.step("after", Check, lambda: DONE)
    machine.gpu = 0.0
    run.step("again", Check, lambda: machine.work(gpu=3))
    assert [it.get("gpu_joules") for it in run.taken("").values()] == [None, None, 3]
    assert all("cpu_joules" in it for it in run.taken("").values())


def test_a_machine_without_counters_leaves_times_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metered(monkeypatch, None, None)
    run = a_run(tmp_path)
    run.step("only", Check, lambda: time.sleep(0.1) or DONE)
    (entry,) = run.taken("").values()
    assert entry["seconds"] >= 0.1 and not {"cpu_joules", "gpu_joules"} & entry.keys()


def test_a_stage_longer_than_a_counter_is_read_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The counter runs over twice: read at the stage's ends alone, 2.7 J would be 0.7 J."""
    zone = tmp_path / "powercap" / "intel-rapl:0"
    zone.mkdir(parents=True)
    for name, text in (("name", "package-0"), ("max_energy_range_uj", "999999"), ("energy_uj", "100000")):
        (zone / name).write_text(text)
    counter, reads = rapl(zone.parent), [0]
    assert counter is not None

    def read() -> float | None:
        joules = counter()
        reads[0] += 1
        return joules

    metered(monkeypatch, read, None, often=0.005)

    def long() -> Check:
        for place in ("800000", "600000", "400000", "800000"):
            (zone / "next").write_text(place)
            os.replace(zone / "next", zone / "energy_uj")  # whole, as a counter is read
            before, deadline = reads[0], time.monotonic() + 30
            while reads[0] < before + 2:
                assert time.monotonic() < deadline, "nothing reads it"
                time.sleep(0.001)
        return DONE

    run = a_run(tmp_path)
    run.step("long", Check, long)
    assert run.taken("")["long"]["cpu_joules"] == pytest.approx(2.7, abs=1e-3)


def test_a_stage_that_is_killed_and_made_again_counts_once(tmp_path: Path, machine: Machine) -> None:
    run = a_run(tmp_path)
    run.step("first", Check, lambda: machine.work(7))
    run.close()
    child = os.fork()
    if not child:
        os.environ["RATCHET_FAULT"] = "second:inside"
        Run(run.path).step("second", Check, lambda: machine.work(1000))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    machine.work(1000)  # by others, while the run is down
    again = Run(run.path)
    again.step("first", Check, lambda: pytest.fail("made again"))
    again.step("second", Check, lambda: machine.work(30))
    assert {name: cpu for name, (cpu, _) in joules(again).items()} == {"first": 7, "second": 30}
    lines = [json.loads(line) for line in (run.path / "journal.jsonl").read_text().splitlines()]
    assert [line["stage"] for line in lines] == ["first", "second"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says what a process held at most")
def test_the_most_memory_is_that_of_each_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "VmHWM" in STATUS.read_text()
    metered(monkeypatch, None, None)
    run = a_run(tmp_path)

    def hold(mib: int) -> Callable[[], Check]:
        return lambda: (bytearray(os.urandom(1) * (mib << 20)), DONE)[1]

    def outer() -> Check:
        hold(96)()
        run.step("inner", Check, hold(1))
        return DONE

    for name, make in (("small", hold(1)), ("large", hold(96)), ("later", hold(1)), ("outer", outer)):
        run.step(name, Check, make)
    peak = {name: it["peak_mib"] for name, it in run.taken("").items()}
    assert peak["large"] > peak["small"] + 80 and peak["later"] < peak["large"] - 80
    assert max(peak["inner"], peak["outer"]) > peak["later"] + 80, "none is lost where stages nest"

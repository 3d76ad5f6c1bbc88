"""The verifier pool against checkers that hang, die, eat memory and lie."""

import os
import select
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from engine.logic.faults import ProofFault
from engine.records import Fault, Status
from engine.verify.pool import BATCH, VerifierError
from tests.support.proof_helpers import PROOF, attempt
from tests.support.verifiers import ASKED, BAD, items, pool

pytestmark = pytest.mark.slow

BAD_FILE = BAD.removesuffix(":act")


def test_verdicts_come_in_the_order_of_the_items() -> None:
    wrong = PROOF.replace("not ", "")
    with pool("rules", num_processes=2) as checkers:
        verdicts = checkers.verify(items(*[PROOF, wrong] * BATCH * 3))
    assert [v.status for v in verdicts] == [Status.PASS, Status.FAIL] * BATCH * 3
    assert [v.sample for v in verdicts] == list(range(BATCH * 6))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("sleep 60", "the checker ran longer than 4 s"),
        ("spin", "the checker ran longer than 4 s"),
        ("eat", "the checker ran out of memory"),
        ("exit 3", "the checker died (exit code 3)"),
        ("exit 0", "the checker died (exit code 0)"),
        ("crash", "the checker died (SIGSEGV)"),
        ("raise", f"the verifier raised RuntimeError: no idea what to do ({BAD_FILE}, line 35)"),
        ("nothing", "the verifier gave no verdict, got NoneType"),
    ],
)
def test_a_checker_that_fails_costs_its_own_item_and_no_other(text: str, reason: str) -> None:
    with pool(seconds=4) as checkers:
        verdicts = checkers.verify(items(PROOF, PROOF, text, PROOF, text, PROOF))
    bad = [v for v in verdicts if v.status is Status.UNDECIDED]
    assert [v.sample for v in bad] == [2, 4]
    assert [v.sample for v in verdicts] == [0, 1, 2, 3, 4, 5]
    assert all(v.status is Status.PASS for v in verdicts if v not in bad)
    fault = Fault.VERIFIER_FAILED if text in ("raise", "nothing") else Fault.VERIFIER_LIMIT
    assert {(v.fault, v.reason) for v in bad} == {(fault, reason)}
    assert not any(v.right or v.proof for v in bad)


LINGERING = f"{Path(__file__).parents[2] / 'support' / 'lingering_verifiers.py'}:act"


def test_memory_that_an_item_leaves_behind_is_not_held_against_the_next() -> None:
    with pool(LINGERING, memory_mib=900, seconds=10) as checkers:
        left, after, too_much = checkers.verify(items("keep 500", "need 500", "need 2000"))
    assert (left.status, after.status) == (Status.FAIL, Status.FAIL), after.reason
    assert (too_much.status, too_much.reason) == (Status.UNDECIDED, "the checker ran out of memory")


def test_a_process_that_dies_of_an_earlier_item_is_not_held_against_the_next() -> None:
    with pool(LINGERING, seconds=5) as checkers:
        mine, sleeper, other = checkers.verify(items("mine 0.2", "sleep 1", PROOF))
    assert (mine.status, sleeper.status, other.status) == (Status.FAIL, Status.FAIL, Status.PASS)


def test_an_item_that_cannot_be_sent_costs_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.verify.process.MAX_ITEM_BYTES", 10_000)
    with pool("rules") as checkers:
        verdicts = checkers.verify(items(PROOF, "x" * 20_000, "\ud800", PROOF))
        assert checkers.verify(items("x" * 20_000))[0].status is Status.UNDECIDED, "also alone"
    good, large, no_text, last = verdicts
    assert good.status is last.status is Status.PASS
    assert (large.status, large.fault) == (Status.UNDECIDED, Fault.VERIFIER_LIMIT)
    assert large.reason == "the attempt cannot be checked: it has more than 10,000 bytes"
    assert no_text.status is Status.UNDECIDED and "the attempt cannot be checked" in no_text.reason


def test_large_items_are_sent_in_small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.verify.pool.BATCH_BYTES", 100_000)
    with pool("rules", num_processes=2) as checkers:
        verdicts = checkers.verify(items(*[PROOF, "x" * 150_000] * 20))
    assert [v.status for v in verdicts] == [Status.PASS, Status.FAIL] * 20
    assert {v.fault for v in verdicts[1::2]} == {Fault.TOO_LONG}


def test_checkers_that_end_before_they_are_asked_are_not_started_for_ever(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import os, sys\n"
        "os.close(int(sys.argv[1]))  # where the items come from\n"
        "def verify(problem, attempt): ...\n"
    )
    with (
        pytest.raises(VerifierError, match="ends again and again before it is asked"),
        pool(f"{tmp_path}/mine.py:verify") as checkers,
    ):
        checkers.verify(items(PROOF))


def test_a_slow_item_does_not_use_up_the_time_of_the_next() -> None:
    with pool(seconds=1.0) as checkers:
        verdicts = checkers.verify(items(*["sleep 0.4"] * 5))
    assert {v.status for v in verdicts} == {Status.FAIL}, [v.reason for v in verdicts]


def test_a_parent_that_is_busy_elsewhere_blames_nobody() -> None:
    with pool(seconds=0.5) as checkers:
        for asked, tried in items(*[PROOF] * (BATCH * 4)):
            checkers.submit(asked, tried)
        time.sleep(1.5)
        verdicts = checkers.drain()
    assert len(verdicts) == BATCH * 4 and {v.status for v in verdicts} == {Status.PASS}


def test_an_answer_that_came_while_this_process_slept_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine may stop this process just after it has looked, until the time is over."""

    class Sleepy:
        def __init__(self) -> None:
            self._poll = select.poll()

        def register(self, descriptor: int, events: int) -> None:
            self._poll.register(descriptor, events)

        def poll(self, timeout: int) -> list[tuple[int, int]]:
            if not (found := self._poll.poll(0)):
                time.sleep(1.5)
            return found

    with pool(seconds=1.0) as checkers:
        monkeypatch.setattr("engine.verify.pool.select", SimpleNamespace(poll=Sleepy, POLLIN=select.POLLIN))
        (verdict,) = checkers.verify(items(PROOF))
    assert verdict.status is Status.PASS, verdict.reason


def test_polling_hands_out_every_verdict_once() -> None:
    seen = []
    with pool(num_processes=2) as checkers:
        assert checkers.poll() == []
        for number, (asked, tried) in enumerate(items(*[PROOF, "exit 1", PROOF, PROOF] * 4)):
            checkers.submit(asked, tried)
            if number % 5 == 0:
                seen += checkers.poll(0.05)
        seen += checkers.drain()
        assert checkers.num_pending == 0 and checkers.poll() == [] == checkers.drain()
    assert sorted(v.sample for v in seen) == list(range(16))
    assert sorted(v.sample for v in seen if v.status is Status.UNDECIDED) == list(range(1, 16, 4))


def test_polling_waits_no_longer_than_its_timeout() -> None:
    with pool(seconds=10) as checkers:
        checkers.submit(*items("sleep 5")[0])
        began = time.monotonic()
        assert checkers.poll() == [] and checkers.poll(0.3) == []
        assert 0.25 < time.monotonic() - began < 2


def test_items_submitted_before_stay_for_poll() -> None:
    with pool() as checkers:
        checkers.submit(ASKED, attempt(PROOF, sample=77))
        assert [v.sample for v in checkers.verify(items(PROOF))] == [0]
        assert [v.sample for v in checkers.drain()] == [77]


def test_a_checker_killed_while_idle_is_replaced_unnoticed() -> None:
    with pool() as checkers:
        (verdict,) = checkers.verify(items("pid"))
        os.kill(int(verdict.reason), 9)
        time.sleep(0.2)
        assert [v.status for v in checkers.verify(items(PROOF, PROOF))] == [Status.PASS] * 2


def test_a_checker_can_write_no_file_and_sees_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RATCHET_TEST_TOKEN", "secret")
    target = tmp_path / "written"
    with pool() as checkers:
        written, printed, environment = checkers.verify(items(f"write {target}", "print", "environment"))
    assert written.status is Status.UNDECIDED and "File too large" in written.reason
    assert not target.exists() or target.stat().st_size == 0
    assert printed.status is Status.FAIL  # output of a verifier is no reply
    assert "PATH" in environment.reason.split() and "RATCHET_TEST_TOKEN" not in environment.reason


def test_a_limit_that_is_lower_already_stays_as_it_is() -> None:
    """As set by `ulimit -v` or a batch system: only root may raise it."""
    program = (
        "import os, resource\n"
        "from engine.verify import process\n"
        "resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))\n"
        "os.getuid() or os.setuid(65_534)\n"
        "process._give_up(2_048)\n"
        "assert resource.getrlimit(resource.RLIMIT_AS) == (2**30, 2**30)\n"
        "process._give_up(512)\n"
        "assert resource.getrlimit(resource.RLIMIT_AS) == (2**29, 2**29)\n"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=root)
    assert done.returncode == 0, done.stderr


def test_a_verdict_for_another_attempt_is_not_taken() -> None:
    with pool(BAD.replace(":act", ":broken")) as checkers:
        (verdict,) = checkers.verify(items(PROOF))
    assert (verdict.status, verdict.sample) == (Status.UNDECIDED, 0)
    assert verdict.reason == "the verifier answered for another attempt"


def test_a_fault_that_the_verifier_does_not_declare_is_no_verdict() -> None:
    with pool() as checkers:
        own, general, unknown, none = checkers.verify(
            items("fault sleepy", "fault too_long", "fault lazy", "fault")
        )
    assert (own.status, own.fault) == (Status.FAIL, "sleepy")
    assert (general.status, general.fault) == (Status.FAIL, Fault.TOO_LONG)
    assert (unknown.status, unknown.fault) == (Status.UNDECIDED, Fault.VERIFIER_FAILED)
    declared = ", ".join([*(fault.value for fault in ProofFault), "sleepy"])
    assert unknown.reason == f"the verifier gave the fault 'lazy'; its FAULTS declare {declared}"
    assert none.status is Status.FAIL and none.fault == Fault.NO_ANSWER  # an ordinary text, checked


def test_a_fault_that_is_no_text_is_no_verdict(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from dataclasses import replace\n"
        "from engine.verify import rules\n"
        "def verify(problem, attempt):\n"
        "    return replace(rules.verify(problem, attempt), fault=None)\n"
    )
    with pool(f"{tmp_path}/mine.py:verify") as checkers:
        (verdict,) = checkers.verify(items(PROOF))
    assert verdict.status is Status.UNDECIDED
    assert verdict.reason == "the verifier gave the fault None; its FAULTS declare none"


def test_checkers_die_with_a_parent_that_is_killed() -> None:
    program = (
        "import time\n"
        "from tests.support.verifiers import items, pool\n"
        "with pool(seconds=60) as checkers:\n"
        "    print(checkers.verify(items('pid'))[0].reason, flush=True)\n"
        "    checkers.submit(*items('spin')[0])\n"
        "    print('spinning', flush=True)\n"
        "    time.sleep(60)\n"
    )
    root = Path(__file__).parents[3]
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=root, text=True
    ) as parent:
        assert parent.stdout is not None
        checker = int(parent.stdout.readline())
        assert parent.stdout.readline() == "spinning\n"
        os.kill(checker, 0)
        parent.kill()
    deadline = time.monotonic() + 5
    while _is_running(checker) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _is_running(checker)


def _is_running(pid: int) -> bool:
    """A zombie waits for a reaper, and runs no more."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(
    ("verifier", "reason"),
    [
        ("guess", "no verifier is called 'guess', allowed are rules"),
        ("nowhere/file.py:act", "verifier file nowhere/file.py does not exist"),
        (BAD.replace(":act", ":absent"), "lacks absent; a verifier offers absent"),
    ],
)
def test_a_verifier_that_cannot_be_loaded_is_named(verifier: str, reason: str) -> None:
    with pytest.raises(VerifierError, match="cannot be loaded") as error, pool(verifier):
        pass
    assert reason in str(error.value)


def test_a_verifier_file_with_an_error_is_named(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("import no_such_module\n")
    with (
        pytest.raises(VerifierError, match="No module named 'no_such_module'"),
        pool(f"{tmp_path}/mine.py:verify"),
    ):
        pass


def test_a_verifier_file_whose_faults_are_no_dictionary_is_named(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("FAULTS = ['lazy']\ndef verify(problem, attempt): ...\n")
    with (
        pytest.raises(VerifierError, match="must be a dictionary from names to their meanings, got .'lazy'."),
        pool(f"{tmp_path}/mine.py:verify"),
    ):
        pass

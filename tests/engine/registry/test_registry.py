"""The registry: budgets, promotions, rollback, and a whole state after crashes and races."""

import errno
import multiprocessing
import os
import shutil
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from engine.registry.ledger import LedgerUsedUp
from engine.registry.registry import Registry, StaleEpoch
from engine.registry.store import Example, RegistryError
from tests.support.registry import LINE, decision, manifest, show_better, store, with_baseline

FORK = multiprocessing.get_context("fork")
EARLIER = Path(__file__).parent / "earlier"
"""The registry of a campaign of commit 558b134, without the models' own files."""


def whole_campaign(home: Path) -> None:
    """Make every kind of change once; each may be repeated."""
    registry = with_baseline(home)
    store(registry, home, "m1")
    show_better(registry, 1, "m1")
    registry.promote(LINE, "m1", run_id="run", round=1, expected_epoch=1, decision=decision(True))
    store(registry, home, "m2")
    registry.commit_test(LINE, run_id="run", round=2, challenger_id="m2")
    registry.settle_test(LINE, run_id="run", round=2, rejected_null=False)
    registry.refuse(LINE, "m2", run_id="run", round=2, decision=decision(False))


def test_an_unused_line_has_no_champion_and_reading_writes_nothing(tmp_path):
    registry = Registry(tmp_path)
    line = registry.line(LINE)
    assert (line.epoch, line.champion, line.ledger) == (0, None, None)
    assert (registry.lines(), registry.models(), registry.history(LINE)) == ((), (), ())
    assert not list(tmp_path.iterdir())


def test_promotion_keeps_the_frozen_champion_and_rollback_goes_back(tmp_path):
    whole_campaign(tmp_path)
    registry = Registry(tmp_path)
    line = registry.line(LINE)
    assert (line.epoch, line.champion, line.frozen, line.previous) == (2, "m1", "m0", "m0")
    assert registry.lines() == (line,)
    line = registry.rollback(LINE, "answers got longer")
    assert (line.epoch, line.champion, line.frozen, line.previous) == (3, "m0", "m0", None)
    assert registry.history(LINE)[-1].reason == "answers got longer"
    with pytest.raises(RegistryError, match="no previous champion"):
        registry.rollback(LINE, "again")


def test_rollback_across_a_baseline_restores_its_frozen_champion(tmp_path):
    registry = with_baseline(tmp_path)
    store(registry, tmp_path, "n0")
    line = registry.promote(LINE, "n0", run_id="other", round=0, expected_epoch=1, baseline=True)
    assert (line.champion, line.frozen, line.previous) == ("n0", "n0", "m0")
    assert registry.rollback(LINE, "wrong base").frozen == "m0"


def test_history_tells_everything_once_in_order(tmp_path):
    whole_campaign(tmp_path)
    whole_campaign(tmp_path)
    events = Registry(tmp_path).history(LINE)
    assert [event.kind for event in events] == [
        "baseline",
        "ledger_opened",
        "test_committed",
        "test_settled",
        "promoted",
        "test_committed",
        "test_settled",
        "refused",
    ]
    assert [event.sequence for event in events] == list(range(1, 9))
    assert events[4].decision == decision(True)
    assert events[7].decision == decision(False)


def test_levels_follow_the_fallback_procedure_and_unsettled_tests_are_spent(tmp_path):
    registry = with_baseline(tmp_path)
    first = registry.commit_test(LINE, run_id="run", round=1, challenger_id="m1", entropy=7)
    assert (first.level, first.entropy, first.ledger) == (0.025, 7, 1)
    assert registry.commit_test(LINE, run_id="run", round=1, challenger_id="m1", entropy=8) == first
    with pytest.raises(RegistryError, match="committed to challenger m1, got m9"):
        registry.commit_test(LINE, run_id="run", round=1, challenger_id="m9")
    registry.settle_test(LINE, run_id="run", round=1, rejected_null=True)
    with pytest.raises(RegistryError, match="the other way"):
        registry.settle_test(LINE, run_id="run", round=1, rejected_null=False)
    assert registry.commit_test(LINE, run_id="run", round=2, challenger_id="m2").level == 0.05
    with pytest.raises(LedgerUsedUp, match="budget=new"):
        registry.commit_test(LINE, run_id="run", round=3, challenger_id="m3")

    registry.open_ledger(LINE, alpha=0.05, planned_tests=2, run_id="next", fresh=True)
    unsettled = registry.commit_test(LINE, run_id="next", round=1, challenger_id="m1")
    assert unsettled.entropy != registry.commit_test(LINE, run_id="next", round=2, challenger_id="m2").entropy
    ledger = registry.line(LINE).ledger
    assert [test.level for test in ledger.tests] == [0.025, 0.025]
    assert registry.line(LINE).num_ledgers == 2


def test_a_used_up_ledger_is_refused_before_a_run_but_not_to_the_run_that_used_it(tmp_path):
    registry = with_baseline(tmp_path)
    plan = {"alpha": 0.05, "planned_tests": 2}
    show_better(registry, 1, "m1")
    joined = registry.open_ledger(LINE, **plan, run_id="second", fresh=False)
    assert (joined.number, joined.runs, joined.num_left) == (1, ("run", "second"), 1)
    with pytest.raises(RegistryError, match="alpha 0.05 over 2 tests, got 0.1 over 2"):
        registry.open_ledger(LINE, alpha=0.1, planned_tests=2, run_id="third", fresh=False)
    show_better(registry, 1, "m2", run_id="second")
    with pytest.raises(LedgerUsedUp, match="budget=new"):
        registry.open_ledger(LINE, **plan, run_id="third", fresh=False)
    assert registry.open_ledger(LINE, **plan, run_id="second", fresh=False).number == 1
    assert registry.open_ledger(LINE, **plan, run_id="third", fresh=True).number == 2
    assert registry.open_ledger(LINE, **plan, run_id="third", fresh=True).number == 2


def test_nothing_is_promoted_that_was_not_shown_or_is_not_there(tmp_path):
    registry = Registry(tmp_path)
    store(registry, tmp_path, "m1")
    ask = {"run_id": "run", "round": 1}
    with pytest.raises(RegistryError, match="not in the registry"):
        registry.promote(LINE, "nobody", **ask, expected_epoch=0, baseline=True)
    with pytest.raises(RegistryError, match="no baseline yet"):
        registry.promote(LINE, "m1", **ask, expected_epoch=0)
    with_baseline(tmp_path)
    with pytest.raises(RegistryError, match="no test is committed"):
        registry.promote(LINE, "m1", **ask, expected_epoch=1)
    registry.commit_test(LINE, **ask, challenger_id="m1")
    with pytest.raises(RegistryError, match="did not show it better"):
        registry.promote(LINE, "m1", **ask, expected_epoch=1)
    registry.settle_test(LINE, **ask, rejected_null=True)
    with pytest.raises(StaleEpoch, match="epoch 1, expected 0"):
        registry.promote(LINE, "m1", **ask, expected_epoch=0)
    assert registry.promote(LINE, "m1", **ask, expected_epoch=1).champion == "m1"
    with pytest.raises(RegistryError, match="ended with m1 promoted"):
        registry.refuse(LINE, "m1", **ask, decision=decision(False))


def test_models_are_private_immutable_and_checked(tmp_path):
    registry = Registry(tmp_path)
    path = store(registry, tmp_path, "m0")
    assert store(registry, tmp_path, "m0") == registry.path("m0") == path
    for at in [tmp_path / "registry", *(tmp_path / "registry").rglob("*")]:
        assert stat.S_IMODE(at.stat().st_mode) == (0o700 if at.is_dir() else 0o600), at
    assert [entry.path for entry in registry.verify("m0").files] == ["config.json", "model.safetensors"]
    (path / "model.safetensors").write_bytes(b"M0" * 1000)
    with pytest.raises(RegistryError, match="model.safetensors does not match the manifest"):
        registry.verify("m0")
    (path / "model.safetensors").write_bytes(b"m0" * 1000)
    (path / "extra.json").write_text("{}")
    with pytest.raises(RegistryError, match="extra.json is not in the manifest"):
        registry.verify("m0")
    (path / "config.json").unlink()
    with pytest.raises(RegistryError, match="lacks config.json"):
        registry.verify("m0")


@pytest.mark.parametrize("name", ["pytorch_model.bin", "training_args.pt", "model.pkl", "code.py"])
def test_files_that_would_be_unpickled_or_run_are_refused(tmp_path, name):
    source = tmp_path / "source"
    source.mkdir()
    (source / "model.safetensors").write_bytes(b"x")
    (source / name).write_bytes(b"x")
    with pytest.raises(RegistryError, match=name):
        Registry(tmp_path).add(source, manifest("m0"))
    assert Registry(tmp_path).models() == ()


def test_a_full_disk_while_adding_leaves_nothing(tmp_path, monkeypatch):
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        (tmp_path / "registry").mkdir()
        with pytest.raises(OSError, match="No space left"):
            store(Registry(tmp_path), tmp_path, "m0")
    assert not [path for path in (tmp_path / "registry").rglob("*") if path.name != "lock"]
    assert store(Registry(tmp_path), tmp_path, "m0").exists()


def test_a_directory_without_weights_is_no_model(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    (source / "config.json").write_text("{}")
    with pytest.raises(RegistryError, match="not a model directory"):
        Registry(tmp_path).add(source, manifest("m0"))


@pytest.mark.parametrize("name", ["../x", "x/..", "a", "a/b/c", "A/b", "/etc/x"])
def test_names_cannot_lead_out_of_the_registry(tmp_path, name):
    with pytest.raises(RegistryError, match="named like"):
        Registry(tmp_path).line(name)
    with pytest.raises(RegistryError, match="model id"):
        Registry(tmp_path).path(f"../{name}")


def test_prune_frees_only_judged_models_that_no_line_points_to(tmp_path):
    whole_campaign(tmp_path)
    registry = Registry(tmp_path)
    store(registry, tmp_path, "m3")
    assert registry.prune(keep=1) == ()
    assert [model.manifest.model_id for model in registry.prune()] == ["m2"]
    state = {model.manifest.model_id: (model.freed, model.lines) for model in registry.models()}
    assert state == {"m0": (False, (LINE,)), "m1": (False, (LINE,)), "m2": (True, ()), "m3": (False, ())}
    assert registry.history(LINE)[-1].decision == decision(False)
    with pytest.raises(RegistryError, match="weights were freed"):
        registry.path("m2")
    with pytest.raises(RegistryError, match="weights were freed"):
        registry.verify("m2")
    store(registry, tmp_path, "m2")
    assert registry.verify("m2") and registry.path("m2")


def test_a_damaged_state_is_named_and_not_guessed(tmp_path):
    with_baseline(tmp_path)
    path = tmp_path / "registry" / "lines" / LINE / "line.json"
    path.write_text(path.read_text()[:-9])
    with pytest.raises(RegistryError, match="damaged"):
        Registry(tmp_path).line(LINE)


@pytest.mark.parametrize(
    ("file", "old", "new", "where"),
    [
        (f"lines/{LINE}/line.json", '"epoch":2', '"epoch":"2"', r"line\.json: epoch: "),
        (
            f"lines/{LINE}/line.json",
            '"alpha":0.05',
            '"alpha":0.05,"beta":1',
            r"line\.json: ledgers\.0\.beta: ",
        ),
        (f"lines/{LINE}/history.jsonl", '"round":2', '"round":2.5', r"history\.jsonl, line 6: round: "),
        (f"lines/{LINE}/history.jsonl", '"time":', '"at":0,"time":', r"history\.jsonl, line 1: at: "),
        ("models/m1/manifest.json", '"seed":0', '"seed":true', r"manifest\.json is damaged: seed: "),
        ("models/m1/manifest.json", '"size":2', '"size":2,"mode":1', r"manifest\.json is .*files\.0\.mode: "),
        ("models/m1/manifest.json", '"example":null', '"example":{"system":""}', r"example\.turns: "),
    ],
)
def test_an_unknown_key_or_a_wrong_type_is_named_with_its_file(tmp_path, file, old, new, where):
    whole_campaign(tmp_path)
    path = tmp_path / "registry" / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    registry = Registry(tmp_path)
    with pytest.raises(RegistryError, match=where) as refused:
        registry.line(LINE), registry.history(LINE), registry.models()
    assert "\n" not in str(refused.value)


def test_a_model_keeps_a_question_of_its_task(tmp_path):
    registry = Registry(tmp_path)
    store(registry, tmp_path, "m0")
    example = Example(system="Prove or refute.", turns=("True or false: Max is sour.", "Why?"))
    source = tmp_path / "runs" / "m0"
    registry.add(source, replace(manifest("m1"), parent_id="m0", example=example))
    assert registry.manifest("m1").example == example and registry.manifest("m0").example is None
    assert [each.example for each in registry.lineage("m1")] == [example, None]
    with pytest.raises(RegistryError, match="model m9 is not in the registry"):
        registry.manifest("m9")


def test_a_registry_of_the_earlier_version_is_read_and_goes_on(tmp_path):
    shutil.copytree(EARLIER, tmp_path / "registry")
    registry, name = Registry(tmp_path), "toy/tiny"
    first, second, third = "47ef42a9aefd98be", "93bee8244fc0cbe0", "a875b3d0bcc250e0"
    line = registry.line(name)
    assert registry.lines() == (line,)
    assert (line.epoch, line.champion, line.frozen, line.num_ledgers) == (1, first, first, 1)
    assert [(test.round, test.challenger_id, test.level) for test in line.ledger.tests] == [
        (1, second, 0.025),
        (2, third, 0.025),
    ]
    events = registry.history(name)
    assert [event.sequence for event in events] == list(range(1, 9))
    assert events[1].decision.checks[1].observed.startswith("perplexity x 26.744")
    assert events[1].decision.checks[1].value is None, "sentences alone were kept"
    assert events[-1].decision.looks[0].boundary is None

    assert [model.manifest.model_id for model in registry.models()] == [first, second, third]
    assert {model.freed for model in registry.models()} == {True} and registry.manifest(first).example is None
    assert [each.model_id for each in registry.lineage(second)] == [second, first]
    for entry in registry.models()[0].manifest.files:
        with (tmp_path / "registry/models" / first / entry.path).open("wb") as stand_in:
            stand_in.truncate(entry.size)
    assert registry.path(first).name == first

    (tmp_path / "registry" / "lines" / name / "history.jsonl").open("ab").write(b'{"kind":"led')
    opened = registry.open_ledger(name, alpha=0.05, planned_tests=2, run_id="new", fresh=True)
    assert opened.number == 2 and registry.history(name)[:8] == events
    assert (registry.line(name).num_ledgers, registry.history(name)[-1].sequence) == (2, 9)


def _die_at(call: int, home: Path) -> None:
    """Run the campaign, killed without clean-up at a given call that touches the disk, after half a write."""
    left = call

    def fatal(real):
        def wrapped(*args, **kwargs):
            nonlocal left
            left -= 1
            if left == 0:
                if real is write:
                    real(args[0], bytes(args[1])[: len(args[1]) // 2])
                os._exit(9)
            return real(*args, **kwargs)

        return wrapped

    write = os.write
    for name in ("write", "fsync", "replace", "rename", "mkdir", "open", "truncate"):
        setattr(os, name, fatal(getattr(os, name)))
    whole_campaign(home)
    os._exit(0)


@pytest.mark.slow
def test_a_crash_at_any_write_leaves_a_consistent_state_from_which_the_run_goes_on(tmp_path, monkeypatch):
    # A killed process, unlike a lost machine, leaves what it wrote: syncing for real would only take time.
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    whole_campaign(tmp_path / "whole")
    expected = Registry(tmp_path / "whole")
    crashes = 0
    while True:
        home = tmp_path / str(crashes)
        child = FORK.Process(target=_die_at, args=(crashes + 1, home))
        child.start()
        child.join()
        if child.exitcode == 0:
            break
        assert child.exitcode == 9
        crashes += 1
        registry = Registry(home)
        seen = registry.history(LINE)
        line = registry.line(LINE)
        assert [event.sequence for event in seen] == list(range(1, len(seen) + 1))
        assert line.epoch == (seen[-1].epoch if seen else 0)
        for model in registry.models():
            registry.verify(model.manifest.model_id)
        whole_campaign(home)
        after = registry.history(LINE)
        assert after[: len(seen)] == seen
        assert [(event.kind, event.round) for event in after] == [
            (event.kind, event.round) for event in expected.history(LINE)
        ]
        registry.rollback(LINE, "the next change completes the history file")
        after = registry.history(LINE)
        written = (home / "registry" / "lines" / LINE / "history.jsonl").read_text()
        assert written.count("\n") == len(after)
        assert (registry.line(LINE).champion, registry.line(LINE).epoch) == ("m0", 3)
        levels = [test.level for test in registry.line(LINE).ledger.tests]
        assert levels == [test.level for test in expected.line(LINE).ledger.tests]
    assert crashes > 60


def _promote(home: Path, run_id: str, model_id: str, epoch: int, results) -> None:
    try:
        Registry(home).promote(LINE, model_id, run_id=run_id, round=epoch, expected_epoch=epoch)
        results.put((run_id, "promoted"))
    except StaleEpoch:
        results.put((run_id, "stale"))


def _read(home: Path, stop, results) -> None:
    registry, epochs, num_events = Registry(home), [0], 0
    while not stop.is_set():
        line = registry.line(LINE)
        assert (registry.path(line.champion) / "model.safetensors").exists()
        sequences = [event.sequence for event in registry.history(LINE)]
        assert sequences == list(range(1, len(sequences) + 1))
        assert len(sequences) >= num_events
        num_events = len(sequences)
        epochs.append(line.epoch)
    assert epochs == sorted(epochs)
    results.put(len(epochs))


@pytest.mark.slow
def test_of_two_promoters_one_wins_and_readers_never_see_half_a_state(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    registry = with_baseline(tmp_path)
    for run_id in ("a", "b"):
        registry.open_ledger(LINE, alpha=0.05, planned_tests=5, run_id=run_id, fresh=True)
        store(registry, tmp_path, run_id)
        for round in range(1, 6):
            show_better(registry, round, run_id, run_id)
    stop, results, reads = FORK.Event(), FORK.Queue(), FORK.Queue()
    reader = FORK.Process(target=_read, args=(tmp_path, stop, reads))
    reader.start()
    for epoch in range(1, 6):
        racers = [
            FORK.Process(target=_promote, args=(tmp_path, run, run, epoch, results)) for run in ("a", "b")
        ]
        for racer in racers:
            racer.start()
        for racer in racers:
            racer.join()
        outcome = dict(results.get(timeout=10) for _ in racers)
        assert sorted(outcome.values()) == ["promoted", "stale"]
        winner = next(run for run, result in outcome.items() if result == "promoted")
        assert (registry.line(LINE).champion, registry.line(LINE).epoch) == (winner, epoch + 1)
    stop.set()
    assert reads.get(timeout=10) > 5
    reader.join()
    assert reader.exitcode == 0

"""A trial without Ray: what it shares with others, what it opens, and what happens with nothing to learn."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from configs.schema import Config
from configs.sweep import Campaign, Sweep
from engine.disk.steps import Run
from engine.measure.bench import Bench, Benches
from engine.models.identity import model_id
from engine.records import Start, TrainFailure, TrainFault
from tests.support.fixtures_report import evaluation, likely
from tests.support.scripted_experiment import write_model
from tests.support.toy_task import __file__ as toy
from tune import trial
from tune import workshop as shops
from tune.outcome import describe_score, stage
from tune.trial import TrainingLost, material_for, play_rungs
from tune.workshop import SweepRun, Workshop

OWN_LOOP = """
from configs.base import Leaf
from loops.loop import Proposal

class Settings(Leaf):
    pass

def propose(context, settings, champion, number, seen):
    return Proposal(data=None, seen=frozenset({f"of {champion.id} in round {number}"}) | seen)

def work(settings, lengths):
    return []

def example(settings, suite, system):
    raise NotImplementedError
"""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("base"), 0.0)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The arguments of every opening of benches, none of which starts anything."""
    found: list[Any] = []

    @contextmanager
    def open_benches(*arguments: Any) -> Iterator[Benches]:
        found.append(arguments)
        sampler: Any = SimpleNamespace(sleep=lambda: None)
        bench = Bench(sampler, None, "system", 0.05)
        yield Benches(bench, bench)

    monkeypatch.setattr(shops, "open_benches", open_benches)
    return found


def workshop(home: Path, base: Path, **changes: Any) -> Workshop:
    tree = {"name": "s", "line": "a/b", "base": str(base), "task": {"name": toy}, "stop": {"rounds": 1}}
    space = {"warm_start": {"train": {"learning_rate": {"choice": [1e-4, 1e-3]}}}}
    settings = Sweep(name="s", campaign="c.yaml", space=space, num_problems=20)
    plan: Any = SimpleNamespace(workers={})
    sweep = SweepRun(
        home=home,
        run_id="s",
        settings=settings,
        campaign=Campaign({**tree, **changes}, "c.yaml"),
        plan=plan,
        start=Start(champion=model_id(base), epoch=0),
    )
    return Workshop(sweep)


def test_trials_that_differ_in_how_they_learn_share_their_material(
    base: Path, tmp_path: Path, opened: list[Any]
) -> None:
    shop = workshop(tmp_path, base, warm_start={"proofs": 16})
    contexts: list[tuple[Config, Run]] = []

    def context_of(config: Config, run: Run) -> Any:
        contexts.append((config, run))
        return shop.context(config, run)

    first = material_for(shop.trials, {}, context_of)
    again = material_for(shop.trials, {"warm_start.train.learning_rate": 1e-3}, context_of)
    more = material_for(shop.trials, {"warm_start.proofs": 8}, context_of)
    assert again == first and first.data and len(first.data.rows) == 16
    assert more.data and len(more.data.rows) == 8
    assert (first.training, first.proposal) == ("warm_start.train", None)
    assert len(first.seen) == 36, "those learnt and those of the selection split, which are others"
    assert len({run.path for _, run in contexts}) == 2
    assert [path.name for path in contexts[0][1].path.glob("rounds/000/*")] == ["gold.json"]
    assert len(opened) == 1, "one process opens its benches once"
    shared = {shop.context(*each).shared for each in contexts}
    assert shared == {tmp_path / "runs" / "s" / "shared"}, "whatever their material is"


def test_benches_are_opened_when_they_are_needed(base: Path, tmp_path: Path, opened: list[Any]) -> None:
    shop = workshop(tmp_path, base)
    assert opened == []
    assert shop.benches is shop.benches
    assert len(opened) == 1 and opened[0][-2] == base, "on what trials train"


def test_a_trial_whose_loop_finds_nothing_to_learn_has_failed(
    base: Path, tmp_path: Path, opened: list[Any]
) -> None:
    file = tmp_path / "idle.py"
    file.write_text(OWN_LOOP)
    shop = workshop(tmp_path, base, start="champion", loop={"name": str(file)})
    assert list(play_rungs(shop, 1, {"loop.train.learning_rate": 1e-3})) == [(1, None)]
    with_failure = Run.create(
        tmp_path, shop.trials.campaign.varied({"loop.train.learning_rate": 1e-3}), "s/trials/001"
    )
    result = with_failure.read(stage(0, "train"), TrainFailure)
    assert result and result.fault is TrainFault.NOTHING_TO_LEARN
    proposal = material_for(shop.trials, {}, shop.context).proposal
    assert proposal and f"of {model_id(base)} in round 1" in proposal.seen


def test_a_lost_train_worker_is_no_result_of_a_trial(
    tiny_model: Path, tmp_path: Path, opened: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = workshop(tmp_path, tiny_model, warm_start={"proofs": 16})
    shop.trials.plan.workers["warm_start.train"] = None  # type: ignore[index]
    for fault, result in ((TrainFault.WORKER_LOST, None), (TrainFault.OUT_OF_MEMORY, (1, None))):
        failure = TrainFailure(fault=fault, reason="workers were lost")
        monkeypatch.setattr(trial, "train", lambda *_, failure=failure, **__: failure)
        if result:
            assert list(play_rungs(shop, 0, {})) == [result], "its batch was too large for the machine"
        else:
            with pytest.raises(TrainingLost):
                list(play_rungs(shop, 0, {}))


def test_without_a_warm_start_a_trial_is_a_round_from_the_base(
    base: Path, tmp_path: Path, opened: list[Any]
) -> None:
    file = tmp_path / "idle.py"
    file.write_text(OWN_LOOP)
    shop = workshop(tmp_path, base, warm_start=None, loop={"name": str(file)})
    assert shop.trials.round == 1 and workshop(tmp_path, base).trials.round == 0
    proposal = material_for(shop.trials, {}, shop.context).proposal
    assert proposal and f"of {model_id(base)} in round 1" in proposal.seen


def test_a_score_is_written_with_its_title_and_unit() -> None:
    assert describe_score(evaluation("m", 0.4167, 0.6, 60)) == "strict 41.7 %"
    assert describe_score(likely("m", 2.5, 60)) == "surprise 2.5\u00a0nats"
    assert likely("m", 2.5, 60).score < likely("m", 2.25, 60).score


def test_a_failed_training_scores_below_any_other(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = workshop(tmp_path, base).trials.campaign.config
    assert trial._failed_score(config) == 0.0
    monkeypatch.setattr(trial, "exam_of", lambda task: SimpleNamespace(samples=False))
    assert trial._failed_score(config) < likely("m", 15.0, 60).score

"""The same training by other means: in micro-batches, with beginnings computed once, by two workers."""

import math
from pathlib import Path
from typing import Any

import pytest

from engine.models.prompts import messages
from engine.records import Challenger, TrainingRow
from engine.train.driver import Stretch
from tests.support.train_helpers import (
    OWN,
    ROWS,
    SMALL,
    STORIES,
    UNLIKE,
    assert_gold,
    assert_same,
    fit,
    in_this_process,
    training,
)

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", ["sft full", "sft full rehearsal", "sft lora rehearsal", "dpo lora"])
def test_accumulated_micro_batches_train_as_whole_batches_do(
    exact_model: Path, tmp_path: Path, name: str
) -> None:
    """This holds where a micro-batch is all rehearsal, and where the last step is not a whole batch."""
    method, tuning, *rehearsal = name.split()
    # TRL takes the mean over the chosen tokens of a micro-batch, so those of pairs are equally many.
    rows, own = (ROWS, []) if method == "dpo" else (UNLIKE[:15], OWN[:13] if rehearsal else [])
    with in_this_process():
        whole, parts = (
            fit(
                training(method=method, tuning=tuning, **(SMALL | {"micro_batch_size": micro})),
                exact_model,
                tmp_path / f"{micro}",
                own,
                rows=rows,
            )
            for micro in (4, 2)
        )
    assert_same(whole, parts, exact_model, loss=1e-4, weights=1e-3)


@pytest.mark.parametrize("tuning", ["lora", pytest.param("full", marks=pytest.mark.soak)])
def test_activations_that_are_computed_again_change_nothing(
    exact_model: Path, tmp_path: Path, tuning: str
) -> None:
    with in_this_process():
        kept, again = (
            fit(
                training(method="sft", tuning=tuning, gradient_checkpointing=checkpointing, **SMALL),
                exact_model,
                tmp_path / f"{checkpointing}",
                OWN,
                rows=STORIES,
            )
            for checkpointing in (False, True)
        )
    assert_same(kept, again, exact_model, loss=1e-5, weights=1e-4)


@pytest.mark.parametrize(
    ("method", "tuning"), [("dpo", "lora"), pytest.param("sft", "full", marks=pytest.mark.soak)]
)
def test_stretches_train_as_the_whole_does(
    exact_model: Path, tmp_path: Path, method: str, tuning: str
) -> None:
    """A trial of a sweep pauses in this way, to be measured."""
    config = training(
        method=method, tuning=tuning, **(SMALL | {"validation_share": 0.2, "validation_steps": 2})
    )
    own = OWN[:5] if method == "sft" else ()
    with in_this_process():
        whole = fit(config, exact_model, tmp_path / "whole", own)
        first = fit(config, exact_model, tmp_path / "a", own, stretch=Stretch(until=1 / 3))
        rest = Stretch(state=tmp_path / "a" / "state")
        second = fit(config, exact_model, tmp_path / "b", own, stretch=rest)
    (begun, early), (ended, late) = first, second
    assert isinstance(begun, Challenger) and isinstance(ended, Challenger)
    assert [entry["step"] for entry in early + late] == [entry["step"] for entry in whole[1]]
    assert begun.num_steps == len(early) < ended.num_steps == len(whole[1])
    assert begun.model_id != ended.model_id and not begun.stopped_early and not ended.stopped_early
    assert_same(whole, (ended, early + late), exact_model, loss=1e-5, weights=1e-4)
    looked = [entry["step"] for entry in whole[1] if "validation_loss" in entry]
    assert looked == list(range(2, len(whole[1]) + 1, 2))


def test_training_ends_when_the_loss_on_rows_held_out_rises(exact_model: Path, tmp_path: Path) -> None:
    unlike = [
        TrainingRow(problem_id=f"p{i}", chat=messages("", [f"What is {i}?"]), chosen=f"it is {i * 7919 % 97}")
        for i in range(16)
    ]
    hot = SMALL | {"epochs": 40, "learning_rate": 3e-2, "validation_share": 0.25, "validation_steps": 3}
    with in_this_process():
        outcome, metrics = fit(
            training(method="sft", patience=2, **hot), exact_model, tmp_path / "out", rows=unlike
        )
    assert isinstance(outcome, Challenger) and outcome.stopped_early
    losses = [entry["validation_loss"] for entry in metrics if "validation_loss" in entry]
    assert outcome.num_steps == len(metrics) == 3 * len(losses) < 40 * 3, "of 12 rows, 4 of 16 are held out"
    assert losses.index(min(losses)) == len(losses) - 3, "two looks without a new least"


@pytest.mark.parametrize("tuning", ["full", "lora"])
def test_stories_are_learnt_as_rows_by_themselves_are(
    exact_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tuning: str
) -> None:
    """In whole batches, and in micro-batches."""
    from engine.train import tree

    computed: list[int] = []
    grow = tree.Tree.of

    def count(rows: Any) -> Any:
        grown = grow(rows)
        computed[-1] += len(grown.tokens)
        return grown

    def learnt(name: str, **more: int) -> Any:
        computed.append(0)
        config = training(method="sft", tuning=tuning, **(SMALL | more))
        return fit(config, exact_model, tmp_path / name, OWN, rows=STORIES)

    monkeypatch.setattr(tree.Tree, "of", count)
    with in_this_process():
        together = [learnt(f"{micro}", micro_batch_size=micro) for micro in (4, 2)]
        monkeypatch.setattr(tree, "LEAST", math.inf)
        apart = learnt("apart")
    assert max(computed[:2]) < 0.7 * computed[2]
    for each in together:
        assert_same(each, apart, exact_model, loss=1e-4, weights=1e-3)


@pytest.mark.parametrize("tree", [True, False])
@pytest.mark.parametrize("tuning", ["full", "lora"])
def test_packed_rows_train_as_others_do(
    exact_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tuning: str, tree: bool
) -> None:
    """Every step and the model at the end are the same, as a tree of tokens and end to end; of 41 rows, with
    validations and a last step of a single row."""
    from engine.train import loss
    from engine.train.methods import sft

    packs: list[int] = []
    settings = SMALL | {"validation_share": 0.1, "validation_steps": 2, "patience": 99}
    settings |= {"max_length": 40, "batch_size": 8, "explosion": 99.0}  # the last row is unlike the others
    if not tree:
        lay = loss._end_to_end
        monkeypatch.setattr(loss, "can_be_tree", lambda _: False)
        monkeypatch.setattr(loss, "_end_to_end", lambda rows, *at: packs.append(len(rows)) or lay(rows, *at))
    monkeypatch.setattr(sft, "WINDOW", 1)
    found = []
    with in_this_process():
        for packing, micro in ((False, 8), (True, 4)):
            settings["micro_batch_size"] = micro
            config = training(method="sft", tuning=tuning, packing=packing, **settings)
            out = tmp_path / f"{packing}"
            found.append(fit(config, exact_model, out, OWN[:15], rows=UNLIKE[:15]))
    padded, packed = found
    assert_same(padded, packed, exact_model, loss=1e-4, weights=1e-3)
    looks, same_looks = (
        [entry["validation_loss"] for entry in metrics if "validation_loss" in entry] for _, metrics in found
    )
    assert looks and looks == pytest.approx(same_looks, rel=1e-3)
    if not tree:
        assert sum(packs) == 41 and 2 < max(packs) < 8, "packs of several rows, by their tokens"


@pytest.mark.parametrize(
    ("name", "deepspeed", "micro"),
    [
        pytest.param("sft full", "zero2.json", 2, marks=pytest.mark.soak),
        ("sft full", "zero3.json", 2),
        pytest.param("sft lora", "zero3.json", 2, marks=pytest.mark.soak),
        pytest.param("sft lora rehearsal", "zero2.json", 1, marks=pytest.mark.soak),
        pytest.param("dpo lora", None, 1, marks=pytest.mark.soak),
        ("dpo lora", "zero2.json", 2),
    ],
)
def test_two_workers_train_as_one_does(
    local_ray: None, exact_model: Path, tmp_path: Path, name: str, deepspeed: str | None, micro: int
) -> None:
    """Plain data parallelism, ZeRO-2 and ZeRO-3, in one micro-batch and in two, give the losses of one worker
    at every step, and its weights at the end; of stories, see `test_a_worker_stays_for_the_next_training`.

    Where adapters learn from one of the workers only, losses differ by 0.05 % and weights by 22 %: adapters
    hardly change the tiny model's loss.

    Rows make whole batches, as several workers fill up a last one with the first rows once more.
    """
    method, tuning, *kind = name.split()
    own = OWN if kind else ()
    of_two = {"num_workers": 2, "micro_batch_size": micro, "deepspeed": deepspeed}
    alone, together = (training(method=method, tuning=tuning, **(SMALL | more)) for more in ({}, of_two))
    with in_this_process():
        one = fit(alone, exact_model, tmp_path / "one", own)
    assert_gold(name, one[1])
    two = fit(together, exact_model, tmp_path / "two", own)
    assert all(0 < entry["update_size"] < 1 for entry in two[1][1:])
    assert_same(one, two, exact_model, loss=1e-3, weights=0.01)

"""The real Ray Train, TRL, PEFT and DeepSpeed, on a tiny model; what becomes of failures, without them."""

import errno
import math
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from configs.schema import Train
from engine.curate.preferences import training_set
from engine.models.identity import model_id
from engine.models.prompts import completion_ids, messages, prompt_ids
from engine.plan.plan import Group
from engine.records import Challenger, TrainFailure, TrainFault, TrainingRow
from engine.train import driver
from engine.train.driver import train
from engine.train.loss import sft_trainer
from tests.support.train_helpers import OWN, ROWS, SMALL, assert_gold, fit, in_this_process


@pytest.mark.parametrize("method", ["sft", "dpo"])
@pytest.mark.parametrize("tuning", ["full", "lora"])
def test_training_learns_and_keeps_the_parents_form(
    local_ray: None, tiny_model: Path, tmp_path: Path, method: str, tuning: str
) -> None:
    by_ray = nullcontext() if (method, tuning) == ("dpo", "lora") else in_this_process()
    with by_ray:
        outcome, metrics = fit(Train(method=method, tuning=tuning, **SMALL), tiny_model, tmp_path / "out")
    assert isinstance(outcome, Challenger)
    assert_gold(f"{method} {tuning}", metrics)
    assert outcome.model_id == model_id(Path(outcome.path)) != outcome.parent_id == model_id(tiny_model)
    assert outcome.num_steps == 8 == len(metrics)
    assert metrics[-1]["loss"] < metrics[0]["loss"]
    assert 0 < outcome.update_size < 2
    assert {"learning_rate", "grad_norm", "tokens", "tokens_per_second", "memory_mib"} <= metrics[0].keys()
    assert metrics[0]["update_size"] == 0, "the warm-up begins at a learning rate of 0"
    assert all(0 < entry["update_size"] < 1 for entry in metrics[1:])
    if tuning == "full":
        assert sum(entry["update_size"] for entry in metrics) > outcome.update_size / 2
    for name in ("config.json", "tokenizer.json", "chat_template.jinja"):
        assert (Path(outcome.path) / name).read_bytes() == (tiny_model / name).read_bytes()
    assert not [
        file for file in Path(outcome.path).iterdir() if file.suffix in (".bin", ".pt", ".pth", ".py")
    ]


@pytest.mark.parametrize("tuning", ["full", "lora"])
def test_rehearsal_holds_the_model_and_is_not_learnt(tiny_model: Path, tmp_path: Path, tuning: str) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    config = Train(method="sft", tuning=tuning, **SMALL)
    with in_this_process():
        outcome, metrics = fit(config, tiny_model, tmp_path / "out", OWN)
    assert isinstance(outcome, Challenger) and outcome.num_steps == (2 * len(ROWS) + len(OWN)) // 4
    assert_gold(f"sft {tuning} rehearsal", metrics)
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)

    def log_likelihood(model: Path, row: TrainingRow) -> float:
        question = prompt_ids(tokenizer, messages(row.system, row.prompt))
        answer = completion_ids(tokenizer, row.chosen, ends=False)
        logits = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)(
            torch.tensor([question + answer])
        ).logits[0, len(question) - 1 : -1]
        return -torch.nn.functional.cross_entropy(logits, torch.tensor(answer)).item()

    learnt, held = (
        log_likelihood(Path(outcome.path), row) - log_likelihood(tiny_model, row) for row in (ROWS[0], OWN[0])
    )
    assert learnt > 0.5 and abs(held) < learnt / 4


def test_rows_that_do_not_fit_are_left_out_and_not_cut(
    tiny_model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    long = TrainingRow(problem_id="long", prompt="What is it?", chosen="yes " * 200, system="Answer.")
    config = Train(method="sft", max_length=100, **(SMALL | {"epochs": 1}))
    with in_this_process():
        outcome, _ = fit(config, tiny_model, tmp_path / "some", rows=[*ROWS[:4], long])
    assert isinstance(outcome, Challenger) and outcome.num_steps == 1
    assert "1 of 5 rows are longer than max_length=100 tokens and were left out" in caplog.text
    with in_this_process():
        none, _ = fit(Train(method="sft", max_length=3, **SMALL), tiny_model, tmp_path / "none")
    assert isinstance(none, TrainFailure) and none.fault is TrainFault.NOTHING_TO_LEARN
    assert none.reason.startswith("none of 16 rows is of train.max_length=3 tokens or less")


def test_a_killed_worker_resumes_from_its_checkpoint(
    local_ray: None, tiny_model: Path, tmp_path: Path
) -> None:
    config = Train(**(SMALL | {"epochs": 40, "save_steps": 20, "learning_rate": 1e-4}))
    killed: list[int] = []

    def kill_once_saved() -> None:
        for _ in range(1200):
            time.sleep(0.1)
            saved = list(
                (tmp_path / "out" / "first" / "fit").glob("checkpoint_*/checkpoint/trainer_state.json")
            )
            if saved:
                time.sleep(3)  # the controller records a checkpoint some seconds after it is written
                for process in psutil.Process().children(recursive=True):
                    if "RayTrainWorker" in " ".join(process.cmdline()):
                        os.kill(process.pid, signal.SIGKILL)
                        killed.append(process.pid)
                return

    thread = threading.Thread(target=kill_once_saved)
    thread.start()
    outcome, metrics = fit(config, tiny_model, tmp_path / "out")
    thread.join()
    assert killed
    assert isinstance(outcome, Challenger)
    assert outcome.num_steps == 160
    assert [entry["step"] for entry in metrics] == list(range(1, 161))


def test_an_exploding_loss_is_a_named_failure(local_ray: None, tiny_model: Path, tmp_path: Path) -> None:
    config = Train(
        **(SMALL | {"learning_rate": 50.0, "warmup_share": 0.0, "max_grad_norm": 1e9, "explosion": 1.5})
    )
    outcome, metrics = fit(config, tiny_model, tmp_path / "out")
    assert isinstance(outcome, TrainFailure)
    assert outcome.fault in (TrainFault.LOSS_EXPLODED, TrainFault.NAN_GRADIENT)
    assert "at step" in outcome.reason
    assert metrics


def test_nothing_to_learn_is_a_named_failure(tiny_model: Path, tmp_path: Path) -> None:
    outcome = train(
        Train(**SMALL),
        training_set("rft", []),
        parent=tiny_model,
        out=tmp_path / "out",
        workers=Group(num=1, threads=1, gpus=0),
        seed=0,
    )
    assert isinstance(outcome, TrainFailure)
    assert outcome.fault is TrainFault.NOTHING_TO_LEARN


OUT_OF_MEMORY = {"fault": TrainFault.OUT_OF_MEMORY, "reason": "can't allocate memory"}


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[int]]:
    """Attempts that come to `outcomes`, one after the other; gives the micro-batches that they had."""

    def script(*outcomes: dict[str, Any]) -> list[int]:
        left, asked = list(outcomes), []

        def attempt(job: driver._Job, micro: int, scratch: Path) -> dict[str, Any]:
            asked.append(micro)
            outcome = left.pop(0)
            if "fault" not in outcome:
                shutil.copytree(job.parent, job.out / "model")
            return outcome | {"metrics": [{"step": len(asked)}]}

        monkeypatch.setattr(driver, "_fit", attempt)
        return asked

    return script


TRAINED = {
    "num_steps": 8,
    "num_tokens": 100,
    "num_too_long": 0,
    "seconds": 2.0,
    "tokens_per_second": 50.0,
    "stopped_early": False,
    "final_loss": 0.5,
    "update_size": 0.1,
    "reference": (),
}


@pytest.mark.parametrize(("batch", "micro", "second"), [(4, 4, 2), (12, 6, 3), (5, 5, 1)])
def test_out_of_memory_is_tried_once_more_with_half_the_micro_batch(
    scripted: Callable[..., list[int]], tiny_model: Path, tmp_path: Path, batch: int, micro: int, second: int
) -> None:
    asked = scripted(OUT_OF_MEMORY, TRAINED)
    config = Train(**(SMALL | {"batch_size": batch, "micro_batch_size": micro}))
    outcome, metrics = fit(config, tiny_model, tmp_path / "out")
    assert isinstance(outcome, Challenger)
    assert asked == [micro, second]
    assert metrics == [{"step": 2}], "the steps of the attempt that failed are not the challenger's"


@pytest.mark.parametrize(("micro", "attempts"), [(4, [4, 2]), (1, [1])])
def test_out_of_memory_again_is_a_named_failure(
    scripted: Callable[..., list[int]], tiny_model: Path, tmp_path: Path, micro: int, attempts: list[int]
) -> None:
    asked = scripted(OUT_OF_MEMORY, OUT_OF_MEMORY, TRAINED)
    outcome, _ = fit(Train(**(SMALL | {"micro_batch_size": micro})), tiny_model, tmp_path / "out")
    assert outcome == TrainFailure(fault=TrainFault.OUT_OF_MEMORY, reason="can't allocate memory")
    assert asked == attempts


def test_other_faults_are_not_tried_again(
    scripted: Callable[..., list[int]], tiny_model: Path, tmp_path: Path
) -> None:
    asked = scripted({"fault": TrainFault.LOSS_EXPLODED, "reason": "the loss is 99"}, TRAINED)
    outcome, _ = fit(Train(**SMALL), tiny_model, tmp_path / "out")
    assert isinstance(outcome, TrainFailure) and outcome.fault is TrainFault.LOSS_EXPLODED
    assert asked == [4]


@pytest.fixture
def ray_train(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any]], None]:
    """Ray Train's trainer with another `fit` in the place of the real one."""

    def put(body: Callable[[], Any]) -> None:
        monkeypatch.setattr("ray.train.torch.TorchTrainer", lambda *_, **__: SimpleNamespace(fit=body))

    return put


def given_up(failure: Exception) -> Callable[[], Any]:
    from ray.train import WorkerGroupError

    def body() -> None:
        raise WorkerGroupError(f"[Rank 0] {failure}", {0: failure})

    return body


@pytest.mark.parametrize("by_ray", [False, True])
def test_a_full_disk_ends_the_run_and_leaves_nothing_half_written(
    ray_train: Callable[..., None], tiny_model: Path, tmp_path: Path, by_ray: bool
) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    place = tmp_path / "out" / "first"
    ray_train(
        given_up(full)
        if by_ray
        else lambda: SimpleNamespace(return_value={"disk_full": str(place)}, checkpoint=None)
    )
    with pytest.raises(OSError, match="No space left on device") as caught:
        fit(Train(**SMALL), tiny_model, tmp_path / "out")
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(place))
    assert not list(tmp_path.iterdir())


def test_workers_lost_too_often_are_a_named_failure(
    ray_train: Callable[..., None], tiny_model: Path, tmp_path: Path
) -> None:
    ray_train(given_up(RuntimeError("the actor died")))
    outcome, _ = fit(Train(**SMALL), tiny_model, tmp_path / "out")
    assert isinstance(outcome, TrainFailure) and outcome.fault is TrainFault.WORKER_LOST
    assert outcome.reason == "workers were lost more than 2 times: the actor died"


def test_a_worker_killed_for_its_memory_is_out_of_memory(
    ray_train: Callable[..., None], tiny_model: Path, tmp_path: Path
) -> None:
    from ray.exceptions import OutOfMemoryError
    from ray.train.v2._internal.exceptions import WorkerHealthCheckFailedError

    ray_train(given_up(WorkerHealthCheckFailedError("a worker died", failure=OutOfMemoryError("killed"))))
    outcome, _ = fit(Train(**SMALL), tiny_model, tmp_path / "out")
    assert isinstance(outcome, TrainFailure) and outcome.fault is TrainFault.OUT_OF_MEMORY


def test_what_one_of_several_workers_left_is_the_outcome(
    ray_train: Callable[..., None], tiny_model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"

    def body() -> None:
        (out / "first" / "fault.json").write_text('{"fault": "out_of_memory", "reason": "of rank 1"}')
        given_up(RuntimeError("a collective operation failed"))()

    ray_train(body)
    outcome, _ = fit(Train(**(SMALL | {"micro_batch_size": 1})), tiny_model, out)
    assert outcome == TrainFailure(fault=TrainFault.OUT_OF_MEMORY, reason="of rank 1")


def made(cls: Any, model: Any, rows: list[dict[str, list[int]]], scratch: Path, **options: Any) -> Any:
    """A trainer of which only the loss is asked."""
    from datasets import Dataset
    from transformers import AutoTokenizer
    from trl import SFTConfig

    return cls(
        model,
        args=SFTConfig(
            output_dir=str(scratch),
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            report_to="none",
        ),
        train_dataset=Dataset.from_list(rows),
        processing_class=AutoTokenizer.from_pretrained(model.config.name_or_path),
        **options,
    )


def test_the_loss_is_that_of_trl(tiny_model: Path, tmp_path: Path) -> None:
    """Ours computes logits only where there is loss; losses and gradients are TRL's."""
    import torch
    from transformers import AutoModelForCausalLM
    from trl import SFTTrainer

    rows = [{"input_ids": [5, 6, 7, 8, 9][:n], "labels": [-100, -100, 7, 8, 9][:n]} for n in (5, 4, 3)]
    found = []
    for cls in (SFTTrainer, sft_trainer()):
        trainer = made(cls, AutoModelForCausalLM.from_pretrained(tiny_model), rows, tmp_path)
        batch = trainer.data_collator(rows)
        loss = trainer.compute_loss(trainer.model, batch, num_items_in_batch=torch.tensor(10))
        loss.backward()
        found.append((loss.detach(), [p.grad.clone() for p in trainer.model.parameters()]))
    (theirs, their_gradients), (ours, our_gradients) = found
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-5)
    for their, our in zip(their_gradients, our_gradients, strict=True):
        torch.testing.assert_close(our, their, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(("attention", "tuning"), [("eager", "full"), ("sdpa", "full"), ("sdpa", "lora")])
def test_what_rows_begin_with_alike_is_computed_once(
    tiny_model: Path, tmp_path: Path, attention: str, tuning: str
) -> None:
    """With the losses and gradients of rows each by itself, and fewer tokens in the model."""
    import torch
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM

    system = list(range(100, 166))
    first, second, third = ([*system, *range(begin, 90)] for begin in (5, 10, 20))
    proofs = [[*first, 3, 4, 5], [*first, 3, 9], [*second, 3, 7], [*third, 8, 4], [*third, 7, 3, 3, 4]]
    # The question's last token belongs to its own row, as it says the first label.
    rows = [{"input_ids": ids, "labels": [-100] * (len(ids) - 1) + ids[-1:]} for ids in proofs]
    model = AutoModelForCausalLM.from_pretrained(
        tiny_model, dtype=torch.float32, attn_implementation=attention
    )
    lora = LoraConfig(target_modules="all-linear", task_type="CAUSAL_LM") if tuning == "lora" else None
    trainer = made(sft_trainer(), model, rows, tmp_path, peft_config=lora)
    learning = [p for p in trainer.model.parameters() if p.requires_grad]
    with torch.no_grad():
        for parameter in learning:  # adapters begin at zero, where half of them have no gradient
            parameter.add_(0.05 * torch.randn_like(parameter))
    computed = 0

    def count(_: torch.nn.Module, inputs: tuple[torch.Tensor]) -> None:
        nonlocal computed
        computed += inputs[0].numel()

    model.get_input_embeddings().register_forward_pre_hook(count)
    found = []
    for least in (math.inf, 64):
        trainer._least_shared = least
        computed = 0
        model.zero_grad()
        batch = trainer.data_collator(rows)
        loss = trainer.compute_loss(trainer.model, batch, num_items_in_batch=torch.tensor(10))
        loss.backward()
        found.append((computed, loss.detach(), [p.grad.clone() for p in learning]))
    (whole, apart, gradients), (fewer, together, same_gradients) = found
    assert whole == 5 * 154
    # Of the first and third story what is shared, padded, and four rests; the second story by itself.
    assert fewer == 2 * 151 + 4 * 4 + 148
    assert together.item() == pytest.approx(apart.item(), rel=1e-5)
    for alone, shared in zip(gradients, same_gradients, strict=True):
        torch.testing.assert_close(shared, alone, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("tuning", ["full", "lora"])
def test_rehearsal_is_the_distance_to_the_parent(tiny_model: Path, tmp_path: Path, tuning: str) -> None:
    """Zero, with its gradient, while the model is its parent; KL(parent || model) at every position after."""
    import torch
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM

    proof = {"input_ids": [5, 6, 7, 8, 9, 4], "labels": [-100, -100, 7, 8, 9, 4]}
    own = {"input_ids": [9, 8, 7], "labels": [9, 8, 7]}
    parent = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32).eval()
    lora = LoraConfig(target_modules="all-linear", task_type="CAUSAL_LM") if tuning == "lora" else None
    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    trainer = made(sft_trainer(), model, [proof, own], tmp_path, peft_config=lora)
    trainer.parent = parent if tuning == "full" else None
    learning = [p for p in trainer.model.parameters() if p.requires_grad]

    def loss_of(*rows: dict[str, list[int]]) -> torch.Tensor:
        return trainer.compute_loss(trainer.model, trainer.data_collator(rows), num_items_in_batch=2)

    assert loss_of(own).item() == pytest.approx(0, abs=1e-6)
    loss_of(own).backward()
    assert max(float(p.grad.abs().max()) for p in learning if p.grad is not None) < 1e-6
    with torch.no_grad():
        for parameter in learning:
            parameter.add_(0.05 * torch.randn_like(parameter))
        ids = torch.tensor([own["input_ids"]])
        old, new = (m(ids).logits[0, :-1].log_softmax(-1) for m in (parent, trainer.model))
        expected = (old.exp() * (old - new)).sum().item() / 2
    assert expected > 1e-4
    assert loss_of(own).item() == pytest.approx(expected, rel=1e-3)
    assert loss_of(proof, own).item() == pytest.approx(loss_of(proof).item() + expected, rel=1e-3)

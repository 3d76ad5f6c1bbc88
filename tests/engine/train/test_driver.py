"""Trainings of a tiny model by the real Ray Train, TRL and PEFT; and how each failure ends, without them."""

import errno
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from ray.exceptions import ActorDiedError

from configs.training import Train
from engine.errors import Mistake
from engine.models.identity import model_id
from engine.models.prompts import completion_ids, prompt_ids
from engine.plan.plan import Group
from engine.records import Challenger, TrainFailure, TrainFault, TrainingRow, TrainingSet, to_json
from engine.train import driver
from engine.train.crew import Crew
from engine.train.driver import train
from engine.train.faults import Ended
from engine.train.job import DiskFull, Job, Outcome, Trained
from tests.support.train_helpers import (
    OWN,
    ROWS,
    SMALL,
    STORIES,
    assert_gold,
    assert_same,
    fit,
    in_this_process,
    training,
)

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("method", "tuning"), [("sft", "full"), ("sft", "lora"), ("dpo", "full")])
def test_training_learns_and_keeps_the_parents_form(
    tiny_model: Path, tmp_path: Path, method: str, tuning: str
) -> None:
    with in_this_process():
        outcome, metrics = fit(training(method=method, tuning=tuning, **SMALL), tiny_model, tmp_path / "out")
    assert_learnt(outcome, metrics, tiny_model, method, tuning)


def assert_learnt(
    outcome: Challenger | TrainFailure,
    metrics: list[dict[str, Any]],
    parent: Path,
    method: str,
    tuning: str,
) -> None:
    assert isinstance(outcome, Challenger)
    assert_gold(f"{method} {tuning}", metrics)
    assert outcome.model_id == model_id(Path(outcome.path)) != outcome.parent_id == model_id(parent)
    assert outcome.num_steps == 8 == len(metrics)
    assert metrics[-1]["loss"] < metrics[0]["loss"]
    assert 0 < outcome.update_size < 2
    assert {"learning_rate", "grad_norm", "tokens", "tokens_per_second", "memory_mib"} <= metrics[0].keys()
    assert metrics[0]["update_size"] == 0, "the warm-up begins at a learning rate of 0"
    assert all(0 < entry["update_size"] < 1 for entry in metrics[1:])
    if tuning == "full":
        assert sum(entry["update_size"] for entry in metrics) > outcome.update_size / 2
    for name in ("config.json", "tokenizer.json", "chat_template.jinja"):
        assert (Path(outcome.path) / name).read_bytes() == (parent / name).read_bytes()
    assert not [
        file for file in Path(outcome.path).iterdir() if file.suffix in (".bin", ".pt", ".pth", ".py")
    ]


@pytest.mark.parametrize("tuning", ["full", "lora"])
def test_rehearsal_holds_the_model_and_is_not_learnt(tiny_model: Path, tmp_path: Path, tuning: str) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    config = training(method="sft", tuning=tuning, **SMALL)
    # Roles are columns: it does not matter where the rows to hold stand.
    mixed = [row for pair in zip(OWN, ROWS, strict=True) for row in pair]
    with in_this_process():
        outcome, metrics = fit(
            config, tiny_model, tmp_path / "out", rows=[*ROWS, *OWN] if tuning == "full" else mixed
        )
    assert isinstance(outcome, Challenger) and outcome.num_steps == (2 * len(ROWS) + len(OWN)) // 4
    assert_gold(f"sft {tuning} rehearsal", metrics)
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)

    def log_likelihood(model: Path, row: TrainingRow) -> float:
        question = prompt_ids(tokenizer, row.chat)
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
    long = replace(ROWS[0], problem_id="long", chosen="yes " * 200)
    config = training(method="sft", max_length=100, **(SMALL | {"epochs": 1}))
    with in_this_process():
        outcome, _ = fit(config, tiny_model, tmp_path / "some", rows=[*ROWS[:4], long])
    assert isinstance(outcome, Challenger) and outcome.num_steps == 1
    assert outcome.not_learnt == ("long",)
    assert "1 of 5 rows are longer than max_length=100 tokens and were left out" in caplog.text
    with in_this_process():
        none, _ = fit(training(method="sft", max_length=3, **SMALL), tiny_model, tmp_path / "none")
    assert isinstance(none, TrainFailure) and none.fault is TrainFault.NOTHING_TO_LEARN
    assert none.reason.startswith("all 16 rows are longer than train.max_length=3 tokens, the shortest has")


def test_a_killed_worker_resumes_from_its_checkpoint(
    local_ray: None, tiny_model: Path, tmp_path: Path
) -> None:
    config = training(**(SMALL | {"epochs": 40, "save_steps": 20, "learning_rate": 1e-4}))
    killed: list[int] = []

    def kill_once_saved() -> None:
        for _ in range(1200):
            time.sleep(0.1)
            if list((tmp_path / "out").glob("first-*/kept-*/checkpoint/trainer_state.json")):
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


def only_offline(place: Path) -> Path:
    """A training method that fails where the libraries of Hugging Face may use the network."""
    file = place / "offline.py"
    file.write_text(
        "from huggingface_hub import constants\n"
        "from engine.train.methods.sft import tokens, trainer as supervised\n\n"
        "def trainer(*given):\n"
        "    assert constants.HF_HUB_OFFLINE\n"
        "    return supervised(*given)\n"
    )
    return file


def test_a_worker_stays_for_the_next_training(
    local_ray: None, tiny_model: Path, exact_model: Path, tmp_path: Path
) -> None:
    """It does so as if it had begun anew, whatever it trained before; one that was lost is replaced, and what
    it did is not done twice. It leaves its cores to two workers, which train as one does."""
    config = training(method="sft", tuning="full", **SMALL)
    long = training(**(SMALL | {"epochs": 40, "save_steps": 20, "learning_rate": 1e-4, "dtype": "bfloat16"}))
    seen: list[set[int]] = []

    def workers(name: str = "RayTrainWorker") -> set[int]:
        found = set()
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):  # it has ended meanwhile
                if name in " ".join(process.cmdline()):
                    found.add(process.pid)
        return found

    def kill_once_saved() -> None:
        while not list((tmp_path / "long").glob("first-*/kept-*/checkpoint/trainer_state.json")):
            time.sleep(0.1)
        for pid in workers():
            os.kill(pid, signal.SIGKILL)

    with Crew(tmp_path / "crew") as crew:
        for number, (method, tuning) in enumerate([("sft", "full"), ("dpo", "lora"), ("sft", "full")]):
            settings = training(method=method, tuning=tuning, **SMALL)
            outcome, metrics = fit(settings, tiny_model, tmp_path / f"{number}", crew=crew)
            assert_learnt(outcome, metrics, tiny_model, method, tuning)
            seen.append(workers())
        assert seen[0] == seen[1] == seen[2] and len(seen[0]) == 1
        offline = training(method=str(only_offline(tmp_path)), **SMALL)
        assert isinstance(fit(offline, tiny_model, tmp_path / "offline", crew=crew)[0], Challenger)
        for idle in ("DatasetManager", "PlacementGroupCleaner", "PreemptionWatcher"):
            assert workers("TrainController") and not workers(idle), "it serves no training of ours"
        thread = threading.Thread(target=kill_once_saved, daemon=True)
        thread.start()
        outcome, metrics = fit(long, tiny_model, tmp_path / "long", crew=crew)
        assert isinstance(outcome, Challenger) and outcome.num_steps == 160 and not thread.is_alive()
        assert [entry["step"] for entry in metrics] == list(range(1, 161))
        outcome, metrics = fit(config, tiny_model, tmp_path / "last", crew=crew)
        assert_learnt(outcome, metrics, tiny_model, "sft", "full")
        (last,) = workers()
        assert last not in seen[0]
        pair = training(method="sft", tuning="full", **(SMALL | {"num_workers": 2, "micro_batch_size": 2}))
        two = fit(pair, exact_model, tmp_path / "pair", OWN, rows=STORIES, crew=crew)
        assert last not in workers(), "it left its cores to these two"
    for _ in range(300):
        if not workers():
            break
        time.sleep(0.1)
    assert not workers() and not (tmp_path / "crew").exists()
    with in_this_process():
        one = fit(config, exact_model, tmp_path / "alone", OWN, rows=STORIES)
    assert_gold("sft full stories", one[1])
    assert all(0 < entry["update_size"] < 1 for entry in two[1][1:])
    assert_same(one, two, exact_model, loss=1e-3, weights=0.01)


def test_an_exploding_loss_is_a_named_failure(tiny_model: Path, tmp_path: Path) -> None:
    config = training(
        **(SMALL | {"learning_rate": 50.0, "warmup_share": 0.0, "max_grad_norm": 1e9, "explosion": 1.5})
    )
    with in_this_process():
        outcome, metrics = fit(config, tiny_model, tmp_path / "out")
    assert isinstance(outcome, TrainFailure)
    assert outcome.fault in (TrainFault.LOSS_EXPLODED, TrainFault.NAN_GRADIENT)
    assert "at step" in outcome.reason
    assert metrics


def test_nothing_to_learn_is_a_named_failure(tiny_model: Path, tmp_path: Path) -> None:
    outcome = train(
        training(**SMALL),
        TrainingSet.of([]),
        parent=tiny_model,
        out=tmp_path / "out",
        workers=Group(num=1, threads=1, gpus=0),
        seed=0,
    )
    assert isinstance(outcome, TrainFailure)
    assert outcome.fault is TrainFault.NOTHING_TO_LEARN
    assert outcome.reason == "nothing to learn: no answer passed its verifier"


def test_a_worker_that_outlives_a_killed_driver_disturbs_no_later_training(
    scripted: Callable[..., list[int]], tiny_model: Path, tmp_path: Path
) -> None:
    """It goes on writing for some seconds, until Ray ends it."""
    outlived = tmp_path / "out" / "first-0"
    outlived.mkdir(parents=True)
    over = threading.Event()

    def write() -> None:
        while not over.is_set():
            with suppress(OSError):
                (outlived / f"{time.monotonic_ns()}").touch()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _ in range(20):
            time.sleep(0.01)
            scripted(TRAINED)
            assert isinstance(fit(training(**SMALL), tiny_model, tmp_path / "out")[0], Challenger)
            assert {file.name for file in (tmp_path / "out").iterdir()} == {"model", "rows.jsonl"}
            outlived.mkdir()
    finally:
        over.set()
        thread.join()


OUT_OF_MEMORY = TrainFailure(fault=TrainFault.OUT_OF_MEMORY, reason="can't allocate memory")


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[int]]:
    """Attempts with the given `outcomes`, one after the other; returns the micro-batches that they had."""

    def script(*outcomes: Outcome) -> list[int]:
        left, asked = list(outcomes), []

        def attempt(job: Job, *_: object) -> tuple[Outcome, list[dict[str, Any]]]:
            asked.append(job.config.micro_batch_size)
            assert job.accumulation * asked[-1] == job.config.batch_size
            outcome = left.pop(0)
            if isinstance(outcome, Trained):
                shutil.copytree(job.parent.path, job.out / "model")
            return outcome, [{"step": len(asked)}]

        monkeypatch.setattr(driver, "_fit", attempt)
        return asked

    return script


TRAINED = Trained(
    num_steps=8,
    num_tokens=100,
    num_too_long=0,
    seconds=2.0,
    tokens_per_second=50.0,
    stopped_early=False,
    final_loss=0.5,
    update_size=0.1,
    reference=(),
    not_learnt=(),
)


@pytest.mark.parametrize(("batch", "micro", "second"), [(4, 4, 2), (12, 6, 3), (5, 5, 1)])
def test_out_of_memory_is_tried_once_more_with_half_the_micro_batch(
    scripted: Callable[..., list[int]], tiny_model: Path, tmp_path: Path, batch: int, micro: int, second: int
) -> None:
    asked = scripted(OUT_OF_MEMORY, TRAINED)
    config = training(**(SMALL | {"batch_size": batch, "micro_batch_size": micro}))
    outcome, metrics = fit(config, tiny_model, tmp_path / "out")
    assert isinstance(outcome, Challenger)
    assert asked == [micro, second]
    assert metrics == [{"step": 2}], "the steps of the attempt that failed are not the challenger's"


@pytest.mark.parametrize(("micro", "attempts"), [(4, [4, 2]), (1, [1])])
def test_out_of_memory_again_is_a_named_failure(
    scripted: Callable[..., list[int]], tiny_model: Path, tmp_path: Path, micro: int, attempts: list[int]
) -> None:
    asked = scripted(OUT_OF_MEMORY, OUT_OF_MEMORY, TRAINED)
    outcome, _ = fit(training(**(SMALL | {"micro_batch_size": micro})), tiny_model, tmp_path / "out")
    assert outcome == TrainFailure(fault=TrainFault.OUT_OF_MEMORY, reason="can't allocate memory")
    assert asked == attempts


def test_other_faults_are_not_tried_again(
    scripted: Callable[..., list[int]], tiny_model: Path, tmp_path: Path
) -> None:
    asked = scripted(TrainFailure(fault=TrainFault.LOSS_EXPLODED, reason="the loss is 99"), TRAINED)
    outcome, _ = fit(training(**SMALL), tiny_model, tmp_path / "out")
    assert isinstance(outcome, TrainFailure) and outcome.fault is TrainFault.LOSS_EXPLODED
    assert asked == [4]


@pytest.fixture
def ray_train(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any]], None]:
    """Replaces the `fit` of Ray Train's trainer."""

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
    ray_train: Callable[..., None],
    tiny_model: Path,
    tmp_path: Path,
    by_ray: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr(driver.secrets, "token_hex", lambda _: "0")
    place = tmp_path / "out" / "first-0"

    def body() -> Any:
        (place / "metrics.jsonl").write_text('{"step": 1}\n{"step": ')  # as much as there was room for
        return SimpleNamespace(return_value=to_json(DiskFull(place=place)), checkpoint=None)

    ray_train(given_up(full) if by_ray else body)
    with pytest.raises(OSError, match="No space left on device") as caught:
        fit(training(**SMALL), tiny_model, tmp_path / "out")
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(place))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("failure", "fault", "reason"),
    [
        (
            ActorDiedError(),
            TrainFault.WORKER_LOST,
            "workers were lost more than 2 times: The actor died unexpectedly before finishing this task.",
        ),
        (ValueError("no\nsuch thing"), TrainFault.RAISED, "ValueError: no such thing"),
    ],
)
def test_what_ray_train_gives_up_is_a_named_failure(
    ray_train: Callable[..., None],
    tiny_model: Path,
    tmp_path: Path,
    failure: Exception,
    fault: TrainFault,
    reason: str,
) -> None:
    ray_train(given_up(failure))
    outcome, _ = fit(training(**SMALL), tiny_model, tmp_path / "out")
    assert outcome == TrainFailure(fault=fault, reason=reason)


def test_workers_that_cannot_be_started_are_a_named_failure(
    ray_train: Callable[..., None], tiny_model: Path, tmp_path: Path
) -> None:
    from ray.train import ControllerError
    from ray.train.v2._internal.exceptions import WorkerGroupStartupFailedError

    def body() -> None:
        raise ControllerError(WorkerGroupStartupFailedError("a node died"))

    ray_train(body)
    outcome, _ = fit(training(**SMALL), tiny_model, tmp_path / "out")
    reason = "workers could not be started: a node died"
    assert outcome == TrainFailure(fault=TrainFault.WORKER_LOST, reason=reason)


def test_a_worker_killed_for_its_memory_is_out_of_memory(
    ray_train: Callable[..., None], tiny_model: Path, tmp_path: Path
) -> None:
    from ray.exceptions import OutOfMemoryError
    from ray.train.v2._internal.exceptions import WorkerHealthCheckFailedError

    ray_train(given_up(WorkerHealthCheckFailedError("a worker died", failure=OutOfMemoryError("killed"))))
    outcome, _ = fit(training(**SMALL), tiny_model, tmp_path / "out")
    assert isinstance(outcome, TrainFailure) and outcome.fault is TrainFault.OUT_OF_MEMORY


def test_what_one_of_several_workers_ended_with_is_the_outcome(
    ray_train: Callable[..., None], tiny_model: Path, tmp_path: Path
) -> None:
    from ray.train import WorkerGroupError

    ended = Ended('{"fault": "out_of_memory", "reason": "of rank 1"}')

    def body() -> None:
        raise WorkerGroupError("[Rank 1] …", {0: RuntimeError("a collective operation failed"), 1: ended})

    ray_train(body)
    outcome, _ = fit(training(**(SMALL | {"micro_batch_size": 1})), tiny_model, tmp_path / "out")
    assert outcome == TrainFailure(fault=TrainFault.OUT_OF_MEMORY, reason="of rank 1")


FAILS = """
from pathlib import Path

from engine.train.methods.sft import tokens


def trainer(job, model, tokenizer, material):
    with open(Path(job.out).parent / "tries", "a") as tries:
        tries.write(f"{job.config.settings['note']}\\n")
    raise KeyError("colour")
"""


def own_method(at: Path, **changes: Any) -> tuple[Path, Train]:
    method = at / "mine.py"
    method.write_text(FAILS)
    return method, training(**(SMALL | changes), method=str(method), settings={"note": "tried"})


def test_what_a_method_of_ones_own_raises_is_a_sentence(tiny_model: Path, tmp_path: Path) -> None:
    method, config = own_method(tmp_path)
    with in_this_process(), pytest.raises(Mistake) as caught:
        fit(config, tiny_model, tmp_path / "out")
    assert str(caught.value) == f"{method} fails in line 10: KeyError: 'colour'"
    assert (tmp_path / "tries").read_text() == "tried\n" and not (tmp_path / "out").exists()


def test_what_it_raises_in_one_of_several_workers_ends_all_after_one_try(
    local_ray: None, tiny_model: Path, tmp_path: Path
) -> None:
    method, config = own_method(tmp_path, num_workers=2, micro_batch_size=2, max_failures=2)
    began = time.monotonic()
    with pytest.raises(Mistake) as caught:
        fit(config, tiny_model, tmp_path / "out")
    assert str(caught.value) == f"{method} fails in line 10: KeyError: 'colour'"
    assert (tmp_path / "tries").read_text() in ("tried\n", "tried\ntried\n"), "of each worker, once"
    print(f"told after {time.monotonic() - began:.0f} s")


def test_a_template_that_fails_on_a_row_is_a_sentence(tiny_model: Path, tmp_path: Path) -> None:
    """It takes every chat that is tried before the run, and not the second row's."""
    model = tmp_path / "model"
    shutil.copytree(tiny_model, model)
    template = model / "chat_template.jinja"
    fails = "{% if 'What is 1?' in messages[-1].content %}\n{{ raise_exception('no sums') }}{% endif %}"
    template.write_text(f"{fails}{template.read_text()}")
    with (
        in_this_process(),
        pytest.raises(Mistake, match=rf"template of {model} fails in line 2 .*: no sums$"),
    ):
        fit(training(**SMALL), model, tmp_path / "out")

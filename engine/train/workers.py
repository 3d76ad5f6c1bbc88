"""Ray Train's workers: started on a loop, started again where they were lost, and at last given up."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from configs.training import Train
from engine.errors import cause_of
from engine.failures import KILLED, first_line, kind_of
from engine.plan.plan import Group
from engine.records import TrainFailure, TrainFault
from engine.train.faults import Ended, fault_of
from engine.train.job import Outcome, read_outcome

T = TypeVar("T")


def start(
    loop: Callable[[dict[str, str]], str],
    config: Train,
    workers: Group,
    settings: dict[str, str],
    storage: Path,
) -> "Future[Any]":
    """Start Ray Train's workers on a loop; done with Ray Train's result when all of them have ended."""
    import ray.train
    from ray.train.torch import TorchTrainer

    trainer = TorchTrainer(
        loop,
        train_loop_config=settings,
        scaling_config=ray.train.ScalingConfig(
            num_workers=config.num_workers,
            use_gpu=workers.gpus > 0,
            resources_per_worker={"GPU": workers.gpus, "CPU": 1}
            if workers.gpus
            else {"CPU": workers.threads},
        ),
        run_config=ray.train.RunConfig(
            name="fit",
            storage_path=str(storage),
            checkpoint_config=ray.train.CheckpointConfig(num_to_keep=1),
            # Worker groups that cannot start are retried for ever by default.
            failure_config=ray.train.FailureConfig(
                max_failures=config.max_failures, controller_failure_limit=3
            ),
        ),
    )
    trainer._create_default_callbacks = partial(_callbacks, trainer)
    trainer._initialize_and_run_controller = partial(_with_policy, trainer)
    return in_thread(trainer.fit)


def _with_policy(trainer: Any, **parts: Any) -> Any:
    """Run Ray Train's controller, but with a policy that takes a failure for a loss only if it is one."""
    from engine.train.policy import OnlyLosses

    parts["failure_policy"] = OnlyLosses(trainer.run_config.failure_config)
    return type(trainer)._initialize_and_run_controller(trainer, **parts)


def _callbacks(trainer: Any) -> list[Any]:
    """Ray Train's own callbacks, but for those that start a process which serves no training of ours.

    One keeps Ray's datasets, which we do not have. The other frees the cores of a lost controller, and learns
    of its loss from the dashboard, where there is one.
    """
    from ray._private.services import get_webui_url_from_internal_kv
    from ray.train.v2._internal.callbacks.datasets import DatasetsCallback
    from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback

    has_dashboard = bool(get_webui_url_from_internal_kv())
    idle = (DatasetsCallback,) if has_dashboard else (DatasetsCallback, PlacementGroupCleanerCallback)
    created = type(trainer)._create_default_callbacks(trainer)
    return [each for each in created if not isinstance(each, idle)]


def in_thread(call: Callable[[], T]) -> "Future[T]":
    """Make the call in a thread of its own; what it returns or raises is the future's.

    In the main thread Ray Train and Ray Tune would replace the handler of Ctrl-C by their own, which wait for
    workers and end the process with code 0. In this way an interruption is raised here at once.
    """
    done: Future[T] = Future()

    def work() -> None:
        try:
            done.set_result(call())
        except BaseException as error:  # noqa: BLE001  raised again in the thread that asks
            done.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    return done


def given_up(error: Exception, scratch: Path, max_failures: int) -> Outcome:
    """Why Ray Train gave an attempt up."""
    failures = [cause_of(each) for each in getattr(error, "worker_failures", {}).values()]
    for failure in failures:
        if isinstance(failure, Ended):
            return read_outcome(str(failure))
    # Errors of Ray's own writing of checkpoints arrive here too.
    cause = failures[0] if failures else getattr(error, "controller_failure", error)
    if known := fault_of(cause, (scratch,)):
        return known
    if any(kind_of(failure) is KILLED for failure in failures):
        reason = "a worker was killed because its machine's memory was used up"
        return TrainFailure(fault=TrainFault.OUT_OF_MEMORY, reason=reason)
    what = f"workers were lost more than {max_failures} times" if failures else "workers could not be started"
    reason = f"{what}: {first_line(cause)}"
    return TrainFailure(fault=TrainFault.WORKER_LOST, reason=reason)

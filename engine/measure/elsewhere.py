"""The problems of tasks that a campaign is not trained on, on which its models are measured."""

from pathlib import Path

from configs.schema import Config, Transfer
from engine.records import Problem
from engine.tasks import load_task, read_file
from engine.tasks.suite import DataError, Suite, Task


def problems_of(settings: Transfer, seed: int) -> tuple[Suite, list[Problem]]:
    """The suite that says how answers are measured, and the problems. Raises DataError.

    Its notes say which records of a file are not asked, where that is a file of the task too.
    """
    suite = load_task(settings.task.name).open(settings.task)
    if settings.file is not None:
        return suite, read_file(settings.task, Path(settings.file))[: settings.num_problems]
    return suite, suite.draw(settings.num_problems, split="eval", seed=seed)


def require_transfer(config: Config, task: Task) -> None:
    """Raises DataError for a task that the campaign's verifiers do not judge, and for unusable records."""
    for name, settings in config.transfer.items():
        other = load_task(settings.task.name).open(settings.task).task
        if (other.exam, other.verifiers) != (task.exam, task.verifiers):
            raise DataError(
                f"transfer.{name}: {', '.join(other.verifiers) or other.exam} judge task {other.name}, but "
                f"{', '.join(task.verifiers) or task.exam} that of the campaign"
            )
        problems_of(settings, config.seed)

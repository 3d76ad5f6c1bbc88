"""How an exported file is asked: as the campaign asked that made its model, unless another task is named."""

from pathlib import Path

from configs.asking import Asking
from engine.earlier import config_of
from engine.export.exported import ExportError
from engine.measure.asking import asking_of
from engine.registry.registry import Registry


def asking_for(home: Path, model: str, task: str | None) -> Asking:
    """The settings that `task` names, else those of the newest run on record that judged the model.

    Raises ExportError where that run is gone, and what reading a config or a task raises.
    """
    if task is not None:
        return asking_of(task)
    registry = Registry(home)
    events = [event for line in registry.lines() for event in registry.history(line.name)]
    judging = sorted((event for event in events if event.model_id == model), key=lambda event: event.time)
    for event in reversed(judging):
        run = home / "runs" / event.run_id
        if event.run_id and (run / "config.yaml").is_file():
            return Asking.as_in(config_of(run))
    raise ExportError(
        f"no run under {home / 'runs'} tells by which task model {model} was judged: name the task or its "
        "config with --task, or export the files with --unjudged"
    )

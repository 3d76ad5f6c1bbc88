"""How an exported file is asked: as the campaign asked that made its model, unless another task is named."""

from pathlib import Path

from configs.asking import Asking
from engine.export.exported import ExportError
from engine.measure.asking import asking_of, asking_of_model


def asking_for(home: Path, model: str, task: str | None) -> Asking:
    """The settings that `task` names, else those of the newest run on record that judged the model.

    Raises ExportError where that run is gone, and what reading a config or a task raises.
    """
    if task is not None:
        return asking_of(task)
    if (asking := asking_of_model(home, model)) is not None:
        return asking
    raise ExportError(
        f"no run under {home / 'runs'} tells by which task model {model} was judged: name the task or its "
        "config with --task, or export the files with --unjudged"
    )

"""Orders: what a job will run, checked on the submitting machine before anything is uploaded."""

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from configs.experiment import Experiment, load_experiment
from configs.load import config_hash, load, require_run_id
from configs.schema import Config
from configs.sweep import Sweep, load_sweep
from engine.disk.home import said_home
from engine.disk.storage import require_directory
from engine.errors import Mistake

Kind = Literal["run", "sweep", "experiment"]
"""What a file describes, by the command that runs it: a campaign, a sweep or an experiment."""


class OrderError(Mistake):
    """A job that could not run as asked; the message says what was wrong and what is allowed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A run for a job to drive."""

    run_id: str
    command: Sequence[str]
    """Arguments of `python -m ratchet`; they name the run."""
    config: str
    """Hash of the config; empty for a `resume`, whose run has its config already."""
    working_dir: Path
    home: str | None
    """RATCHET_HOME on the cluster; None leaves it to the cluster's environment."""


def order_run(
    config: Path,
    overrides: Sequence[str],
    *,
    kind: Kind,
    submission_id: str | None,
    new_id: Callable[[str], str],
    working_dir: Path,
) -> Order:
    """Order what a file describes; its id is `submission_id`, else the config's, else `new_id` of its name.

    Raises OrderError, and ConfigError for a wrong config.
    """
    here, home = _place(working_dir)
    _require_inside(config, "config", here)
    path = str(config.resolve().relative_to(here))
    changes = [*overrides, *([_run_id(submission_id)] if submission_id else [])]
    settings: Config | Sweep | Experiment
    if kind == "run":
        settings = load(path, changes)
        digest = config_hash(settings)
    else:
        settings, campaign = _with_campaign(kind, path, changes)
        _require_inside(Path(path).parent / settings.campaign, "campaign", here)
        content = settings.model_dump_json(exclude={"run_id"}) + config_hash(campaign)
        digest = hashlib.sha256(content.encode()).hexdigest()
    run_id = settings.run_id or new_id(settings.name)
    command = [kind, path, *overrides, _run_id(run_id)]
    return Order(run_id=run_id, command=command, config=digest, working_dir=here, home=home)


def order_resume(run_id: str, *, working_dir: Path) -> Order:
    """Order the rest of an interrupted run, by its id. Raises OrderError, and ConfigError for a wrong id."""
    here, home = _place(working_dir)
    # `latest` is refused, because only the cluster knows which run that is.
    require_run_id(run_id, "--resume")
    return Order(run_id=run_id, command=["resume", run_id], config="", working_dir=here, home=home)


def _with_campaign(kind: Kind, path: str, changes: list[str]) -> tuple[Sweep | Experiment, Config]:
    """The settings of a sweep or an experiment, and the campaign that its trials vary. Raises ConfigError."""
    if kind == "sweep":
        sweep, varied = load_sweep(path, changes)
        return sweep, varied.config
    design = load_experiment(path, changes)
    return design.settings, design.config


def _require_inside(file: Path, what: str, here: Path) -> None:
    if not file.resolve().is_relative_to(here):
        raise OrderError(f"{what} {file} must be in the working directory {here}, which is sent to the job")


def _run_id(run_id: str) -> str:
    return f"run_id={json.dumps(run_id)}"


def _place(working_dir: Path) -> tuple[Path, str | None]:
    """Enter the working directory, from which configs name paths; returns it and RATCHET_HOME."""
    try:
        os.chdir(working_dir)
    except OSError as error:
        raise OrderError(f"--working-dir {working_dir} cannot be used: {error.strerror}") from None
    here, home = Path.cwd().resolve(), said_home() or None
    if home is not None:
        require_directory(home)
    if home is not None and (not Path(home).is_absolute() or Path(home).resolve().is_relative_to(here)):
        raise OrderError(
            f"RATCHET_HOME must be the absolute path of a directory that every node sees, outside the "
            f"working directory, got {home}; unset it to use that of the cluster's environment"
        )
    return here, home

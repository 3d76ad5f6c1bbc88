"""What a job is to do, checked where it is sent from, before anything is uploaded."""

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from configs.load import config_hash, load, require_run_id
from configs.schema import Config
from configs.sweep import Sweep, load_sweep
from engine.disk.storage import require_directory


class OrderError(ValueError):
    """A job that could not do what is asked: what was wrong, and what is allowed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A run that is to be driven by a job."""

    run_id: str
    command: Sequence[str]
    """Arguments of `python -m ratchet`, which name the run."""
    config: str
    """Hash of what the run is told; empty where it was told before, as by `resume`."""
    working_dir: Path
    home: str | None
    """RATCHET_HOME on the cluster; None leaves it to the cluster's own environment."""


def order_run(
    config: Path,
    overrides: Sequence[str],
    *,
    sweep: bool,
    submission_id: str | None,
    new_id: Callable[[str], str],
    working_dir: Path,
) -> Order:
    """A campaign or a sweep, named by `submission_id`, else by its config, else by `new_id` of its name.

    Raises OrderError, and ConfigError as `configs.load.load` does.
    """
    here, home = _place(working_dir)
    _require_inside(config, "config", here)
    path = str(config.resolve().relative_to(here))
    said = [*overrides, *([_named(submission_id)] if submission_id else [])]
    settings: Config | Sweep
    if sweep:
        settings, campaign = load_sweep(path, said)
        _require_inside(Path(path).parent / settings.campaign, "campaign", here)
        told = settings.model_dump_json(exclude={"run_id"}) + config_hash(campaign.config)
        told = hashlib.sha256(told.encode()).hexdigest()
    else:
        settings = load(path, said)
        told = config_hash(settings)
    run_id = settings.run_id or new_id(settings.name)
    command = ["sweep" if sweep else "run", path, *overrides, _named(run_id)]
    return Order(run_id=run_id, command=command, config=told, working_dir=here, home=home)


def order_resume(run_id: str, *, working_dir: Path) -> Order:
    """An interrupted run, by its id. Raises OrderError, ConfigError."""
    here, home = _place(working_dir)
    # Which one is the latest only the cluster knows.
    require_run_id(run_id, "--resume")
    return Order(run_id=run_id, command=["resume", run_id], config="", working_dir=here, home=home)


def _require_inside(file: Path, what: str, here: Path) -> None:
    if not file.resolve().is_relative_to(here):
        raise OrderError(f"{what} {file} must be in the working directory, {here}, which the job is sent")


def _named(run_id: str) -> str:
    return f"run_id={json.dumps(run_id)}"


def _place(working_dir: Path) -> tuple[Path, str | None]:
    """The working directory, entered, as paths in configs are seen from it, and RATCHET_HOME."""
    try:
        os.chdir(working_dir)
    except OSError as error:
        raise OrderError(f"--working-dir {working_dir} cannot be used: {error.strerror}") from None
    here, home = Path.cwd().resolve(), os.environ.get("RATCHET_HOME")
    if home is not None:
        require_directory(home)
    if home is not None and (not Path(home).is_absolute() or Path(home).resolve().is_relative_to(here)):
        raise OrderError(
            f"RATCHET_HOME must be the absolute path of a directory that every node sees, outside the "
            f"working directory, got {home}; where it is unset the cluster's own environment says it"
        )
    return here, home

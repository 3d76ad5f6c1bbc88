"""The first stage of the loop ``domain``: a user's files become the directory that its task reads.

What a run reads is a copy of it: while the run goes on, more may be curated into the directory.
"""

import logging
import os
import sys
from pathlib import Path

import typer

from configs.curation import Curation
from configs.schema import Config
from configs.tasks import DomainTask
from engine.disk.interruption import interruptible
from engine.tasks import snapshots
from engine.terminal import INTERRUPTED, follow

log = logging.getLogger(__name__)


def _settings(config: Config, curation: Curation) -> Curation:
    """How a campaign's files are curated: nothing stays that its trainings would cut."""
    from engine.corpus.length import fitted

    limits = [config.sampler.max_model_len, *(each.max_length for each in config.trains.values())]
    base = config.base if isinstance(config.base, str) else ""
    return curation.model_copy(update={"length": fitted(curation.length, base, limits)})


def curate_files(config: Config) -> None:
    """Curate the files that a config's task names, where it names any, into its directory.

    What was read before is not read again, so calling it again costs little, and after an interruption, which
    exits with 130, it goes on from what is done. Raises as `engine.corpus.pipeline.curate` does.
    """
    task = config.task
    if not isinstance(task, DomainTask) or not task.files:
        return
    from engine.corpus.pipeline import curate  # with numpy, for which other campaigns should not wait

    # As while a run is driven: a million rows take minutes.
    follow()
    try:
        with interruptible():
            curated = curate(task.files, _settings(config, task.curation), Path(task.directory))
    except KeyboardInterrupt:
        print("ratchet: interrupted; the same command goes on from what is done", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None
    sizes = ", ".join(f"{name} {num:,}" for name, num in curated.splits.items())
    log.info("Curated into %s: %s", task.directory, sizes)


def on_snapshot(config: Config, home: Path) -> Config:
    """The config on a snapshot of its curated directory as it is now, which is kept in `home`.

    So nothing that is curated later changes the run, and a run that is resumed curates nothing. Raises as
    `engine.tasks.snapshots.keep` does.
    """
    task = config.task
    if not isinstance(task, DomainTask):
        return config
    kept = snapshots.keep(task, home)
    if kept.is_relative_to(Path.cwd()):
        # Both may be moved together.
        kept = Path(os.path.relpath(kept))
    named = task.model_copy(update={"directory": str(kept), "files": []})
    return config.model_copy(update={"task": named})

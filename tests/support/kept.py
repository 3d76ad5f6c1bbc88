"""Runs of the command line in this process, with one engine and one train worker for all of them.

Most of a short run's minute goes into the starts of Ray, vLLM and the train worker. They are the real ones
here too, but stay from one run to the next, as they do from one round of a campaign to the next.
"""

import gc
import io
from contextlib import AbstractContextManager, nullcontext, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

import ratchet
from configs.schema import Sampler
from engine.models.reference import References
from engine.sample.group import SamplerGroup
from engine.train.crew import Crew
from loops import bookends
from tests.support.runs import ROOT


class KeptEngine:
    """Opens a `SamplerGroup`, and the same one again for whoever asks for an engine of the same settings.

    Two stay at most: the Ray of the session has room for two more, the fixture `sampler` and that of a trial.
    """

    def __init__(self) -> None:
        self._open: dict[str, SamplerGroup] = {}

    def __call__(
        self, config: Sampler, model: Path, **placement: Any
    ) -> AbstractContextManager[SamplerGroup]:
        references = placement.pop("references", None)
        # A call says by itself how long its answers may be.
        asked = f"{config.model_copy(update={'max_new_tokens': 1})!r} {placement}"
        if asked not in self._open:
            if len(self._open) == 2:
                self._open.pop(next(iter(self._open))).__exit__()
            self._open[asked] = SamplerGroup(config, model, **placement)
        self._open[asked].references = references or References()
        return nullcontext(self._open[asked])

    def close(self) -> None:
        for group in self._open.values():
            group.__exit__()
        self._open = {}


class Here:
    """`ratchet` in this process, on the Ray that is there."""

    def __init__(self, crew: Crew) -> None:
        self.engine, self.crew = KeptEngine(), crew

    def __call__(self, home: Path, *arguments: str) -> str:
        """Run a command with `home` as RATCHET_HOME; it must succeed. Returns what it printed."""
        out, engine = io.StringIO(), self.engine
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out):
            patch.setenv("RATCHET_HOME", str(home))
            patch.chdir(ROOT)
            patch.setattr("cluster.connect.connect", lambda needs: None)
            patch.setattr(bookends, "Crew", lambda place: nullcontext(self.crew))
            patch.setattr("engine.sample.group.SamplerGroup", engine)
            assert not ratchet.app(list(arguments), standalone_mode=False)
        gc.collect()  # with the last reference to a run goes the lock on it
        return out.getvalue()

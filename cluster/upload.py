"""What a job takes along: the files of its working directory, as many as a dashboard takes."""

import os
from collections.abc import Sequence
from pathlib import Path

_SHOWN = 5
_ENTRY_BYTES, _END_BYTES = 76, 22
"""What Ray's package, which is not compressed, says of each file besides its name, twice; and at its end."""


def refusal(working_dir: Path, excludes: Sequence[str]) -> str | None:
    """Why a dashboard will not take the files of a directory, and what to do; None if it will.

    `excludes` are patterns, besides those of .gitignore and .rayignore, of what stays here.
    """
    from ray._private.ray_constants import DASHBOARD_CLIENT_MAX_SIZE

    try:
        sizes = _sizes(working_dir, excludes)
    except OSError as error:
        return f"{error.filename} cannot be sent: {error.strerror}; name it in {working_dir / '.rayignore'}"
    said = sum(_ENTRY_BYTES + 2 * len(os.fsencode(name)) for name in sizes)
    total = sum(sizes.values()) + said + _END_BYTES
    if total <= DASHBOARD_CLIENT_MAX_SIZE:
        return None
    largest = sorted(sizes, key=lambda name: -sizes[name])[:_SHOWN]
    shown = ", ".join(f"{name} ({_mebibytes(sizes[name])})" for name in largest)
    return (
        f"the working directory {working_dir} has {_mebibytes(total)} to send, but a Ray dashboard takes "
        f"{_mebibytes(DASHBOARD_CLIENT_MAX_SIZE)}; the largest files are {shown}: name what the job does not "
        f"need in {working_dir / '.rayignore'}, as in a .gitignore"
    )


def _sizes(working_dir: Path, excludes: Sequence[str]) -> dict[str, int]:
    """Bytes of each file that Ray would send, found as Ray finds them. Raises OSError."""
    from ray._private import ray_constants
    from ray._private.runtime_env.packaging import _dir_travel, _get_excludes

    sizes: dict[str, int] = {}

    def weigh(path: Path) -> None:
        if path.is_file():
            sizes[str(path.relative_to(working_dir))] = path.stat().st_size

    patterns = [*ray_constants.get_runtime_env_default_excludes(), *excludes]
    _dir_travel(
        working_dir,
        [_get_excludes(working_dir, patterns)],
        weigh,
        include_gitignore=os.environ.get(ray_constants.RAY_RUNTIME_ENV_IGNORE_GITIGNORE, "0") != "1",
    )
    return sizes


def _mebibytes(size: int) -> str:
    return f"{size / 2**20:,.1f} MiB"

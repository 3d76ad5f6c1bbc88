"""Makes the `python` of a job the one that Ray runs in, whether or not its environment was activated.

Ray calls `put_first` in each process that it starts for a job, and one of these starts the job's command. So
this imports nothing that takes time.
"""

import os
import sys

HOOK = f"{__name__}.put_first"
"""How Ray is told of it."""


def put_first() -> None:
    """Put the directory of this Python at the beginning of PATH."""
    own, path = os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)
    if path.split(os.pathsep)[0] != own:
        os.environ["PATH"] = os.pathsep.join((own, path))

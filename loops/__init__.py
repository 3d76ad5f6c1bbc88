from collections.abc import Callable
from pathlib import Path

from loops import oak_dpo
from loops.context import Context
from loops.loop import Proposal

LOOPS: dict[str, Callable[[Context, Path, int, frozenset[str]], Proposal]] = {"oak_dpo": oak_dpo.propose}

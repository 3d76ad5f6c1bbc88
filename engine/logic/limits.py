"""How large a proof may be: facts of the format, which every reader of it respects."""

from collections.abc import Sequence

MAX_LINES = 256
MAX_CHARS = 32_768
"""Longest completion, in characters."""
MAX_TEXT = 2_000
"""Longest statement, in characters."""
MAX_DEPTH = 20
"""Deepest formula; recursion over formulas is bounded by it."""
MAX_PREMISES = 10_000
MAX_PREMISE_CHARS = 262_144
"""Characters of all premises together: each checker reads so many in a second or two."""


def too_many(premises: Sequence[str]) -> str:
    """Why a problem has more premises than the format allows; empty where it has not."""
    num_chars = sum(map(len, premises))
    if len(premises) <= MAX_PREMISES and num_chars <= MAX_PREMISE_CHARS:
        return ""
    return (
        f"a problem has at most {MAX_PREMISES:,} premises and {MAX_PREMISE_CHARS:,} characters in them, "
        f"got {len(premises):,} and {num_chars:,}"
    )

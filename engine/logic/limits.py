"""How large a proof may be: facts of the format, which every reader of it respects."""

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

"""What curation leaves out, and why."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """An example, or a line that could not be read, that is left out, and why."""

    file: str
    number: int
    station: str
    """Name of the station that dropped it."""
    fault: str
    """The fault by its short name, as the card counts it: ``near_duplicate``, ``mail``, ``too_long`` …"""
    reason: str
    """One sentence for people, with what was found and, for a twin, where the other stands."""
    part: int = 0
    text: str = ""
    """The beginning of the example, as a label; empty where nothing could be read."""

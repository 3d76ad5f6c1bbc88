"""Checks before a run: what it would find, take and cost, and what its gate could show."""

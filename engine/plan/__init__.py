"""Who runs where, and whether it fits."""

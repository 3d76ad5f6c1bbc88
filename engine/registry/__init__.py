"""The registry: the champion of each line, the way it got there, and the error budget it spends."""

"""Answers and files become rows to learn from."""

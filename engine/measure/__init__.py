"""Answers become figures: evaluation, intervals, tests, weaknesses, readings."""

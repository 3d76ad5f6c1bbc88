"""Sweeps: many trials of one campaign, and one judgement of the best."""

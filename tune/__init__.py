"""Sweeps and experiments: many trials of one campaign, and one judgement."""

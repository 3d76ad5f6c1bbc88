"""Writes the results of a run as pages for people."""

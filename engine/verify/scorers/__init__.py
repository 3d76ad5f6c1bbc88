"""Scorers of records: each says whether a reply holds an accepted answer. Each is a verifier by its name."""

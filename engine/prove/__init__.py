"""Proofs for people: a question, replies of a model, and the first of them that both checkers accept."""

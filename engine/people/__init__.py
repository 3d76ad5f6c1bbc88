"""Invented people: facts that no model can know, wordings that ask for them, talks that tell them."""

"""A model answers: vLLM engines in Ray actors behind one protocol."""

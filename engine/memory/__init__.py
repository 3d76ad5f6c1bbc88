"""The hippocampus: from talk to what is remembered, corrected, rejected or left undecided."""

"""A user's files become curated sets: read, cleaned, divided and described."""

"""What a model is: where it comes from, its content hash, that it is alive, and copies of it."""

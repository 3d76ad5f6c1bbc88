"""What a model is: where it comes from, whether it can be used, its id, that it is alive, copies of it."""

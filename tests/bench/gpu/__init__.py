"""`make gpu`: what needs a GPU, in eight minutes at most, without a network. See tests/bench/README.md."""

"""What a run would find, take, cost and could show, before it starts."""

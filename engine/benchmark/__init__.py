"""Public and own benchmarks: lm-evaluation-harness asks our models, and the gate's test compares them."""

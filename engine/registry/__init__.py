"""Which model is champion of a line, how it got there, and the error budget that it spends."""

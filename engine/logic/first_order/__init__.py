"""First-order logic as it is read and written: one grammar, and the scripts that spell its signs."""

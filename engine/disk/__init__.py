"""What survives `kill -9`: files, journals, runs, and what a disk must promise."""

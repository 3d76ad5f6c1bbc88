"""Reports: what a run came to, as pages for people."""

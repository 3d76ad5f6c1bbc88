"""What `ratchet submit` refuses before anything is sent, and how it takes a cluster's jobs."""

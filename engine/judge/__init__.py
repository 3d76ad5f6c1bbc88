"""Which of two replies is better, by a judge whose errors are measured, or by people who rate blindly."""

"""Rows and a parent become a challenger, by one of the methods."""

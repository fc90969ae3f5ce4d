"""Runs side by side: the table of all, and the differences between two."""

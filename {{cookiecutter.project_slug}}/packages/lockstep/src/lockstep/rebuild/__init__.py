"""Restore a recorded state, run it again, and compare the results."""

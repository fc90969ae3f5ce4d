"""The way back from a run, and the way on from a file."""

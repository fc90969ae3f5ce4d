"""A stage whose input is a folder: each of its files, a partition, is computed once."""

"""Compare new data with the data behind a model: quality, drift and performance."""

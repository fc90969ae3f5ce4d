"""What a run records: its provenance, params, metrics, and the snapshot of its code."""

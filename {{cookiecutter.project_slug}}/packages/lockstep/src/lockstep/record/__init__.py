"""What a run says: its provenance, params, metrics, and the snapshot of its code."""

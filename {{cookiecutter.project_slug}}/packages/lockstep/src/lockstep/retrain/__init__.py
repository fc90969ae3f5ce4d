"""Train again when data are new or monitoring gave an alarm, and let the gate decide."""

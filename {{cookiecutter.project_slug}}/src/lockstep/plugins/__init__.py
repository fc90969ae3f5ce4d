"""What MLflow finds by its entry points."""

"""One run in MLflow for each state of the pipeline."""

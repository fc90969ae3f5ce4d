"""Runs in MLflow: what they say, the code and the model that they carry."""

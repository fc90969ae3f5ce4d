"""MLflow: the store, the registry, the model package, and plugins."""

"""What a team shares: git's remote, DVC's, MLflow's server."""

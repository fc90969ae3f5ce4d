"""Many trials of the train stage, searched by Optuna, shown in MLflow as one family."""

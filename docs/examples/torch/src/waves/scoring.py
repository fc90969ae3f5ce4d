"""The predictions of a model, and their metrics, also for the gate."""

import pandas as pd


def predict(model, test, cfg):
    """The predictions for the test rows.

    Args:
        model: Something with `predict`: a Net, or what MLflow loads.
    """
    table = pd.read_parquet(test)
    predicted = model.predict(table.drop(columns=cfg.data.target))
    return pd.DataFrame({"actual": table[cfg.data.target], "predicted": predicted})


def scorer(predictions, names):
    """A function that computes the metrics of the rows with the given numbers."""
    errors = (predictions["actual"] - predictions["predicted"]).abs().to_numpy()
    return lambda rows: {name: float(errors[rows].mean()) for name in names}

"""Measure the model on the test rows."""

import json

from . import scoring
from .net import load


def main(cfg, model, test, metrics, predictions):
    """Run the stage."""
    table = scoring.predict(load(model), test, cfg)
    table.to_parquet(predictions)
    error = float((table["actual"] - table["predicted"]).abs().mean())
    metrics.write_text(json.dumps({"mean_absolute_error": error}))

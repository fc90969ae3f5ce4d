"""scoring: metrics of the predictions equal those of the model."""

import numpy as np
import pandas as pd
import pytest
from conftest import Compose
from omegaconf import OmegaConf
from sklearn.metrics import get_scorer

from {{ cookiecutter.package_name }} import scoring, train


def test_predictions_score_as_the_model_does(
    composed: Compose, table: pd.DataFrame, features: pd.DataFrame
) -> None:
    cfg = composed()
    OmegaConf.update(cfg, "model.n_estimators", 5)
    target = table["outcome"]
    model = train.fit(features, target, cfg)
    predicted = scoring.predictions(model, features, target)
    metrics = scoring.scorer(predicted, cfg.evaluate.metrics)(np.arange(len(table)))
    for name in cfg.evaluate.metrics:
        value = get_scorer(name)(model, features, target)
        shown = name.removeprefix("neg_")
        assert metrics[shown] == pytest.approx(value if shown == name else -value), name

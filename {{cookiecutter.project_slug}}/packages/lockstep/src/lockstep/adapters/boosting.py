"""The native files of LightGBM, XGBoost and CatBoost."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lockstep.adapters.kind import Kind

if TYPE_CHECKING:
    import pandas as pd


def kind(path: Path) -> Kind | None:
    """A booster that its library has saved: a text file, JSON or UBJ, or `.cbm`."""
    if not path.is_file():
        return None
    if path.suffix == ".cbm":
        return Kind("catboost", (catboost_model(path),), packages={"catboost"})
    if path.suffix in (".txt", ".lgb") and path.read_bytes()[:5] == b"tree\n":
        return Kind("lightgbm", (lightgbm_model(path),), packages={"lightgbm", "sklearn"})
    if path.suffix in (".ubj", ".json") and b"learner" in path.read_bytes()[:100]:
        return Kind("xgboost", (XGBoost(path).booster,), packages={"xgboost"})
    return None


def catboost_model(path: Path) -> Any:
    """A classifier or regressor of CatBoost."""
    import catboost

    loss = json.loads(catboost.CatBoost().load_model(str(path)).get_metadata()["params"])
    classifies = loss["loss_function"]["type"] in ("Logloss", "CrossEntropy", "MultiClass")
    booster = catboost.CatBoostClassifier() if classifies else catboost.CatBoostRegressor()
    return booster.load_model(str(path))


def lightgbm_model(path: Path) -> Any:
    """A booster of LightGBM."""
    import lightgbm

    return lightgbm.Booster(model_file=str(path))


class XGBoost:
    """A booster of XGBoost that predicts for tables."""

    def __init__(self, path: Path) -> None:
        import xgboost

        self.booster = xgboost.Booster(model_file=str(path))

    def predict(self, table: "pd.DataFrame") -> Any:
        """What the booster predicts: numbers, or a row of probabilities for each."""
        import xgboost

        return self.booster.predict(xgboost.DMatrix(table))

"""The native files of LightGBM, XGBoost and CatBoost."""

import json
from pathlib import Path

from lockstep.adapters.kind import Kind


def kind(path: Path) -> Kind | None:
    """A booster that its library has saved: a text file, JSON or UBJ, or `.cbm`."""
    if not path.is_file():
        return None
    if path.suffix == ".cbm":
        import catboost

        loss = json.loads(catboost.CatBoost().load_model(str(path)).get_metadata()["params"])
        classifies = loss["loss_function"]["type"] in ("Logloss", "CrossEntropy", "MultiClass")
        booster = catboost.CatBoostClassifier() if classifies else catboost.CatBoostRegressor()
        return Kind("catboost", (booster.load_model(str(path)),), packages={"catboost"})
    if path.suffix in (".txt", ".lgb") and path.read_bytes()[:5] == b"tree\n":
        import lightgbm

        model = (lightgbm.Booster(model_file=str(path)),)
        return Kind("lightgbm", model, packages={"lightgbm", "sklearn"})
    if path.suffix in (".ubj", ".json") and b"learner" in path.read_bytes()[:100]:
        import xgboost

        return Kind("xgboost", (xgboost.Booster(model_file=str(path)),), packages={"xgboost"})
    return None

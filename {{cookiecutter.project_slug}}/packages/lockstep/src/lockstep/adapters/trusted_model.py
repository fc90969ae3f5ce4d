"""Load a model that others may have written, without running code that came with it."""

import importlib
from collections.abc import Collection
from pathlib import Path
from typing import Any

import yaml

from lockstep import LockstepError
from lockstep.adapters.native import load_native, native_flavor

# What fitted estimators hold besides what skops trusts by default (the estimators themselves and
# ufuncs): exact names, by module. None of them runs code that it is given, whatever its arguments.
# tests/test_trust.py fits scikit-learn's estimators.
_CLASSES = {
    "collections": "OrderedDict",
    "lightgbm.basic": "Booster",
    "numpy": "dtype",
    "scipy.interpolate._bsplines": "BSpline",
    "scipy.sparse._csr": "csr_matrix",
    "sklearn._loss.loss": "HalfTweedieLoss HalfTweedieLossIdentity",
    "sklearn.calibration": "_CalibratedClassifier _SigmoidCalibration _TemperatureScaling",
    "sklearn.cluster._bisect_k_means": "_BisectingTree",
    "sklearn.ensemble._hist_gradient_boosting.predictor": "TreePredictor",
    "sklearn.gaussian_process._gpc": "_BinaryGaussianProcessClassifierLaplace",
    "sklearn.gaussian_process.kernels": (
        "CompoundKernel ConstantKernel DotProduct ExpSineSquared Exponentiation Hyperparameter "
        "Matern PairwiseKernel Product RBF RationalQuadratic Sum WhiteKernel"
    ),
    "sklearn.metrics._dist_metrics": " ".join(
        f"{name}Distance{bits}"
        for name in (
            "BrayCurtis", "Canberra", "Chebyshev", "Dice", "Euclidean", "Hamming", "Haversine",
            "Jaccard", "Mahalanobis", "Manhattan", "Minkowski", "RogersTanimoto", "RussellRao",
            "SEuclidean", "SokalMichener", "SokalSneath",
        )
        for bits in (32, 64)
    ),
    "sklearn.metrics._scorer": "_CurveScorer _PassthroughScorer _Scorer",
    "sklearn.model_selection._search_successive_halving": (
        "HalvingGridSearchCV HalvingRandomSearchCV"
    ),
    "sklearn.model_selection._split": (
        "GroupKFold GroupShuffleSplit KFold LeaveOneGroupOut LeaveOneOut RepeatedKFold "
        "RepeatedStratifiedKFold ShuffleSplit StratifiedGroupKFold StratifiedKFold "
        "StratifiedShuffleSplit TimeSeriesSplit"
    ),
    "sklearn.multiclass": "_ConstantPredictor",
    "sklearn.neighbors._ball_tree": "BallTree BallTree32 BallTree64",
    "sklearn.neighbors._kd_tree": "KDTree KDTree32 KDTree64",
    "sklearn.neural_network._stochastic_optimizers": "AdamOptimizer SGDOptimizer",
    "sklearn.tree._tree": "Tree",
    "sklearn.utils._bunch": "Bunch",
    "sklearn.utils._metadata_requests": "MetadataRequest MethodMetadataRequest",
    "xgboost.core": "Booster",
}  # fmt: skip
# A function in a file is called with arguments from the same file, so only arithmetic is trusted;
# the metrics that a search or a threshold was tuned by are added to these.
_FUNCTIONS = {
    "numpy": "mean",
    "scipy._lib.array_api_compat.numpy._aliases": "asarray",  # of SplineTransformer
    "sklearn.feature_selection._mutual_info": "mutual_info_classif mutual_info_regression",
    "sklearn.feature_selection._univariate_selection": "chi2 f_classif f_regression r_regression",
}


def mlmodel(folder: Path) -> dict[str, Any]:
    """The description of an MLflow model."""
    return dict(yaml.safe_load((folder / "MLmodel").read_text(encoding="utf-8")))


def needs_pickle(folder: Path) -> bool:
    """Whether loading an MLflow model may run any code, besides what comes with it in `code`."""
    flavors = flavors_of(folder)
    if loaded_by_own_code(folder) or native_flavor(flavors):
        return False
    return bool(flavors.get("sklearn", {}).get("serialization_format") != "skops")


def needs_mlflow(folder: Path) -> bool:
    """Whether only a module of MLflow loads an MLflow model."""
    return needs_pickle(folder) and "sklearn" not in flavors_of(folder)


def loaded_by_own_code(folder: Path) -> bool:
    """Whether a module that comes with an MLflow model loads it, not a flavor of MLflow."""
    loader = flavors_of(folder).get("python_function", {}).get("loader_module", "")
    return (folder / "code" / f"{loader}.py").is_file()


def flavors_of(folder: Path) -> dict[str, Any]:
    """The flavors of an MLflow model.

    Raises:
        LockstepError: It has none.
    """
    flavors = mlmodel(folder).get("flavors")
    if not flavors:
        raise LockstepError(
            "MLflow cannot load this model: it is of no kind that docs/models.md of Lockstep lists"
        )
    return dict(flavors)


def load_model(folder: Path, estimators: Collection[str] | None) -> Any:
    """Load an MLflow model, without MLflow.

    A pickle may run any code when it is loaded, and what MLmodel says of a model comes from the
    same hands. So from a server that others write to, only two kinds are loaded: native files,
    which their libraries read; and skops files of scikit-learn's flavor, if all that they hold is
    trusted by its exact name. A forged file can still crash the process: scikit-learn does not
    check the arrays of a tree.

    Args:
        estimators: The names of the classes that are trusted as well; None if the store is the
            project's own, which is as trusted as the folder that it is in.

    Returns:
        Something with `predict`; from the project's own store, the folder of a model that only
        `load_by_loader` or MLflow can load.

    Raises:
        LockstepError: The model is not trusted, or of no kind that can be loaded.
    """
    flavors = flavors_of(folder)
    if native := native_flavor(flavors):
        return load_native(folder, native, flavors)
    flavor = flavors.get("sklearn")
    if flavor is None or flavor["serialization_format"] != "skops":
        if estimators is not None:
            raise LockstepError(
                "the model is neither in the format skops nor in a native one of its library, and "
                "loading another one from a server could run any code here"
            )
        return _unpickled(folder / flavor["pickled_model"]) if flavor else folder
    import skops.io

    file = folder / flavor["pickled_model"]
    types = skops.io.get_untrusted_types(file=file)
    if estimators is not None and (foreign := set(types) - trusted_names() - set(estimators)):
        raise LockstepError(
            f"the model contains {', '.join(sorted(foreign))}, which is neither part of "
            "scikit-learn's models nor an estimator that conf/ names; it was not loaded"
        )
    return skops.io.load(file, trusted=types)


def load_by_loader(folder: Path) -> Any:
    """What the module that MLmodel names makes of the model, which may run any code.

    The module comes with the model and is on `sys.path`, or it is one of MLflow's.
    """
    flavor = flavors_of(folder)["python_function"]
    data = folder / flavor["data"] if flavor.get("data") else folder
    return importlib.import_module(flavor["loader_module"])._load_pyfunc(str(data))


def trusted_names() -> set[str]:
    """The names of all types and functions that are trusted in any model."""
    from sklearn.metrics import get_scorer, get_scorer_names

    metrics = (get_scorer(name)._score_func for name in get_scorer_names())
    return {f"{metric.__module__}.{metric.__name__}" for metric in metrics} | {
        f"{module}.{name}"
        for listed in (_CLASSES, _FUNCTIONS)
        for module, names in listed.items()
        for name in names.split()
    }


def _unpickled(file: Path) -> Any:
    import cloudpickle

    with file.open("rb") as stream:
        return cloudpickle.load(stream)

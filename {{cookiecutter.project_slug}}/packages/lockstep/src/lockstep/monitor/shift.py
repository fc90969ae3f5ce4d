"""What scikit-learn's learners tell of new data: whether they differ, and what a model does there.

Each function takes the reference, rows that the model was tested on, and the window.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

Array = npt.NDArray[Any]
SAMPLE = 5000  # rows of each side that the domain classifier sees
FOLDS = 3
PROBABILITY = "probability."  # the prefix of columns with the probability of a class


def domain_auc(
    reference: pd.DataFrame, current: pd.DataFrame, seed: int = 0
) -> tuple[float, float]:
    """How well a classifier tells the window from the reference: 0.5 means not at all.

    It sees what no single column shows, such as two columns that no longer move together
    (Lopez-Paz & Oquab, Revisiting classifier two-sample tests, ICLR 2017).

    Returns:
        The area under the ROC curve, on rows that the classifier did not learn from, and its
        standard error (Hanley & McNeil, The meaning and use of the area under a ROC curve,
        Radiology 143, 1982).
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    size = min(SAMPLE, len(reference), len(current))
    parts = [part.sample(size, random_state=seed) for part in (reference, current)]
    rows = encoded(pd.concat(parts, ignore_index=True))
    side = np.repeat([0, 1], size)
    model = HistGradientBoostingClassifier(
        max_iter=50, max_leaf_nodes=8, early_stopping=False, random_state=seed
    )
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    scores = cross_val_predict(model, rows, side, cv=folds, method="predict_proba")[:, 1]
    area = float(roc_auc_score(side, scores))
    first, second = area / (2 - area), 2 * area**2 / (1 + area)
    spread = area * (1 - area) + (size - 1) * (first + second - 2 * area**2)
    return area, float(np.sqrt(max(spread, 0.0)) / size)


def encoded(table: pd.DataFrame) -> pd.DataFrame:
    """A table as numbers: categories as codes, dates as days; for trees, which only compare."""
    columns: dict[str, Any] = {}
    for name, values in table.items():
        if pd.api.types.is_datetime64_any_dtype(values):
            columns[str(name)] = (values - pd.Timestamp(0)) / pd.Timedelta(days=1)
        elif pd.api.types.is_numeric_dtype(values):
            columns[str(name)] = values.astype("float64")
        else:
            columns[str(name)] = values.astype("category").cat.codes
    return pd.DataFrame(columns)


def possible_classes(
    tested: pd.DataFrame, current: pd.DataFrame, draws: int, seed: int = 0
) -> list[Array]:
    """Labels that the window's rows may have, drawn from the model's calibrated probabilities.

    Metrics of these labels, averaged, estimate the model's performance where labels are late
    (Kivimäki et al., Confidence-based estimators for predictive performance in model monitoring,
    JAIR 82, 2025). The estimate holds as long as the classes depend on the columns as before:
    it cannot see concept drift.

    Args:
        tested: Predictions of the test rows: actual, predicted and `probability.CLASS`.
        current: Predictions of the window, with the same columns but `actual`.

    Returns:
        `draws` arrays of labels, shape (rows,).
    """
    from sklearn.isotonic import IsotonicRegression

    names = [name for name in tested if name.startswith(PROBABILITY)]
    actual = tested["actual"].astype(str).to_numpy()
    columns = []
    for name in names:
        fit = IsotonicRegression(out_of_bounds="clip", y_min=1e-6, y_max=1 - 1e-6)
        fit.fit(tested[name], actual == name.removeprefix(PROBABILITY))
        columns.append(fit.predict(current[name]))
    shares = np.column_stack(columns)
    edges = np.cumsum(shares / shares.sum(axis=1, keepdims=True), axis=1)
    known = dict(zip(actual, tested["actual"], strict=True))  # with the target's own type
    labels = [name.removeprefix(PROBABILITY) for name in names]
    classes = np.array([known.get(label, label) for label in labels], dtype=object)
    random = np.random.default_rng(seed)
    drawn = [(random.random((len(current), 1)) > edges[:, :-1]).sum(axis=1) for _ in range(draws)]
    return [classes[positions] for positions in drawn]


def possible_numbers(
    tested: pd.DataFrame,
    rows: pd.DataFrame,
    current: pd.DataFrame,
    current_rows: pd.DataFrame,
    draws: int,
    seed: int = 0,
) -> list[Array]:
    """Targets that the window's rows may have: predictions plus errors of the size expected there.

    A regressor learns from the test rows how large the model's error is, as in direct loss
    estimation. A row gets the error of a test row of which about the same was expected, in
    proportion: so the errors of large ones have their tails, and those of small ones have not.

    Args:
        tested: Predictions of the test rows: actual and predicted.
        rows: The columns of the test rows, in the same order.
        current: Predictions of the window.
        current_rows: The columns of the window.

    Returns:
        `draws` arrays of targets, shape (rows,).
    """
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.model_selection import cross_val_predict

    both = encoded(pd.concat([rows, current_rows], ignore_index=True))
    both["predicted"] = np.concatenate([tested["predicted"], current["predicted"]])
    known, new = both.iloc[: len(rows)], both.iloc[len(rows) :]
    errors = (tested["actual"] - tested["predicted"]).to_numpy()
    model = HistGradientBoostingRegressor(max_iter=100, max_leaf_nodes=8, random_state=seed)
    size = np.abs(errors)
    least = max(float(size.mean()) / 10, 1e-300)
    expected = np.maximum(cross_val_predict(model, known, size, cv=FOLDS), least)
    there = np.maximum(model.fit(known, size).predict(new), least)
    order = np.argsort(expected, kind="stable")
    near = min(max(len(order) // 20, 10), (len(order) - 1) // 2)
    places = np.clip(np.searchsorted(expected[order], there), near, len(order) - 1 - near)
    random = np.random.default_rng(seed)
    predicted = current["predicted"].to_numpy()
    targets = []
    for _ in range(draws):
        alike = order[places + random.integers(-near, near + 1, len(new))]
        targets.append(predicted + errors[alike] * there / expected[alike])
    return targets

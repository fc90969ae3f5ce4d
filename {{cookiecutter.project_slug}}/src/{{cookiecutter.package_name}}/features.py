"""Turn the columns of a table into the numbers that a model is trained on."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from hydra.utils import instantiate
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline

# The dtypes of each kind of column that data/table.parquet holds.
DTYPES: dict[str, Any] = {
    "number": "number",
    "category": ["str", "object"],
    "boolean": "bool",
    "date": "datetime",
}


def features_and_target(table: pd.DataFrame, data: Any) -> tuple[pd.DataFrame, "pd.Series[Any]"]:
    """The columns to learn from, and the column to predict.

    Args:
        table: Rows of the typed table.
        data: The section `data` of the config; its group is not a feature.
    """
    names = [name for name in (data.target, data.group) if name is not None]
    return table.drop(columns=names), table[data.target]


def build(component: Any) -> Any:
    """The object that a section of the config with a `_target_` describes."""
    return instantiate(component, _convert_="all")


def preprocessor(features: pd.DataFrame, preprocess: Any) -> ColumnTransformer:
    """The transformers of each kind of column, unfitted.

    Args:
        features: The columns to learn from.
        preprocess: The section `preprocess` of the config: for each kind, its steps by name.
    """
    branches = []
    for kind, dtypes in DTYPES.items():
        names = features.select_dtypes(include=dtypes).columns.tolist()
        steps = [(name, build(step)) for name, step in preprocess[kind].items()]
        if names:
            branches.append((kind, Pipeline(steps) if steps else "passthrough", names))
    return ColumnTransformer(branches)


class DateParts(TransformerMixin, BaseEstimator):  # type: ignore[misc] # scikit-learn has no types
    """Splits dates into numbers; a missing date has missing numbers.

    It is also an example of a custom transformer: conf/preprocess names it as `_target_`.
    """

    def __init__(
        self, parts: Sequence[str] = ("year", "month", "day", "day_of_week", "hour", "days")
    ) -> None:
        """Choose the parts.

        Args:
            parts: Attributes of `pandas.Series.dt`, and `days`, the days since 1970.
        """
        self.parts = parts

    def fit(self, dates: pd.DataFrame, y: object = None) -> "DateParts":
        """Store the names of the columns."""
        self.feature_names_in_ = dates.columns.to_numpy(dtype=object)
        self.n_features_in_ = dates.shape[1]
        return self

    def transform(self, dates: pd.DataFrame) -> pd.DataFrame:
        """A column of float64 for each part of each date."""
        columns = {
            f"{name}_{part}": _part(pd.to_datetime(dates[name]), part)
            for name in self.feature_names_in_
            for part in self.parts
        }
        return pd.DataFrame(columns, index=dates.index)

    def get_feature_names_out(self, input_features: object = None) -> Any:
        """The names of the columns that `transform` returns."""
        names = [f"{name}_{part}" for name in self.feature_names_in_ for part in self.parts]
        return pd.Index(names, dtype=object).to_numpy()


def _part(dates: "pd.Series[Any]", part: str) -> "pd.Series[Any]":
    # In nanoseconds, as pd.Timestamp(0) is, time ends in 2262, before 9999-12-31.
    epoch = pd.Timestamp(0).as_unit("s")
    values = (dates - epoch).dt.days if part == "days" else getattr(dates.dt, part)
    return values.astype("float64")

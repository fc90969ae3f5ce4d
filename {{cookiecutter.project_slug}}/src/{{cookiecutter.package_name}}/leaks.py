"""Find what makes a test easier than the use: columns that give the target away, shared rows.

The searches are cheap and find the gross cases only. Each finding is a warning that starts with
`leak: `; `registry.leak` decides whether such a model may become the champion.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import permutations
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.linear_model import LinearRegression
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from .tables import Table, count_distinct

SAMPLE = 1000  # training rows that are searched for columns
LEAST = 20  # rows held back, below which nothing is said
ALONE = {"regression": 0.9, "classification": 0.98}  # of a guess's error, avoided by one column
SAME = 0.99  # the same for a column that is a function of the target
FORMULA = 0.9999  # the same for a sum or a product of columns
USED = 0.01  # of the target's spread, which a term of a sum contributes
SHARED = 0.01  # of the test rows, which are among the training rows
VISITS = 20  # rows per value on average; of a store there are more, of a patient fewer
ORDERED = ("time", "partitions")  # strategies that test on the last rows
COMPLETE = 0.5  # of all pairs of subject and time, which occur
SUBJECTS = re.compile(
    r"(?i:(^|[\W_])(id|uuid|guid|subject|patient|person|participant|user|customer|client|student"
    r"|animal)s?$)|[a-z](Id|ID)$"
)
TIMES = re.compile(r"(?i)(^|[\W_])(time|date|year|month|week|day)s?$")

Array = npt.NDArray[Any]


def leaks(table: Table, is_train: Array, is_test: Array, data: Any, split: Any) -> list[str]:
    """What may make the metrics too good to be true.

    Args:
        table: The typed table.
        is_train: Whether each row is one to train on.
        is_test: Whether each row is one to test on.
        data: The section `data` of the config.
        split: The section `split` of the config.

    Returns:
        A sentence for each finding, with the option that cures it.
    """
    everything = np.ones(len(table), dtype=bool)
    hashes = np.concatenate(
        [pd.util.hash_pandas_object(rows, index=False) for rows in table.batches(everything)]
    )
    known, first = np.unique(hashes[is_train], return_index=True)
    distinct = np.flatnonzero(is_train)[np.sort(first)]
    found = [
        *_giveaways(_sample(table, distinct, split.seed), data, split),
        *_shared_rows(known, int(is_train.sum()), hashes[is_test]),
    ]
    if split.strategy in ("random", "stratified"):
        found += _mixed(table, data, split.strategy)
    return [f"leak: {text}" for text in found]


def _sample(table: Table, positions: Array, seed: int) -> pd.DataFrame:
    """Some of the rows at these positions, in random order."""
    drawn: Any = pd.Series(positions).sample(min(len(positions), SAMPLE), random_state=seed)
    return table.loc(table.index[drawn])


def _giveaways(rows: pd.DataFrame, data: Any, split: Any) -> Iterator[str]:
    """Columns that predict the target alone, or of which it is a sum or a product."""
    ignored = {data.target, data.group, data.time if split.strategy in ORDERED else None}
    columns, target = rows[[name for name in rows if name not in ignored]], rows[data.target]
    is_class = data.task == "classification"
    goal = pd.factorize(target)[0] if is_class else (target / target.abs().max()).to_numpy()
    cure = "if it is not known when the model is used, add it to data.drop"
    shares = {}
    for name, values in columns.items():
        kind = DecisionTreeClassifier if is_class else DecisionTreeRegressor
        tree = kind(min_samples_leaf=3, random_state=0)
        shares[name] = _avoided(_codes(values), goal, tree, is_class=is_class)
    parts: list[str] = []
    if not is_class:
        numbers = columns.select_dtypes("float64")
        others = numbers[[name for name in numbers if shares[name] < SAME]]
        for way, parts in _formulas(others, goal):
            yield f"{data.target!r} is a {way} of {', '.join(map(repr, parts))}: {cure}"
    for name, share in shares.items():
        is_time = columns[name].dtype.kind == "M" or TIMES.search(str(name))  # see `_mixed`
        if share >= ALONE[data.task] and name not in parts and not is_time:
            does = "predicts" if is_class else f"explains {share:.1%} of"
            yield f"{name!r} alone {does} {data.target!r}: {cure}"


def _codes(values: "pd.Series[Any]") -> Array:
    """A column as numbers that a tree can split, shape (rows, 1)."""
    if values.dtype == "float64":
        codes = values.to_numpy()
    else:
        codes = pd.factorize(values, sort=True)[0].astype("float64")
    codes = np.clip(codes, -1e30, 1e30)  # trees compute with 32 bits
    return np.asarray(codes).reshape(-1, 1)


def _avoided(codes: Array, goal: Array, model: Any, *, is_class: bool) -> float:
    """The share of a guess's error that a model avoids, on the half of the rows held back."""
    half = len(goal) // 2
    known, asked = goal[:half], goal[half:]

    def error(predicted: Any) -> float:
        return float(np.sum(predicted != asked if is_class else (predicted - asked) ** 2))

    if half < LEAST:
        return 0.0
    worst = error(np.bincount(known).argmax() if is_class else known.mean())
    if worst < (LEAST / 2 if is_class else np.finfo(float).tiny):
        return 0.0
    return 1 - error(model.fit(codes[:half], known).predict(codes[half:])) / worst


def _formulas(numbers: pd.DataFrame, goal: Array) -> Iterator[tuple[str, list[str]]]:
    """The columns of which the target is a sum or a product, with any factors."""
    known = numbers.notna().all(axis=1).to_numpy()
    terms = np.clip(numbers.to_numpy()[known], -1e150, 1e150)  # the square of more is infinite
    result = goal[known]
    ways = {"sum": (terms, result)}
    if len(result) and result.min() > 0:
        ways["product"] = (np.log(np.where(terms > 0, terms, 1)), np.log(result))
    for way, (values, sums) in ways.items():
        spread = values.std(axis=0) if values.size else np.zeros(0)
        used = np.flatnonzero(spread > 0)
        if not used.size:
            continue
        scaled = (values[:, used] - values[:, used].mean(axis=0)) / spread[used]
        model = LinearRegression()
        if _avoided(scaled, sums, model, is_class=False) >= FORMULA:
            matter = used[np.abs(model.coef_) > USED * sums.std()]
            yield way, numbers.columns[matter].tolist()
            return


def _shared_rows(known: Array, rows: int, asked: Array) -> Iterator[str]:
    """Test rows that are among the training rows, unless rows repeat by nature.

    Args:
        known: The sorted hashes of the training rows, each once.
        rows: The number of training rows.
        asked: The hashes of the test rows.
    """
    places = np.searchsorted(known, asked) % max(len(known), 1)
    shared = int((known[places] == asked).sum()) if len(known) else 0
    if shared > SHARED * len(asked) and len(known) > rows / 2:
        yield (
            f"{shared} of {len(asked)} test rows are also among the training rows: remove the "
            "copies from the data, or keep them together with split=group"
        )


def _mixed(table: Table, data: Any, strategy: str) -> Iterator[str]:
    """Subjects, and times, of which a random split puts rows on both sides."""
    subject = data.group or _subject(table, [name for name in table if name != data.target])
    times = [data.time] if data.time else table.dates
    if subject and TIMES.search(subject):
        times = [*times, subject]
    elif subject:
        yield (
            f"rows of the same {subject!r} are on both sides of split={strategy}: to test on "
            f"others than those trained on, use split=group with data.group={subject}"
        )
    if times:
        yield (
            f"split={strategy} draws test rows from among the training rows of {times[0]!r}: to "
            f"test on later rows, as in use, use split=time with data.time={times[0]}"
        )


def _subject(table: Table, names: Sequence[str]) -> str | None:
    """The column that tells which rows are of the same subject, by its name or its values.

    By its values: with another column, the time, it identifies the rows, most pairs of the two
    occur, and it changes less often from row to row.
    """
    rows = len(table)
    distinct = {name: count_distinct(table[name]) for name in names}
    several = [name for name in names if 2 < distinct[name] <= rows / 2]
    for name in several:
        if SUBJECTS.search(name) and rows <= VISITS * distinct[name]:
            return name
    fitting = [
        (name, time)
        for name, time in permutations(several, 2)
        if COMPLETE * distinct[name] * distinct[time] <= rows <= distinct[name] * distinct[time]
    ]
    changes = {name: _changes(table[name]) for name in {name for pair in fitting for name in pair}}
    for name, time in fitting:
        if (
            changes[name] < changes[time]
            and (times := table[time]).dtype in ("float64", "datetime64[us]")
            and not pd.DataFrame({name: table[name], time: times}).duplicated().any()
        ):
            return name
    return None


def _changes(values: "pd.Series[Any]") -> int:
    return int((values != values.shift()).sum())

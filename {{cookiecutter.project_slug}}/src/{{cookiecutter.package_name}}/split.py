"""Choose the rows that test the model: data/table.parquet -> data/{train,test}.parquet."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.model_selection import GroupShuffleSplit, train_test_split

from lockstep import LockstepError

from .leaks import leaks
from .tables import Table, in_order, manifest, write_table

Rows = npt.NDArray[np.bool_]
Columns = Table | pd.DataFrame


def main(
    cfg: Any, table: Path, train: Path, test: Path, report: Path, partitions: Path | None = None
) -> None:
    """Run the stage; `report` has warnings of what makes the test too easy.

    `partitions` lists what the model learns from, if `table` is a folder.
    """
    rows = Table(table)
    is_test = choose_test_rows(rows, cfg.data, cfg.split)
    if partitions:
        list_partitions(manifest(table), rows.index, is_test, partitions)
    is_train = some_of(~is_test, cfg.split)
    for chosen, path in ((is_train, train), (is_test, test)):
        write_table(rows.batches(chosen), rows.index[chosen], path)
    used = f"{is_train.sum()} rows to train on"
    used += f" of {(~is_test).sum()} (split.train_rows)" if cfg.split.train_rows else ""
    print(f"{cfg.split.strategy}: {used}, {is_test.sum()} to test on")
    warnings = leaks(rows, is_train, is_test, cfg.data, cfg.split)
    for warning in warnings:
        print(f"warning: {warning}")
    content = {"train": int(is_train.sum()), "test": int(is_test.sum()), "warnings": warnings}
    report.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def choose_test_rows(table: Columns, data: Any, split: Any) -> Rows:
    """Choose the rows to test on; the same input gives the same choice.

    Args:
        table: The typed table, of which only the columns that decide are read.
        data: The section `data` of the config.
        split: The section `split` of the config.

    Returns:
        Whether each row is one of them.

    Raises:
        LockstepError: The table cannot be split in this way.
    """
    chosen = STRATEGIES[split.strategy](table, data, split)
    is_test = np.zeros(len(table), dtype=bool)
    is_test[chosen] = True
    if is_test.all() or not is_test.any():
        raise LockstepError(
            f"split={split.strategy} with test_size={split.test_size} leaves no rows to "
            f"{'train' if is_test.all() else 'test'} on: change split.test_size"
        )
    return is_test


def some_of(is_train: Rows, split: Any) -> Rows:
    """The rows to train on, or `split.train_rows` of them drawn at random."""
    if not split.train_rows or split.train_rows >= is_train.sum():
        return is_train
    drawn = np.random.default_rng(split.seed).choice(
        np.flatnonzero(is_train), int(split.train_rows), replace=False
    )
    chosen = np.zeros_like(is_train)
    chosen[drawn] = True
    return chosen


def list_partitions(
    entries: dict[str, dict[str, Any]], index: "pd.Index[Any]", is_test: Rows, path: Path
) -> None:
    """Write a line for each partition: its md5, its rows, their times, and what they are used for.

    `lockstep trace` reads it.
    """
    names = index.get_level_values("partition")
    used = [names[chosen].value_counts() for chosen in (~is_test, is_test)]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["partition", "md5", "rows", "first", "last", "train", "test"])
        for name, entry in entries.items():
            facts = entry.get("facts", {})
            about = [facts.get("rows", 0), facts.get("first", ""), facts.get("last", "")]
            writer.writerow(
                [name, entry["md5"], *about, *(int(rows.get(name, 0)) for rows in used)]
            )


def _random(table: Columns, data: Any, split: Any) -> Any:
    return _draw(table, split)


def _stratified(table: Columns, data: Any, split: Any) -> Any:
    if data.task != "classification":
        raise LockstepError("split=stratified needs classes: use split=random for regression")
    sizes = table[data.target].value_counts()
    if sizes.min() < 2:
        raise LockstepError(
            f"split=stratified needs two rows of each {data.target}, but there is one row of "
            f"{', '.join(map(repr, sizes[sizes < 2].index[:5].tolist()))}\n"
            f"fix or remove these rows, use split=random or, if {data.target} is a quantity, set "
            "data.task: regression"
        )
    return _draw(table, split, stratify=pd.factorize(table[data.target], sort=True)[0])


def _group(table: Columns, data: Any, split: Any) -> Any:
    groups = _column(table, data.group, "group")
    drawn = GroupShuffleSplit(1, test_size=split.test_size, random_state=split.seed)
    codes = pd.factorize(groups, sort=True)[0]
    try:
        return next(drawn.split(codes, groups=codes))[1]
    except ValueError as error:
        raise LockstepError(
            f"{groups.nunique()} groups in {data.group!r} cannot be split: {error}\n"
            "change split.test_size, or choose another data.group"
        ) from error


def _time(table: Columns, data: Any, split: Any) -> Any:
    """The last rows; rows with the same time stay together."""
    times = _column(table, data.time, "time")
    first = times.sort_values().iloc[int(len(times) * (1 - split.test_size))]
    return (times >= first).to_numpy()


def _partitions(table: Columns, data: Any, split: Any) -> Any:
    """The rows of the last partitions.

    Partitions are in the order of their names or, with data.time, of the time in the middle of
    each. Rows that came late are older than some of the training rows, and train the model.
    """
    if "partition" not in table.index.names:
        raise LockstepError("split=partitions needs raw data in several files: use another split")
    of_rows = table.index.get_level_values("partition")
    order = sorted(of_rows.unique(), key=in_order)
    if data.time:
        times = _column(table, data.time, "time")
        middle = times.groupby(of_rows).median()
        order.sort(key=lambda name: middle[name])
    if len(order) <= split.test_size:
        raise LockstepError(
            f"split=partitions with test_size={split.test_size} leaves none of the {len(order)} "
            "partitions to train on: reduce split.test_size, or use another split"
        )
    is_last = np.asarray(of_rows.isin(order[-int(split.test_size) :]))
    if not data.time:
        return is_last
    is_late = is_last & (times <= times[~is_last].max()).to_numpy()
    if is_late.any():
        print(
            f"note: {is_late.sum()} rows of the last partitions are not later than all rows of the "
            "others: they came late, and are used to train the model"
        )
    return is_last & ~is_late


STRATEGIES = {
    "random": _random,
    "stratified": _stratified,
    "group": _group,
    "time": _time,
    "partitions": _partitions,
}


def _draw(table: Columns, split: Any, stratify: Any = None) -> Any:
    try:
        return train_test_split(
            np.arange(len(table)),
            test_size=split.test_size,
            random_state=split.seed,
            stratify=stratify,
        )[1]
    except ValueError as error:
        raise LockstepError(
            f"{len(table)} rows cannot be split by split={split.strategy}: {error}\n"
            "change split.test_size, or use split=random"
        ) from error


def _column(table: Columns, name: str | None, strategy: str) -> "pd.Series[Any]":
    key = f"data.{strategy}"
    if name is None:
        raise LockstepError(
            f"split={strategy} needs a column: set {key} in conf/data, or add -S {key}=COLUMN"
        )
    values = table[name]
    if missing := int(values.isna().sum()):
        raise LockstepError(
            f"{key}: {name!r} is missing in {missing} rows: fix them, or choose another column"
        )
    return values

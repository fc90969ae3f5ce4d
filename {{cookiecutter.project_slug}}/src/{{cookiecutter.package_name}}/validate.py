"""Check data/table.parquet against schema.yaml, and stop the pipeline if it breaks a rule."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pandera.pandas as pa
from pandera.errors import SchemaErrors

from lockstep import LockstepError

from .schema import DTYPES, Rule, read_schema
from .tables import Table, manifest

SHOWN = 10  # rows that break a rule, in the terminal
LISTED = 1000  # violations in the report


def main(cfg: Any, table: Path, schema: Path, report: Path) -> None:
    """Run the stage; `report` is written in any case.

    Each partition was checked when it was read; of a folder of them, the rest is checked.
    """
    rules = read_schema(schema).columns
    rules = {name: rules[name] for name in rules if name not in cfg.data.drop}
    rows = Table(table)
    content: dict[str, Any] = {}
    if table.is_dir():
        content["warnings"] = _check_partitions(manifest(table), cfg.data.drop)
        rules = {name: rule for name, rule in rules.items() if rule.unique}
    problems = check_columns(rows, rules, [] if table.is_dir() else list(rows))
    listed = json.loads(problems.head(LISTED).to_json(orient="records", date_format="iso"))
    content |= {"rows": len(rows), "violations": len(problems), "problems": listed}
    report.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    if len(problems):
        raise LockstepError(explain(problems, rows.loc(first_rows(problems)), table, schema))
    print(f"{len(rows)} rows, {len(list(rows))} columns: valid according to {schema.name}")


def _check_partitions(partitions: dict[str, dict[str, Any]], drop: list[str]) -> list[str]:
    """Warnings about partitions with the same rows, and about those that were left out.

    Raises:
        LockstepError: data.drop names a column that none of them has.
    """
    seen: dict[str, str] = {}
    warnings = []
    dropped: set[str] = set()
    for name, entry in partitions.items():
        dropped |= set(entry.get("facts", {}).get("dropped", []))
        if "problem" in entry:
            warnings.append(f"the partition {name} was left out: {entry['problem']}")
        elif (other := seen.setdefault(entry["md5"], name)) != name:
            warnings.append(f"the partitions {other} and {name} have the same content")
    if unknown := sorted(set(drop) - dropped):
        raise LockstepError(f"data.drop: no partition has a column {', '.join(unknown)}")
    for warning in warnings:
        print(f"warning: {warning}")
    return warnings


def check_columns(table: Table, rules: dict[str, Rule], names: list[str]) -> pd.DataFrame:
    """What `check` finds, with one column of the table in memory.

    Args:
        table: The typed table.
        rules: The rule for each column.
        names: The columns of the table that need a rule.
    """
    new = [name for name in names if name not in rules]
    found = [check(pd.DataFrame(columns=new), {})]
    found += [check(pd.DataFrame(), {name: rules[name]}) for name in rules if name not in table]
    found += [check(table[name].to_frame(), {name: rules[name]}) for name in rules if name in table]
    return pd.concat([part for part in found if len(part)] or found[:1], ignore_index=True)


def check(table: pd.DataFrame, rules: dict[str, Rule]) -> pd.DataFrame:
    """Find the violations of the rules.

    Args:
        table: The typed table, indexed by row number in the raw file.
        rules: The rule for each column.

    Returns:
        One line per violation: column, problem, row, value. The last two are missing if the column
        as a whole is wrong.
    """
    whole = {"int64": "integer", "float64": "number"}  # data.task decides this of the target
    for name, rule in rules.items():
        kind = whole.get(str(table[name].dtype)) if name in table else None
        if kind and rule.kind in whole.values():
            rules = {**rules, name: rule.model_copy(update={"kind": kind})}
    try:
        pandera_schema(rules).validate(table, lazy=True)
    except SchemaErrors as errors:
        cases = errors.failure_cases
    else:
        return pd.DataFrame(columns=["column", "problem", "row", "value"])
    problems = [
        _problem(case.column, case.check, case.index, case.failure_case, table, rules)
        for case in cases.itertuples()
    ]
    violations = pd.DataFrame(problems, columns=["column", "problem", "row", "value"])
    wrong_kind = violations.loc[violations["problem"].str.startswith("is "), "column"]
    of_values = violations["row"].notna() | (violations["problem"] == "")
    return violations[~(of_values & violations["column"].isin(wrong_kind))].drop_duplicates()


def pandera_schema(rules: dict[str, Rule]) -> pa.DataFrameSchema:
    """The rules as a Pandera schema; the name of a check describes the violation."""
    columns = {}
    for name, rule in rules.items():
        checks = []
        if rule.min is not None:
            checks.append(pa.Check.ge(rule.min, error=f"under min {rule.min:g}"))
        if rule.max is not None:
            checks.append(pa.Check.le(rule.max, error=f"over max {rule.max:g}"))
        if rule.values is not None:
            checks.append(pa.Check.isin(rule.values, error="not among the allowed values"))
        columns[name] = pa.Column(
            DTYPES[rule.kind], checks, nullable=rule.missing, unique=rule.unique
        )
    return pa.DataFrameSchema(columns, strict=True)


def first_rows(problems: pd.DataFrame) -> list[Any]:
    """The first rows that break a rule."""
    return problems["row"].dropna().drop_duplicates().head(SHOWN).tolist()


def explain(problems: pd.DataFrame, broken: pd.DataFrame, path: Path, schema: Path) -> str:
    """A message with the violations, the first rows that break a rule, and what to do."""
    lines = [f"{path.as_posix()} breaks the rules in {schema.name}:"]
    for (column, problem), cases in problems.groupby(["column", "problem"], sort=False):
        of_rows = cases[cases["row"].notna()]
        examples = [
            f"row {row}" if value is None else f"row {row}: {value}"
            for row, value in zip(of_rows["row"], of_rows["value"], strict=True)
        ]
        count = f" in {len(examples)} rows ({'; '.join(examples[:3])})" if examples else ""
        lines.append(f"  {column}: {problem}{count}".replace("in 1 rows", "in 1 row"))
    if len(broken):
        suspects = [name for name in broken if name in set(problems["column"])]
        others = [name for name in broken if name not in suspects]
        shown = broken[[*suspects, *others][:8]]
        lines.append(f"the first rows, at most {SHOWN} (row 1 is the first below the header):")
        lines.append(shown.to_string(max_colwidth=24))
    lines.append(
        f"fix the data or, if they are right, edit {schema.name}, or delete it to infer it again; "
        "then run `uv run dvc repro`"
    )
    return "\n".join(lines)


def _problem(
    column: Any, check: str, row: Any, value: Any, table: pd.DataFrame, rules: dict[str, Rule]
) -> tuple[str, str, Any, Any]:
    """A violation that Pandera reports, as a row of the report."""
    if check == "column_in_schema":
        return value, "new: add it to the schema, or to data.drop", None, None
    if check == "column_in_dataframe":
        return value, "not in the table, see reports/columns.csv", None, None
    if check.startswith("dtype("):
        kinds = {dtype: kind for kind, dtype in DTYPES.items()}
        actual = kinds.get(str(table[column].dtype), str(table[column].dtype))
        return column, f"is {actual}, not {rules[column].kind}", None, None
    if row is None:  # the check could not run: the column is of another kind
        return column, "", None, None
    names = {"not_nullable": "missing", "field_uniqueness": "not unique"}
    return column, names.get(check, check), row, None if pd.isna(value) else value

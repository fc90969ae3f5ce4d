"""The model card of a run: what a model was made from, how well it works, and where.

It has the sections of Mitchell et al., Model Cards for Model Reporting, 2019, that a pipeline can
fill in. As Markdown it is `model_card.md` among the run's artifacts; as an HTML file with the
pictures in it, `report.html`.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lockstep.gate.candidate import candidate_of_workspace
from lockstep.gate.rules import LEAST_ROWS
from lockstep.gate.summary import opening_and_gate
from lockstep.record.metrics import BASELINE_PREFIX, beside_baseline
from lockstep.record.run_record import RunRecord
from lockstep.report import html
from lockstep.report.markdown import section, table
from lockstep.values import number

CARD = "model_card.md"
REPORT = "report.html"
USE = """
```python
model = mlflow.pyfunc.load_model("models:/{name}@champion")
numbers = model.input_example.select_dtypes("number").dtypes
model.predict(rows.astype(numbers))
```

- `rows` is a table of pandas; `.to_pandas()` converts one of Polars or Arrow.
- MLflow accepts the types that the model was trained with, and refuses whole numbers (`int64`) for
  `float64`: hence `astype`. If it refuses another column:
- Read codes such as 0123 as text, and dates as dates:
  `pd.read_csv(file, dtype={{"code": "str"}}, parse_dates=["day"])`.
- Convert a categorical column with `rows.astype({{"column": "str"}})`, and make one of yes and no
  boolean with `rows["column"] == "yes"`.
- MLflow's server takes JSON, CSV and Parquet, whole numbers included; it reads no dates from CSV.
"""


def model_card(record: RunRecord, description: str) -> str:
    """The card of a run's model.

    Args:
        description: The run's, with the verdict of the gate.
    """
    evaluation = candidate_of_workspace(record).evaluation
    sections = {
        "Warnings": record.warning_list,
        "Metrics": _metrics(record.metrics, evaluation),
        "Slices": _slices(evaluation.get("slices", {})),
        "Limits": _limits(record, evaluation),
        "Plots": _plots(record),
        "Use": _use(record),
        "Data": record.data_table,
        "Stages": record.stage_table,
        "Params": table(["param", "value"], ([k, f"`{v}`"] for k, v in record.params.items())),
        "Environment": table(["", "version"], record.environment.items()),
    }
    name = record.registry.get("name", "Model")
    details = [line for title, rows in sections.items() for line in section(title, rows)]
    return with_description(f"# {name}: {record.name}\n" + "\n".join(details) + "\n", description)


def with_description(card: str, description: str) -> str:
    """A card that is headed by a description of its run, in place of the one that it has."""
    _, *sections = re.split(r"(?m)^(?=## )", card)
    details = "".join(text for text in sections if not text.startswith("## Gate"))
    opening, gate = opening_and_gate(description)
    parts = (card.partition("\n")[0], opening, gate.replace("###", "##", 1), details.strip())
    return "\n\n".join(part for part in parts if part) + "\n"


def report(card: str, folder: Path) -> str:
    """A card as an HTML file with its pictures, which are looked up in a folder."""
    title = card.partition("\n")[0].lstrip("# ")
    files = {name: folder / name for name in pictures_in(card)}
    return html.page(title, card, {name: file for name, file in files.items() if file.is_file()})


def pictures_in(card: str) -> list[str]:
    """The paths of a card's pictures."""
    return [line.partition("](")[2].rstrip(")") for line in card.splitlines() if line[:2] == "!["]


def _use(record: RunRecord) -> Iterator[str]:
    """How to predict in Python, if the model has a signature."""
    name = record.registry.get("name")
    if name and record.pipeline.about_model().get("example"):
        yield USE.strip().format(name=name)


def _metrics(metrics: dict[str, float], evaluation: dict[str, Any]) -> Iterator[str]:
    """Each metric, its interval, and the baseline's."""
    measured = evaluation.get("metrics", {})
    share = f"{evaluation['confidence']:.0%} interval" if "confidence" in evaluation else "interval"
    if rows := evaluation.get("rows"):
        yield from (f"On {rows} test rows that the model never saw.", "")
    cells = []
    for name, value, baseline in beside_baseline(metrics):
        about = measured.get(name, {})
        interval = " to ".join(map(number, about.get("interval", [])))
        better = {"maximize": "higher", "minimize": "lower"}.get(about.get("direction"), "")
        cells.append([name, number(value), interval, number(baseline, ""), better])
    headings = ["metric", "value", share, "baseline", "better"]
    yield from table(headings, cells, numeric=headings[1:4])


def _slices(slices: dict[str, Any]) -> list[str]:
    every = [part for parts in slices.values() for part in parts.values()]
    names = list(dict.fromkeys(name for part in every for name in part["metrics"]))
    cells = [
        [
            f"{column} = {value}",
            str(part["rows"]),
            *(number(part["metrics"].get(name), "") for name in names),
        ]
        for column, parts in slices.items()
        for value, part in parts.items()
    ]
    return table(["rows where", "rows", *names], cells, numeric=["rows", *names]) if names else []


def _limits(record: RunRecord, evaluation: dict[str, Any]) -> Iterator[str]:
    """What the numbers do not show."""
    yield "- The numbers hold for data like the test rows, and say nothing about other data."
    few = [
        f"{column} = {value}"
        for column, parts in evaluation.get("slices", {}).items()
        for value, part in parts.items()
        if part["rows"] < LEAST_ROWS
    ]
    if few:
        yield f"- There are fewer than {LEAST_ROWS} test rows where {', '.join(few)}."
    measured = evaluation.get("metrics", {})
    flat = [name for name, about in measured.items() if len(set(about.get("interval", "ab"))) == 1]
    if flat:
        # The rule of three; Hanley & Lippman-Hand, If nothing goes wrong, JAMA 249, 1983.
        unseen = 3 / evaluation["rows"]
        yield (
            f"- {', '.join(flat)}: all test rows give the same result; an error that affects up to "
            f"{unseen:.1%} of all rows may have gone unnoticed."
        )
    for name, about in measured.items():
        baseline = record.metrics.get(BASELINE_PREFIX + name)
        low, high = about.get("interval", (None, None))
        if None not in (baseline, low, high) and low <= baseline <= high:
            yield f"- By {name}, the model may not be better than the baseline."
    if not evaluation:
        yield "- The pipeline measures neither intervals nor slices."


def _plots(record: RunRecord) -> Iterator[str]:
    """The pictures among the run's artifacts, by paths relative to the card."""
    for path, folder in record.artifacts:
        for picture in sorted(path.glob("**/*.png")) if path.is_dir() else []:
            yield f"![{picture.stem}]({folder}/{picture.relative_to(path).as_posix()})"

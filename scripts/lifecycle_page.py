"""The page about a year that `scripts.lifecycle` played: one HTML file, without a network."""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scripts.demo import TEMPLATE

GLUE = TEMPLATE / "{{cookiecutter.project_slug}}" / "packages" / "lockstep" / "src"
PICTURE = "months.svg"


def page_of(story: dict[str, Any]) -> str:
    """The page.

    Args:
        story: What `lifecycle.json` holds.
    """
    if str(GLUE) not in sys.path:
        sys.path.append(str(GLUE))
    from lockstep.report.charts import lines
    from lockstep.report.html import page

    months = story["months"]
    series = {
        "never trained again": [month["unchanged"] for month in months],
        "trained after alarms": [month["error"] for month in months],
    }
    picture = lines([month["name"] for month in months], series, story["metric"])
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / PICTURE
        file.write_text(picture, encoding="utf-8")
        return page("A year of a model", "\n".join(_text(story)) + "\n", {PICTURE: file})


def _text(story: dict[str, Any]) -> Iterator[str]:
    from lockstep.report.markdown import section, table

    months, answers, counts = story["months"], story["answers"], story["retrainings"]
    yield "# A year of a model"
    yield ""
    yield (
        f"A model of {story['project']} learned from the months before {months[0]['name']}, and "
        f"was served. Then the other months arrived, one after another. The metric is "
        f"{story['metric']}: smaller is better."
    )
    yield ""
    yield f"![{PICTURE}]({PICTURE})"
    rows = [
        (
            month["name"],
            month["champion"],
            month["verdict"],
            f"{month['error']:.1f}",
            f"{month['unchanged']:.1f}",
        )
        for month in months
    ]
    headings = ("month", "champion", "verdict", "trained again", "never again")
    yield from section("Months", table(headings, rows, numeric=headings[3:]))
    events = [(event["month"], event["what"], event["outcome"]) for event in story["events"]]
    summary = (
        f"{counts.get('promoted', 0)} promoted, {counts.get('refused', 0)} refused by the gate, "
        f"{counts.get('put off', 0)} put off, {counts.get('failed', 0)} failed."
    )
    yield from section(
        "Alarms and retrainings",
        [summary, "", *table(("month", "what happened", "outcome"), events)],
    )
    asked = [(f"version {name}", str(number)) for name, number in answers.items()]
    asked.append(("lost", str(len(story["failures"]))))
    yield from section("Requests", table(("answered by", "requests"), asked, numeric=["requests"]))
    yield from section("Notifications", [f"- {text}" for text in story["notifications"]])
    yield from section("The last champion, rebuilt", ["```", story["rebuilt"], "```"])

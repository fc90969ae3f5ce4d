"""What was found in the newest window, on one page: which columns moved, since when, what to do."""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from lockstep.monitor.result import Result
from lockstep.report.charts import bars, lines
from lockstep.report.html import page
from lockstep.report.markdown import code, section, table
from lockstep.values import number

MOST_COLUMNS = 8  # that are drawn
BLIND = (
    "Estimates do not need labels: they come from the model's calibrated probabilities or the size "
    "of its errors on the test rows. They hold as long as the target depends on the columns as "
    "before, so **they cannot see concept drift**; only labels can."
)
ADVICE = {
    "quality": "**Correct the data, and do not learn from them.** `lockstep retrain` waits until a "
    "newer window is valid.",
    "performance": "**Train again** on data that include these rows with their true values. If no "
    "column moved, the target depends on the columns in another way: check the labels first.",
    "drift": "**Watch the metric.** Drift alone costs nothing as long as the metric holds. For "
    "columns that may move, set `ignore` or `columns` in `conf/monitor/default.yaml`.",
}


def report(name: str, results: Sequence[Result]) -> str:
    """One HTML page about the newest window.

    Args:
        name: The registered model's.
        results: Those of the windows of a version, the newest last.
    """
    newest = results[-1]
    with tempfile.TemporaryDirectory() as folder:
        pictures = {}
        for place, (title, picture) in enumerate(_pictures(results)):
            pictures[title] = Path(folder) / f"{place}.svg"
            pictures[title].write_text(picture, encoding="utf-8")
        title = f"{name}, version {newest['version']}: {newest['window']}"
        return page(title, "\n".join(_text(title, results, list(pictures))) + "\n", pictures)


def since(results: Sequence[Result], subject: str) -> str:
    """The first of the newest windows without a break in which something was found."""
    first = results[-1]["window"]
    for result in reversed(results):
        if subject not in {item["subject"] for item in result["findings"]}:
            break
        first = result["window"]
    return str(first)


def _text(title: str, results: Sequence[Result], pictures: Sequence[str]) -> Iterator[str]:
    newest = results[-1]
    yield f"# {title}"
    yield ""
    yield f"**{newest['verdict']}**: {newest['rows']} rows, judged {newest['checked']}."
    found = [
        (item["kind"], f"`{item['subject']}`", item["text"], since(results, item["subject"]))
        for item in newest["findings"]
    ]
    yield from section("What was found", table(("kind", "subject", "finding", "since"), found))
    kinds = {item["kind"] for item in newest["findings"]}
    # What matters most is said alone: drift beside a worse metric is not to be waited for.
    advice = next((text for kind, text in ADVICE.items() if kind in kinds), None)
    commands = ["", *code("uv run lockstep retrain")] if "performance" in kinds else []
    yield from section("What to do", [advice, *commands] if advice else [])
    measured = [
        (
            item["metric"],
            number(item["before"]),
            number(item["now"]),
            _ends(item["interval"]),
            number(item["estimated"]),
            number(item["error"]),
        )
        for item in newest["performance"]
    ]
    names = ("metric", "on test rows", "measured", "interval", "estimated", "± error")
    yield from section("The model", table(names, measured, numeric=names[1:]))
    yield ""
    yield BLIND
    parts = [
        (item["where"], number(item["before"]), number(item["now"]), _ends(item["interval"]))
        for item in newest.get("slices", ())
    ]
    headings = ("rows with", "on test rows", "measured", "interval")
    title = f"Slices: {newest['performance'][0]['metric']}" if parts else ""
    yield from section(title, table(headings, parts, numeric=headings[1:]))
    yield from section("Pictures", [f"![{picture}]({picture})" for picture in pictures])
    moved = [
        (f"`{d['column']}`", d["measure"], number(d["value"]), number(d["limit"]))
        for d in newest["drift"]
    ]
    headings = ("column", "measure", "value", "limit")
    yield from section("All columns", table(headings, moved, numeric=headings[2:]))
    windows = [(r["window"], str(r["rows"]), r["verdict"], r["checked"]) for r in results]
    yield from section("Windows", table(("window", "rows", "verdict", "judged"), windows))


def _pictures(results: Sequence[Result]) -> Iterator[tuple[str, str]]:
    """The links and pictures: the deciding metric over the windows, and columns that moved."""
    names = [Path(result["window"]).stem for result in results]
    by_window = [result["performance"][0] if result["performance"] else {} for result in results]
    if known := next((item for item in reversed(by_window) if item), None):
        kinds = ("now", "estimated")
        series = {kind: [item.get(kind) for item in by_window] for kind in kinds}
        before = {"on test rows": [known["before"]] * len(results)}
        yield _link(known["metric"]), lines(names, before | series, known["metric"])
    for column, shares in list(results[-1].get("shares", {}).items())[:MOST_COLUMNS]:
        both = {"training data": shares["before"], "window": shares["now"]}
        yield _link(column), bars(shares["bins"], both, column)


def _ends(interval: Sequence[float] | None) -> str:
    return " to ".join(map(number, interval or ()))


def _link(title: str) -> str:
    """A name without what Markdown would read as its own."""
    return "".join(letter if letter.isalnum() else "-" for letter in title) + ".svg"

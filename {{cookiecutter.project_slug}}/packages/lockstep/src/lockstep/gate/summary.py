"""The description of a run and of its model's version: a text that grows with each verdict.

Its first paragraph says what matters: the model and its result, the verdict, the data, the code and
how to rebuild it. Lists follow, as MLflow shows tables without space between the columns.
"""

import re
from typing import Any

from lockstep.gate.rules import HEADING, Rules, Verdict, deciding_metric
from lockstep.record.metrics import beside_baseline
from lockstep.record.run_record import RunRecord
from lockstep.report.markdown import lines_of
from lockstep.values import number

VERDICT_LINE = re.compile(r"(?m)^\*\*Gate .*\n?")


def headline(record: RunRecord, evaluation: dict[str, Any]) -> str:
    """The model and its deciding metric, beside the baseline's."""
    rules = Rules(metric=record.registry.get("metric"))
    metric, _ = deciding_metric(record.metrics, evaluation, rules)
    shown = [
        _measured(name, value, baseline, evaluation, first=True)
        for name, value, baseline in beside_baseline(record.metrics)
        if name == metric
    ]
    return ": ".join(part for part in (record.model, *shown) if part) or record.name


def opening(record: RunRecord, evaluation: dict[str, Any]) -> list[str]:
    """What matters of a run, a line each; MLflow shows about four of them at once."""
    lines = [headline(record, evaluation)]
    if record.snapshot:
        lines.append(f"Rebuild it: `uv run lockstep reproduce {record.label}`")
    sources = record.pipeline.sources()
    if data := ", ".join(f"`{path}` (md5 `{md5[:8]}`)" for path, md5 in sources.items()):
        target = record.project.params.get("data", {}).get("target")
        rows = evaluation.get("rows")
        data += f", to predict `{target}`" if target else ""
        lines.append(f"Data: {data}" + (f", tested on {rows} rows" if rows else ""))
    if record.overrides:
        lines.append(f"Options: `conf/` with `{' '.join(record.overrides)}`")
    if record.origin.commit:
        changed = ", ".join(f"`{name}`" for name in record.origin.changed)
        note = f", and changes in {changed}" if changed else ""
        lines.append(f"Code: commit `{record.origin.commit[:10]}`{note}")
    return lines


def description(record: RunRecord, evaluation: dict[str, Any]) -> str:
    """The description of a run that no gate has judged yet."""
    metrics = [
        f"- {_measured(name, value, baseline, evaluation)}"
        for name, value, baseline in beside_baseline(record.metrics)
    ]
    warnings = ["", *record.warning_list] if record.warnings else []
    return "\n".join([lines_of(opening(record, evaluation)), *warnings, "", *metrics])


def judged(text: str, verdict: Verdict) -> str:
    """A description with a verdict, which replaces an earlier one."""
    before = VERDICT_LINE.sub("", text.partition(HEADING)[0].rstrip())
    first, _, rest = before.partition("\n")
    words = f"**Gate {verdict.outcome}**: {verdict.words}"
    return f"{first.rstrip()}  \n{words}  \n{rest}".rstrip() + f"\n\n{verdict.note}"


def opening_and_gate(text: str) -> tuple[str, str]:
    """The first paragraph of a description, and its section on the gate."""
    _, heading, gate = text.partition(HEADING)
    return text.partition("\n\n")[0], heading + gate


def _measured(
    name: str,
    value: float,
    baseline: float | None,
    evaluation: dict[str, Any],
    *,
    first: bool = False,
) -> str:
    """A metric with its interval, beside the baseline's."""
    interval = evaluation.get("metrics", {}).get(name, {}).get("interval")
    share = f"{evaluation['confidence']:.0%} interval " if "confidence" in evaluation else ""
    text = f"{name} {number(value)}"
    if interval:
        text += f" ({share if first else ''}{' to '.join(map(number, interval))})"
    return text if baseline is None else f"{text}, baseline {number(baseline)}"

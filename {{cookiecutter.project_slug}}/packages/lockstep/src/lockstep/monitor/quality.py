"""Whether the values of a window are valid: present, readable, known and within reach."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from lockstep.monitor.distribution import Bins, Categories, Counts
from lockstep.monitor.settings import Settings
from lockstep.monitor.window import Window


class Finding(NamedTuple):
    """Something that is not as it was.

    Attributes:
        kind: `quality`, `drift` or `performance`.
        subject: A column or a metric.
        text: What was found.
    """

    kind: str
    subject: str
    text: str


def broken_rules(
    window: Window, problems: Mapping[str, Mapping[str, int]], settings: Settings
) -> Iterator[Finding]:
    """The rules in schema.yaml that the window breaks, and so would stop the pipeline.

    Args:
        problems: How many rows of the sample break a rule: column -> problem -> rows.
    """
    for name, counts in problems.items():
        for problem, rows in counts.items():
            if rows > settings.invalid * len(window.sample):
                share = rows / len(window.sample)
                yield Finding("quality", name, f"{share:.1%} break schema.yaml: {problem}")


def quality(
    window: Window, reference: Mapping[str, Counts], bins: Mapping[str, Bins], settings: Settings
) -> Iterator[Finding]:
    """Columns that are absent; values that are missing, unreadable, new or far out of range."""
    for name, column in bins.items():
        if name not in window.columns:
            yield Finding("quality", name, "the column is absent")
            continue
        before, now = reference[name] / reference[name].sum(), window.counts[name] / window.rows
        unreadable = window.unreadable.get(name, 0) / window.rows
        if unreadable > settings.invalid:
            yield Finding("quality", name, f"{unreadable:.1%} of the values cannot be read")
        if now[-1] - unreadable - before[-1] > settings.missing:
            yield Finding("quality", name, f"{now[-1]:.1%} are missing, {before[-1]:.1%} before")
        if isinstance(column, Categories) and now[-2] - before[-2] > settings.unseen:
            yield Finding("quality", name, f"{now[-2]:.1%} are values that were not there before")
        beyond = window.beyond.get(name, 0) / window.rows
        if beyond > settings.invalid:
            yield Finding("quality", name, f"{beyond:.1%} are far outside the range of before")

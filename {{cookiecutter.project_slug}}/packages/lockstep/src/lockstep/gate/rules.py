"""The rules that a model must meet to become the champion, and the verdict on a model.

Nothing here reads or writes; `comparison` gathers what is needed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from lockstep.mlflow.keys import key_of
from lockstep.values import digest, number

Outcome = Literal["passed", "failed", "undecided"]

HEADING = "### Gate: "
LEAK = "leak: "  # how a warning starts that `registry.leak` is about
RESCORED = (
    "The champion was tested on other data; here it was scored again, on the test data of this "
    "run. It may have been trained on some of them, which favours it."
)
LEAST_ROWS = 20  # the metrics of a slice with fewer rows are too noisy to fail a model


@dataclass(frozen=True)
class Rules:
    """What the config group `registry` requires of a model.

    Attributes:
        metric: The one that decides; None for the first that was measured.
        direction: `maximize` or `minimize`; None for the direction in the evaluation.
        margin: By how much the champion must be beaten, in the metric's unit.
        confidence: The confidence level of the interval of the difference.
        resamples: The number of bootstrap resamples behind it.
        thresholds: `min` and `max` by metric.
        slices: `min` and `max` by column and metric.
        leak: `refuse` fails a model whose pipeline warns of a leak; `warn` does not.
    """

    metric: str | None = None
    direction: str | None = None
    margin: float = 0.0
    confidence: float = 0.95
    resamples: int = 1000
    thresholds: dict[str, dict[str, float | None]] = field(default_factory=dict)
    slices: dict[str, dict[str, dict[str, float | None]]] = field(default_factory=dict)
    leak: Literal["warn", "refuse"] = "warn"

    @property
    def digest(self) -> str:
        """Differs between verdicts that were reached by different rules."""
        return digest(vars(self))[:12]


@dataclass(frozen=True)
class Comparison:
    """A model and the champion, on the same test rows or on real traffic.

    Attributes:
        version: The champion's.
        metrics: The champion's on these rows; those of its run if they were not compared.
        difference: The model's deciding metric minus the champion's; None if they were not
            compared.
        rescored: Whether the champion was originally tested on other data.
        problem: Why the two could not be compared.
        rows: On which rows, if not on the test rows: ` on 120 answers`.
    """

    version: str
    metrics: dict[str, float] = field(default_factory=dict)
    difference: float | None = None
    interval: tuple[float, float] | None = None
    rescored: bool = False
    problem: str | None = None
    rows: str = ""


@dataclass(frozen=True)
class Check:
    """One requirement, and whether a model meets it."""

    subject: str
    required: str
    measured: str
    outcome: Outcome
    words: str = ""  # the same in words

    def __str__(self) -> str:
        """The check in a line."""
        return f"{self.subject}: {self.measured}, required: {self.required}"


@dataclass(frozen=True)
class Verdict:
    """All checks of a model, and its comparison with the champion, if there is one."""

    checks: list[Check]
    comparison: Comparison | None
    rules: Rules

    @property
    def outcome(self) -> Outcome:
        """`failed` when one check failed, else `undecided` when one could not be made."""
        outcomes = {check.outcome for check in self.checks}
        if "failed" in outcomes:
            return "failed"
        return "undecided" if "undecided" in outcomes else "passed"

    @property
    def reasons(self) -> list[str]:
        """The checks that decided: those with the verdict's own outcome."""
        return [str(check) for check in self.checks if check.outcome == self.outcome]

    @property
    def words(self) -> str:
        """The verdict as a sentence says it."""
        decided = [check for check in self.checks if check.outcome == self.outcome]
        words = [check.words or str(check) for check in decided] or ["nothing was required"]
        return "; ".join(words if self.comparison else [*words, "there was no champion yet"])

    @property
    def note(self) -> str:
        """The verdict as Markdown: each check, the ones that decided first."""
        order = ("failed", "undecided", "passed")
        checks = sorted(self.checks, key=lambda check: order.index(check.outcome))
        lines = [f"- {check.outcome}: {check}" for check in checks] or ["- nothing was required"]
        if self.comparison and self.comparison.rescored and not self.comparison.problem:
            lines += ["", RESCORED]
        return "\n".join([f"{HEADING}{self.outcome}", "", *lines])


def judge(
    metrics: dict[str, float],
    evaluation: dict[str, Any],
    comparison: Comparison | None,
    rules: Rules,
    warnings: Sequence[str] = (),
) -> Verdict:
    """Check a model.

    Args:
        metrics: Those of the baseline are named `baseline.NAME`.
        evaluation: `metrics` and `slices`, as the pipeline measured them; empty if it did not.
        comparison: With the champion; None if there is no champion.
        warnings: Those of the pipeline's stages; a leak's starts with `leak: `.
    """
    checks = [
        _bounded(name, metrics.get(key_of(name)), bounds)
        for name, bounds in rules.thresholds.items()
    ]
    checks += _slices(evaluation.get("slices", {}), rules)
    leaks = [text.removeprefix(LEAK) for text in warnings if text.startswith(LEAK)]
    if rules.leak == "refuse" and leaks:
        checks.append(Check("leaks", "none", "; ".join(leaks), "failed"))
    metric, direction = deciding_metric(metrics, evaluation, rules)
    checks += _against_baseline(metric, direction, metrics)
    if comparison:
        value = metrics.get(metric or "")
        checks.append(_against_champion(metric, value, direction, comparison, rules))
    if not metrics:
        checks.append(Check("metrics", "at least one", "none", "undecided"))
    return Verdict(checks, comparison, rules)


def deciding_metric(
    metrics: dict[str, float], evaluation: dict[str, Any], rules: Rules
) -> tuple[str | None, str | None]:
    """The metric that decides between two models, and its direction; None where it is unknown."""
    measured: dict[str, Any] = evaluation.get("metrics", {})
    metric = rules.metric or next(iter([*measured, *metrics]), None)
    return metric, rules.direction or measured.get(metric or "", {}).get("direction")


def _slices(slices: dict[str, Any], rules: Rules) -> Iterator[Check]:
    for column, required in rules.slices.items():
        if column not in slices:
            yield Check(f"slices of {column}", "metrics of each slice", "not measured", "failed")
        for value, part in slices.get(column, {}).items():
            rows = part["rows"]
            for name, bounds in required.items():
                subject = f"{name} where {column} = {value}"
                if rows < LEAST_ROWS:
                    measured = f"only {rows} rows, too few to judge"
                    yield Check(subject, _text_of(bounds), measured, "passed")
                else:
                    yield _bounded(subject, part["metrics"].get(name), bounds, f" ({rows} rows)")


def _bounded(
    subject: str, value: float | None, bounds: dict[str, float | None], note: str = ""
) -> Check:
    if value is None:
        return Check(subject, _text_of(bounds), "not measured", "failed")
    low, high = bounds.get("min"), bounds.get("max")
    holds = (low is None or value >= low) and (high is None or value <= high)
    outcome: Outcome = "passed" if holds else "failed"
    return Check(subject, _text_of(bounds), f"{number(value)}{note}", outcome)


def _text_of(bounds: dict[str, float | None]) -> str:
    words = {"min": "at least", "max": "at most"}
    return " and ".join(
        f"{words[end]} {bound:g}" for end, bound in bounds.items() if bound is not None
    )


def _against_baseline(
    metric: str | None, direction: str | None, metrics: dict[str, float]
) -> Iterator[Check]:
    baseline = metrics.get(f"baseline.{metric}")
    if baseline is None or direction is None:
        return
    subject, required = f"{metric} against the baseline", f"better than {number(baseline)}"
    value = metrics.get(metric or "")
    if value is None:
        yield Check(subject, required, "not measured", "failed")
    else:
        better = value > baseline if direction == "maximize" else value < baseline
        words = f"{'' if better else 'not '}better than the baseline"
        yield Check(subject, required, number(value), "passed" if better else "failed", words)


def _against_champion(
    metric: str | None,
    value: float | None,
    direction: str | None,
    comparison: Comparison,
    rules: Rules,
) -> Check:
    """Whether the whole interval of the gain lies beyond the margin."""
    subject = f"{metric} against the champion, version {comparison.version}{comparison.rows}"
    required = f"better{f' by more than {rules.margin:g}' if rules.margin else ''}, beyond chance"
    if comparison.difference is None or comparison.interval is None or direction is None:
        lacking = f"set registry.direction in conf/: is more or less {metric} better?"
        problem = comparison.problem or lacking
        if None not in (value, theirs := comparison.metrics.get(metric or "")):
            problem = f"{number(value)}, and {number(theirs)} in its run; {problem}"
        return Check(subject, required, problem, "undecided")
    sign = 1 if direction == "maximize" else -1
    gain = sign * comparison.difference
    low, high = sorted(sign * end for end in comparison.interval)
    word, ends = ("worse", (-high, -low)) if gain < 0 else ("better", (low, high))
    interval = f"{rules.confidence:.0%} interval {number(ends[0])} to {number(ends[1])}"
    champion = f"the champion, version {comparison.version}{comparison.rows}"
    by = f"by {number(abs(gain))}"
    words = f"{word} than {champion}, {by} ({interval})" if gain else f"as good as {champion}"
    if gain and low <= 0 <= high:
        words += ", which may be chance"
    outcome: Outcome = "passed" if low > rules.margin else "failed"
    return Check(subject, required, f"{word} {by}, {interval}", outcome, words)

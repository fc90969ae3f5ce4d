"""What differs between two states: their results, then what may explain them."""

import dataclasses
import importlib
import tomllib
from pathlib import Path
from typing import Any

from lockstep import LockstepError, git
from lockstep.compare.section import Section
from lockstep.compare.states import State
from lockstep.gate.comparison import rules_of
from lockstep.gate.rules import LEAST_ROWS, Rules, deciding_metric
from lockstep.project import Project
from lockstep.record.metrics import beside_baseline
from lockstep.values import first_line, flattened, number
from lockstep.workspace import DVC_LOCK, UV_LOCK

ORIENTATION = 200  # resamples for the metrics that do not decide
Paired = dict[str, tuple[float, tuple[float, float]]]


class Difference:
    """State b compared with state a.

    Attributes:
        metric: The metric that decides between them, by the project's rules.
        paired: By metric, b's minus a's on the same rows, with its interval.
        problem: Why there are no such intervals.
    """

    def __init__(self, project: Project, a: State, b: State) -> None:
        self.a, self.b, self._project = a, b, project
        self._rules = rules_of(project.registry) or Rules()
        self._about: dict[str, Any] = {**a.evaluation, **b.evaluation}.get("metrics", {})
        self.metric, _ = deciding_metric(b.metrics, b.evaluation, self._rules)
        self.paired: Paired = {}
        self.problem = ""
        try:
            self.paired = self._pair()
        except LockstepError as error:
            self.problem = first_line(error)
        except Exception as error:  # the project's own code may raise anything
            self.problem = f"{type(error).__name__}: {first_line(error)}"

    def headline(self) -> str:
        """Which of the two is better, by how much, and whether that may be chance."""
        a, b, metric = self.a.name, self.b.name, self.metric
        if metric not in self.paired:
            reason = f": {self.problem}" if self.problem else ""
            return f"{b} and {a} were not compared on the same rows{reason}"
        change, (low, high) = self.paired[metric]
        verdict = self._verdict(metric)
        interval = (
            f"{metric} {change:+.4g}, {self._rules.confidence:.0%} interval {_ends(low, high)}"
        )
        if verdict in ("better", "worse"):
            return f"{b} is {verdict} than {a}: {interval}"
        if verdict == "same":
            return f"{b} and {a} have the same {metric} on the same rows"
        return f"{b} and {a} cannot be told apart, the difference may be chance: {interval}"

    def sections(self) -> list[Section]:
        """Everything that differs."""
        every = (
            self._metrics(),
            self._slices(),
            self._params(),
            self._data(),
            self._environment(),
            self._code(),
        )
        return [section for section in every if section.rows or section.notes]

    def _pair(self) -> Paired:
        a, b = self.a, self.b
        if a.predictions is None or b.predictions is None:
            lacking = a if a.predictions is None else b
            raise LockstepError(f"the predictions of {lacking.name} are not available")
        if a.test != b.test:
            raise LockstepError("they were tested on different rows")
        if not (scoring := self._project.settings.get("scoring")):
            raise LockstepError("pyproject.toml sets no `scoring` under [tool.lockstep]")
        import pandas as pd

        from lockstep.gate.comparison_process import paired_differences

        scorer = importlib.import_module(scoring).scorer
        ours, theirs = pd.read_parquet(b.predictions), pd.read_parquet(a.predictions)
        others = [name for name in self._shared() if name != self.metric]
        few = dataclasses.replace(self._rules, resamples=min(ORIENTATION, self._rules.resamples))
        paired = paired_differences(scorer, ours, theirs, others, few)
        if self.metric:
            paired |= paired_differences(scorer, ours, theirs, [self.metric], self._rules)
        return paired

    def _shared(self) -> list[str]:
        names = [name for name, _, _ in beside_baseline(self.b.metrics) if name in self.a.metrics]
        order = [self.metric, *self._about]
        return sorted(names, key=lambda name: order.index(name) if name in order else len(order))

    def _sign(self, metric: str | None) -> int:
        """1 if more is better, -1 if less is, 0 if that is unknown."""
        direction = self._about.get(metric or "", {}).get("direction")
        if metric == self.metric:
            direction = self._rules.direction or direction
        return {"maximize": 1, "minimize": -1}.get(direction, 0)

    def _verdict(self, metric: str) -> str:
        if metric not in self.paired:
            return ""
        low, high = self.paired[metric][1]
        if low == 0 == high:
            return "same"
        if low <= 0 <= high:
            return "may be chance"
        return {1: "better", -1: "worse", 0: "differs"}[self._sign(metric) * (1 if low > 0 else -1)]

    def _metrics(self) -> Section:
        share = f"{self._rules.confidence:.0%} interval"
        rows = []
        for name in self._shared():
            change, ends = self.paired.get(
                name, (self.b.metrics[name] - self.a.metrics[name], None)
            )
            interval = _ends(*ends) if ends else ""
            both = number(self.a.metrics[name]), number(self.b.metrics[name])
            rows.append((name, *both, f"{change:+.4g}", interval, self._verdict(name)))
        numeric = (self.a.name, self.b.name, "change", share)
        headings = ("metric", *numeric, "")
        notes = [f"No intervals: {self.problem}."] if self.problem else []
        return Section("Metrics", headings, rows, numeric, notes)

    def _slices(self) -> Section:
        """The slices in which the deciding metric changed, the worst change first."""
        metric, sign = self.metric or "", self._sign(self.metric)
        before, after = _slices(self.a, metric), _slices(self.b, metric)
        changes = {key: after[key][0] - before[key][0] for key in after if key in before}
        rows = []
        for key in sorted(changes, key=lambda key: (sign or 1) * changes[key]):
            if change := changes[key]:
                value, count = after[key]
                word = {1: "better", -1: "worse"}.get(sign * (1 if change > 0 else -1), "")
                few = ", few rows" if count < LEAST_ROWS else ""
                both = number(before[key][0]), number(value)
                rows.append((key, str(count), *both, f"{change:+.4g}", word + few))
        numeric = ("rows", self.a.name, self.b.name, "change")
        same = len(changes) - len(rows)
        notes = [f"{same} others did not change."] if rows and same else []
        return Section(f"Slices by {metric}", ("rows where", *numeric, ""), rows, numeric, notes)

    def _params(self) -> Section:
        sides = [
            flattened({k: v for k, v in state.project.params.items() if k != "tracking"})
            for state in (self.a, self.b)
        ]
        return self._changes("Params", "param", *sides)

    def _data(self) -> Section:
        sides = [
            {path: md5[:8] for path, (md5, _) in state.project.pipeline.data().items()}
            for state in (self.a, self.b)
        ]
        return self._changes("Data", "file", *sides)

    def _environment(self) -> Section:
        sides = [
            _locked(state.project.workspace / UV_LOCK) | state.project.packages
            for state in (self.a, self.b)
        ]
        return self._changes("Environment", "package", *sides)

    def _code(self) -> Section:
        """The files that git compares, except for what the pipeline writes."""
        a, b, root = self.a, self.b, self._project.root
        written = {DVC_LOCK, UV_LOCK}
        for pipeline in (a.project.pipeline, b.project.pipeline):
            written |= {*pipeline.written, *pipeline.locks.values()}
        revisions = (a.revision[:10], b.revision[:10])
        listed = git.git("diff", "--numstat", "--relative", "--no-renames", *revisions, cwd=root)
        files = [line.split("\t") for line in (listed or "").splitlines()]
        rows = [(path, f"+{new} -{old}") for new, old, path in files if path not in written]
        command = f"git diff {' '.join(revisions)}"
        return Section("Code", ("file", "lines"), rows, (), [command] if rows else [])

    def _changes(self, title: str, heading: str, a: dict[str, Any], b: dict[str, Any]) -> Section:
        keys = [key for key in {**a, **b} if a.get(key) != b.get(key)]
        rows = [(key, _text(a.get(key)), _text(b.get(key))) for key in keys]
        return Section(title, (heading, self.a.name, self.b.name), rows)


def _slices(state: State, metric: str) -> dict[str, tuple[float, int]]:
    """The value of a metric and the number of rows of each slice."""
    return {
        f"{column} = {value}": (part["metrics"][metric], part["rows"])
        for column, parts in state.evaluation.get("slices", {}).items()
        for value, part in parts.items()
        if metric in part["metrics"]
    }


def _locked(path: Path) -> dict[str, str]:
    """The packages of a lock file of uv."""
    content = tomllib.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return {p["name"]: p["version"] for p in content.get("package", []) if "version" in p}


def _text(value: Any) -> str:
    return "-" if value is None else str(value)


def _ends(low: float, high: float) -> str:
    return f"{low:+.4g} to {high:+.4g}"

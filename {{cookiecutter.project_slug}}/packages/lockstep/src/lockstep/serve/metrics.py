"""What Prometheus reads at /metrics; nothing is counted where its client is not installed."""

from collections.abc import Callable
from typing import Any

MISSING = "the metrics need prometheus-client: `uv sync --extra serve`\n"
SEVERAL = (
    "each worker would count for itself: for metrics, run several containers of one process each\n"
)
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """The counters of one server; each process has its own."""

    def __init__(self, workers: int = 1) -> None:
        self.missing = SEVERAL if workers > 1 else MISSING
        self._registry = None
        if workers > 1:
            return
        try:
            import prometheus_client as prometheus
        except ModuleNotFoundError:
            return
        registry = self._registry = prometheus.CollectorRegistry()
        self._requests = prometheus.Counter(
            *("lockstep_requests", "Answered requests.", ["path", "status"]), registry=registry
        )
        self._seconds = prometheus.Histogram(
            *("lockstep_request_seconds", "Time from a request's arrival to its answer.", ["path"]),
            buckets=SECONDS,
            registry=registry,
        )
        self._rows = prometheus.Counter(
            *("lockstep_rows", "Rows that were predicted.", ["version"]), registry=registry
        )
        self._errors = prometheus.Counter(
            *("lockstep_errors", "Requests without an answer, by kind.", ["kind"]),
            registry=registry,
        )
        self._model = prometheus.Gauge(
            *("lockstep_model_loaded_timestamp_seconds", "When the current version was loaded."),
            ["model", "version", "run"],
            registry=registry,
        )
        self._swaps = prometheus.Counter(
            *("lockstep_swaps", "Times that another version took over."), registry=registry
        )
        self._problem = prometheus.Gauge(
            *("lockstep_problem", "1 while something in /ready needs attention.", ["kind"]),
            registry=registry,
        )

        self._shadow = prometheus.Counter(
            *("lockstep_shadow_rows", "Rows that a challenger predicted besides.", ["answer"]),
            registry=registry,
        )
        self._dropped = prometheus.Gauge(
            *("lockstep_log_dropped_rows", "Rows that the prediction log could not keep."),
            registry=registry,
        )

    def request(self, path: str, status: int, seconds: float) -> None:
        """Count a request that was answered."""
        if self._registry:
            self._requests.labels(path, status).inc()
            self._seconds.labels(path).observe(seconds)

    def rows(self, version: str, count: int) -> None:
        """Count predicted rows."""
        if self._registry:
            self._rows.labels(version).inc(count)

    def error(self, kind: str) -> None:
        """Count a request that was refused or failed."""
        if self._registry:
            self._errors.labels(kind).inc()

    def model(self, about: Any, time: float, *, swap: bool) -> None:
        """Note which version is the current one."""
        if self._registry:
            self._model.clear()
            self._model.labels(about.model, about.version, about.run or "").set(time)
            if swap:
                self._swaps.inc()

    def shadow(self, *, agrees: bool) -> None:
        """Count a row that the challenger predicted besides, and whether it was the same."""
        if self._registry:
            self._shadow.labels("same" if agrees else "different").inc()

    def log_from(self, dropped: Callable[[], int]) -> None:
        """Show how many rows the prediction log could not keep."""
        if self._registry:
            self._dropped.set_function(dropped)

    def text(self, problems: dict[str, str]) -> bytes | None:
        """All of it as Prometheus reads it; None if there are none."""
        if self._registry is None:
            return None
        import prometheus_client as prometheus

        self._problem.clear()
        for kind in problems:
            self._problem.labels(kind).set(1)
        return prometheus.generate_latest(self._registry)

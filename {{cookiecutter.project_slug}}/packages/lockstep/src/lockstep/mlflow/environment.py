"""The environment variables of MLflow, and what this package sets of them.

https://mlflow.org/docs/latest/api_reference/python_api/mlflow.environment_variables.html
"""

import base64
import contextlib
import os
from collections.abc import Iterator

TRACKING_URI = "MLFLOW_TRACKING_URI"

# A call to a server that is down fails within seconds (with MLflow's defaults, after four minutes),
# and the terminal stays free of MLflow's notices and tracebacks. What the user sets wins.
DEFAULTS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "CRITICAL",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_SKIP_PIP_REQUIREMENTS_CHECK": "true",
}


def configure_mlflow() -> None:
    """Set MLflow's environment; call it before MLflow is imported."""
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)


def tracking_uri() -> str:
    """The tracking URI in the user's environment; empty if there is none."""
    return os.environ.get(TRACKING_URI, "")


@contextlib.contextmanager
def users_tracking_uri_kept() -> Iterator[None]:
    """Restore the user's own variable, which `mlflow.set_tracking_uri` overwrites."""
    before = os.environ.get(TRACKING_URI)
    try:
        yield
    finally:
        os.environ.pop(TRACKING_URI, None)
        if before is not None:
            os.environ[TRACKING_URI] = before


def authorization() -> dict[str, str]:
    """The HTTP header that MLflow's client would send."""
    if token := os.environ.get("MLFLOW_TRACKING_TOKEN"):
        return {"Authorization": f"Bearer {token}"}
    user = os.environ.get("MLFLOW_TRACKING_USERNAME")
    password = os.environ.get("MLFLOW_TRACKING_PASSWORD")
    if user and password:
        encoded = base64.b64encode(f"{user}:{password}".encode()).decode()
        return {"Authorization": f"Basic {encoded}"}
    return {}

"""A server of `lockstep serve` in this process, its models, and a client."""

import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from tiny import Tiny

from lockstep.mlflow.package import save
from lockstep.serve.follower import Follower
from lockstep.serve.settings import LogSettings, Settings
from lockstep.serve.source import Folder, Trust

PATIENCE = 120.0  # seconds, on a machine that has much else to do
LOCK = """
version = 1
revision = 3
requires-python = ">=3.11"

[[package]]
name = "toy"
version = "0.1.0"
source = { virtual = "." }
dependencies = [NAMED]

[package.optional-dependencies]
serve = [{ name = "uvicorn" }]
"""
PACKAGE = """
[[package]]
name = "NAME"
version = "VERSION"
source = { registry = "https://pypi.org/simple" }
sdist = { url = "https://x/NAME-VERSION.tar.gz", hash = "sha256:HASH", size = 1 }
"""
ROW = {"island": "Dream", "mass": 3700, "length": 39.5, "tagged": True}


def rows(count: int, seed: int = 0) -> pd.DataFrame:
    """Rows to learn from: `island` and `length` may be missing."""
    random = np.random.default_rng(seed)
    length = random.normal(40, 5, count).round(1)
    return pd.DataFrame(
        {
            "island": pd.Series(random.choice(["Dream", "Biscoe", "Ähtäri"], count), dtype="str"),
            "mass": random.integers(2500, 6000, count).astype("float64"),
            "length": np.where(random.random(count) < 0.1, np.nan, length),
            "tagged": random.random(count) < 0.5,
        }
    )


def estimator(seed: int = 0) -> Any:
    """A fitted pipeline with classes."""
    table = rows(60, seed)
    preprocess = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["island"]),
        (SimpleImputer(), ["mass", "length"]),
        ("passthrough", ["tagged"]),
    )
    kinds = np.where(table["mass"] > 4000, "Gentoo", "Adelie")
    return make_pipeline(preprocess, RandomForestClassifier(5, random_state=seed)).fit(table, kinds)


def packaged(folder: Path, model: Any, example: pd.DataFrame) -> Path:
    """The folder of an MLflow model, as `lockstep publish` packages it."""
    folder.mkdir(parents=True)
    joblib.dump(model, folder / "model.joblib")
    example.to_parquet(folder / "example.parquet")
    save(str(folder / "model.joblib"), str(folder / "example.parquet"), folder / "model", {})
    return folder / "model"


def penguins(folder: Path) -> Path:
    """The folder of the pipeline as an MLflow model."""
    example = rows(60)
    gap = example["length"].isna().to_numpy().argmax()
    return packaged(folder, estimator(), example.iloc[[0, 1, gap]].reset_index(drop=True))


@dataclass
class Answer:
    """What a server answered."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.text)


@dataclass
class Client:
    """Asks a server."""

    port: int

    def get(self, path: str, **headers: str) -> Answer:
        """GET a path."""
        return self._ask("GET", path, None, headers)

    def post(self, path: str, body: Any, media: str = "application/json", **headers: str) -> Answer:
        """POST bytes, or anything else as JSON."""
        sent = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self._ask("POST", path, sent, {"content-type": media, **headers})

    def _ask(self, method: str, path: str, body: bytes | None, headers: Any) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            names = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, names, answer.read().decode())


@contextlib.contextmanager
def served(
    source: Any, log: LogSettings | None = None, second: Any = None, **settings: Any
) -> Iterator[Client]:
    """Run a server in this process.

    Args:
        source: What it serves; or the folder of a model.
        log: How it keeps answers.
        second: The source of a challenger.
        settings: See `lockstep.serve.settings.Settings`.
    """
    import uvicorn

    from lockstep.serve.app import Service
    from lockstep.serve.challenger import Challenger
    from lockstep.serve.log import PredictionLog

    if isinstance(source, Path):
        source = Folder(source, Trust())
    chosen = Settings(**settings)
    service = Service(
        Follower(source, chosen.poll),
        chosen,
        PredictionLog(log) if log else None,
        Challenger(Follower(second, chosen.poll), chosen.max_rows) if second else None,
    )
    server = uvicorn.Server(
        uvicorn.Config(service.app(), log_level="critical", timeout_graceful_shutdown=5)
    )
    with socket.create_server(("127.0.0.1", 0)) as bound:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
        thread.start()
        until(lambda: server.started)
        try:
            yield Client(bound.getsockname()[1])
        finally:
            server.should_exit = True
            thread.join(PATIENCE)


def until(true: Any, seconds: float = PATIENCE) -> None:
    """Wait until something is true."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not become true"
        time.sleep(0.01)


def lock_server(project: Tiny) -> None:
    """Have uv.lock name a server, and the packages of the model that was published."""
    listed = next(project.path.glob("mlartifacts/**/requirements.txt")).read_text().split()
    versions = dict(item.split("==") for item in [*listed, "uvicorn==0.50.0"])
    named = ", ".join(f'{{ name = "{name}" }}' for name in versions if name != "uvicorn")
    packages = [
        PACKAGE.replace("NAME", name).replace("VERSION", version).replace("HASH", "0" * 64)
        for name, version in versions.items()
    ]
    project.write("uv.lock", "".join([LOCK.replace("NAMED", named), *packages]))
    extra = '[project.optional-dependencies]\nserve = ["uvicorn"]\n\n[tool.lockstep]'
    project.edit("pyproject.toml", "[tool.lockstep]", extra)

"""`lockstep serve`: what clients send, and what they are answered."""

import asyncio
import concurrent.futures
import contextlib
import html
import json
import re
import shlex
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from servers import tool
from serving import ROW, Answer, Client, estimator, packaged, penguins, rows, served, until
from sklearn.linear_model import LinearRegression

from lockstep import LockstepError
from lockstep.inference.columns import InvalidRows
from lockstep.inference.version import load
from lockstep.serve.batcher import Batcher

SEVERAL = json.loads(rows(20, seed=3).to_json(orient="records"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return penguins(tmp_path_factory.mktemp("model") / "penguins")


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[Client]:
    with served(folder, max_rows=100, max_body=50_000) as running:
        yield running


def test_rows_are_predicted_with_probabilities_and_the_version_that_did_it(client: Client) -> None:
    answer = client.post(
        "/predict", {"rows": [ROW, {**ROW, "mass": 5900}]}, **{"x-request-id": "a1"}
    )
    assert answer.status == 200, answer.text
    assert answer.json["predictions"] == ["Adelie", "Gentoo"]
    assert answer.json["probabilities"][0].keys() == {"Adelie", "Gentoo"}
    assert sum(answer.json["probabilities"][0].values()) == pytest.approx(1)
    assert answer.json["request_id"] == answer.headers["x-request-id"] == "a1"
    assert "x-ignored-columns" not in answer.headers


def test_columns_that_the_model_does_not_take_are_ignored_and_named(client: Client) -> None:
    answer = client.post("/predict", {"rows": [{**ROW, "tail": 1, "größe": 2}]})
    assert answer.status == 200
    assert answer.headers["x-ignored-columns"] == "gr\\xf6\\xdfe, tail"


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"rows": [{**ROW, "mass": "3700"}]}, 422, "mass: '3700' is not a number"),
        ({"rows": [ROW, {**ROW, "mass": True}]}, 422, "mass: True is not a number"),
        ({"rows": [{**ROW, "mass": [1]}]}, 422, "mass: [1] is not a number"),
        ({"rows": [{**ROW, "mass": 10**400}]}, 422, "is not a number"),
        ({"rows": [{**ROW, "mass": 1e39}]}, 422, "the model refuses the rows"),
        ({"rows": [{**ROW, "island": 5}]}, 422, "island: 5 is not text"),
        ({"rows": [{**ROW, "tagged": 1}]}, 422, "tagged: 1 is not true or false"),
        ({"rows": [{**ROW, "tagged": None}]}, 422, "tagged: missing; the model needs true or"),
        ({"rows": [{"island": "Dream"}]}, 422, "mass: missing; the model needs a number"),
        ({"rows": []}, 422, "there are no rows"),
        ({"rows": {}}, 422, "rows must be a list"),
        ({"rows": [[1, 2]]}, 422, "row 0 must be an object"),
        ({"rows": [ROW], "row": 1}, 422, 'the body must be {"rows"'),
        ([ROW], 422, 'the body must be {"rows"'),
        (b"", 400, "the body is empty"),
        (b"{", 400, "not JSON"),
        (b'{"rows": [{"mass": NaN}]}', 400, "a missing value is null"),
        (b'{"rows": [{"mass": Infinity}]}', 400, "not JSON"),
        (b"[" * 20_000, 400, "recursion limit"),
        (b"\xff\xfe", 400, "not JSON"),
        ({"rows": [ROW] * 101}, 413, "the limit is 100"),
        (b" " * 60_000, 413, "larger than 50000 bytes"),
    ],
)
def test_bad_rows_are_refused_with_column_value_and_what_would_be_right(
    client: Client, body: Any, status: int, message: str
) -> None:
    answer = client.post("/predict", body)
    assert (answer.status, message in answer.text.replace('\\"', '"')) == (status, True), (
        answer.text
    )
    assert answer.headers["x-request-id"] == answer.json["request_id"]


def test_only_json_and_csv_in_utf_8_are_read(client: Client) -> None:
    for path, media in (
        ("/predict", "text/plain"),
        ("/predict", "text/csv"),
        ("/predict", "application/json; charset=latin-1"),
        ("/invocations", "application/xml"),
    ):
        assert client.post(path, {"rows": [ROW]}, media).status == 415
    assert client.get("/predict").status == 405
    assert client.get("/nothing").status == 404


NAMES = list(ROW)
WAYS: dict[str, tuple[Any, str]] = {
    "split": (
        {"dataframe_split": {"columns": NAMES, "data": [[*row.values()] for row in SEVERAL]}},
        "application/json",
    ),
    "split with an index": (
        {"dataframe_split": {"columns": NAMES, "data": [[*ROW.values()]], "index": [7]}},
        "application/json",
    ),
    "records": ({"dataframe_records": SEVERAL}, "application/json; charset=utf-8"),
    "instances": ({"instances": [row for row in SEVERAL if row["length"]]}, "application/json"),
    "inputs": ({"inputs": {name: [ROW[name]] * 2 for name in NAMES}}, "application/json"),
    "one row as inputs": ({"inputs": ROW}, "application/json"),
    "rows as inputs": ({"inputs": [ROW, ROW]}, "application/json"),
    "an unknown column": ({"dataframe_records": [{**ROW, "tail": 1}]}, "application/json"),
    "csv": (rows(20, seed=5).to_csv(index=False).encode(), "text/csv"),
    "csv with whole numbers": (b"island,mass,length,tagged\nDream,3700,40,True\n", "text/csv"),
    "csv with missing values": (b"island,mass,length,tagged\nDream,3700,NA,False\n", "text/csv"),
    "csv with an unknown column": (b"x,island,mass,length,tagged\n1,a,1,,True\n", "text/csv"),
    "a column is missing": ({"inputs": {"mass": [1]}}, "application/json"),
    "text for a number": ({"dataframe_records": [{**ROW, "mass": "heavy"}]}, "application/json"),
    "text for a number in csv": (b"island,mass,length,tagged\na,b,1,True\n", "text/csv"),
    "two formats": ({"inputs": ROW, "instances": [ROW]}, "application/json"),
    "no format": ({"rows": [ROW]}, "application/json"),
    "not a frame": ({"dataframe_split": [1]}, "application/json"),
    "ragged": ({"dataframe_split": {"columns": ["mass"], "data": [[1, 2]]}}, "application/json"),
    "not JSON": (b"{", "application/json"),
    "not UTF-8": (b"\xff", "text/csv"),
    "another media type": (b"<a/>", "application/xml"),
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_invocations_answers_as_mlflow_s_own_server(
    client: Client, folder: Path, way: str, reference: Any
) -> None:
    body, media = WAYS[way]
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    status, expected = reference(sent, media)
    answer = client.post("/invocations", sent, media)
    assert answer.status == status, (answer.text, expected)
    if status == 200:
        assert answer.json == json.loads(expected)
    elif media == "application/json":
        assert answer.json.keys() <= json.loads(expected).keys()


@pytest.fixture(scope="module")
def reference(folder: Path) -> Any:
    """The answer of MLflow's scoring server."""
    import mlflow
    from mlflow.exceptions import MlflowException
    from mlflow.pyfunc.scoring_server import invocations

    model = mlflow.pyfunc.load_model(str(folder))

    def answer(body: bytes, media: str) -> tuple[int, str]:
        try:
            found = invocations(body, media, model, model.metadata.get_input_schema())  # type: ignore[no-untyped-call]
        except MlflowException as error:
            return error.get_http_status_code(), error.serialize_as_json()  # type: ignore[no-untyped-call]
        return found.status, found.response

    return answer


def test_the_clients_of_mlflow_and_curl_are_answered(client: Client) -> None:
    from mlflow.pyfunc.scoring_server.client import ScoringServerClient

    asked: Any = ScoringServerClient("127.0.0.1", client.port)  # type: ignore[no-untyped-call]
    asked.wait_server_ready(timeout=30)
    answer = asked.invoke(pd.DataFrame([ROW])).get_predictions()
    assert answer[0].tolist() == ["Adelie"]
    page = client.get("/docs").text
    found = re.search(r"<code[^>]*>(curl .*?)</code>", page, re.DOTALL)
    assert found, page
    words = shlex.split(html.unescape(found[1]))[1:]
    done = subprocess.run([tool("curl"), "--silent", *words], capture_output=True, check=True)
    (prediction,) = json.loads(done.stdout)["predictions"]
    assert prediction in ("Adelie", "Gentoo")


VALUES = {
    "island": st.none() | st.sampled_from(["Dream", "Biscoe", "Ähtäri"]) | st.text(max_size=5),
    "mass": st.integers(-(10**6), 10**6) | st.floats(-1e30, 1e30),
    "length": st.none() | st.floats(-1e30, 1e30),
    "tagged": st.booleans(),
}


@pytest.fixture(scope="module")
def pipeline() -> Any:
    return estimator()


@given(records=st.lists(st.fixed_dictionaries(VALUES), min_size=1, max_size=8))
@settings(max_examples=60, deadline=None)
def test_answers_are_those_of_the_pipeline(
    client: Client, pipeline: Any, records: list[dict[str, Any]]
) -> None:
    records = [{**row, "island": row["island"] or "Dream"} for row in records]
    table = pd.DataFrame(records).astype(rows(1).dtypes)
    answer = client.post("/predict", {"rows": records})
    assert answer.status == 200, answer.text
    assert answer.json["predictions"] == pipeline.predict(table).tolist()
    shares = [list(row.values()) for row in answer.json["probabilities"]]
    assert shares == pipeline.predict_proba(table).tolist()


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["rows", *WAYS, *ROW]) | st.text(), inner, max_size=4)
    ),
    max_leaves=12,
)
BODIES = (
    ANYTHING
    | st.fixed_dictionaries({"rows": ANYTHING})
    | st.fixed_dictionaries({"rows": st.lists(st.fixed_dictionaries(dict.fromkeys(ROW, ANYTHING)))})
    | st.dictionaries(
        st.sampled_from(["dataframe_split", "dataframe_records", "inputs", "instances", "params"]),
        ANYTHING
        | st.fixed_dictionaries({"columns": ANYTHING, "data": ANYTHING})
        | st.dictionaries(st.sampled_from(NAMES), st.lists(ANYTHING, max_size=3)),
    )
)


@given(
    BODIES.map(lambda body: json.dumps(body).encode()) | st.binary(), st.booleans(), st.booleans()
)
@example(b'{"rows": [{"island": "\\ud800", "mass": 1, "tagged": true}]}', False, False)
@example(b"island,mass,tagged\n\x00,1,True", True, True)
@example(b"a,a\n1,2", True, True)
@example(b'"', True, True)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_body_is_answered_with_a_failure_of_the_server(
    client: Client, body: bytes, csv: bool, invocations: bool
) -> None:
    path = "/invocations" if invocations else "/predict"
    answer = client.post(path, body, "text/csv" if csv else "application/json")
    assert answer.status < 500, answer.text
    assert answer.json  # is JSON, without NaN or Infinity


def test_openapi_has_the_columns_and_an_example_that_works(client: Client) -> None:
    page = client.get("/openapi.json").json
    row = page["components"]["schemas"]["Row"]
    assert row["properties"]["length"] == {"anyOf": [{"type": "number"}, {"type": "null"}]}
    assert row["required"] == ["island", "mass", "tagged"]
    for path in ("/predict", "/invocations"):
        about = page["paths"][path]["post"]
        shown = about["requestBody"]["content"]["application/json"]["example"]
        answer = client.post(path, shown)
        assert answer.status == 200, answer.text
        schema = about["responses"]["200"]["content"]["application/json"]["schema"]
        assert set(schema["properties"]) >= answer.json.keys()
    guide = client.get("/docs").text
    assert "curl http" in guide
    assert "tagged" in guide
    assert "openapi.json" in guide
    assert "<script" not in guide, "it needs no network"


def test_metrics_count_requests_rows_and_errors(client: Client) -> None:
    before = client.get("/metrics").text
    client.post("/predict", {"rows": [ROW, ROW]})
    client.post("/predict", {"rows": [{}]})
    after = client.get("/metrics").text
    for name, more in (
        ('lockstep_requests_total{path="/predict",status="200"}', 1),
        ('lockstep_request_seconds_count{path="/predict"}', 2),
        ('lockstep_rows_total{version=""}', 2),
        ('lockstep_errors_total{kind="rows"}', 1),
    ):
        assert number(after, name) - number(before, name) == more, name
    assert "lockstep_model_loaded_timestamp_seconds{" in after


def number(text: str, name: str) -> float:
    line = next((line for line in text.splitlines() if line.startswith(name)), f"{name} 0")
    return float(line.rpartition(" ")[2])


def test_the_metrics_say_what_they_need(folder: Path) -> None:
    with mock.patch.dict("sys.modules", prometheus_client=None), served(folder) as client:
        assert client.post("/predict", {"rows": [ROW]}).status == 200
        answer = client.get("/metrics")
        assert (answer.status, "uv sync --extra serve" in answer.text) == (501, True)


def test_a_token_protects_all_but_the_probes(folder: Path) -> None:
    with served(folder, token="s3cret") as client:  # noqa: S106
        assert client.get("/health").status == client.get("/ready").status == 200
        for answer in (
            client.get("/version"),
            client.get("/metrics"),
            client.get("/openapi.json"),
            client.post("/predict", {"rows": [ROW]}),
            client.post("/invocations", {"inputs": ROW}, authorization="Bearer other"),
        ):
            assert (answer.status, "s3cret" in answer.text) == (401, False)
        right = {"authorization": "Bearer s3cret"}
        assert client.post("/predict", {"rows": [ROW]}, **right).status == 200
        assert client.get("/version", **right).status == 200


def test_unknown_columns_are_refused_on_demand(folder: Path) -> None:
    with served(folder, refuse_unknown=True) as client:
        answer = client.post("/predict", {"rows": [{**ROW, "tail": 1}]})
        assert (answer.status, "unknown columns: tail" in answer.text) == (422, True)


class Held:
    """Holds predictions back until they may go on, and counts the rows of each batch."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.batches: list[int] = []
        self.original = load.__globals__["predict"]

    def __call__(self, model: Any, table: Any, **options: Any) -> Any:
        self.batches.append(len(table))
        self.go_on.wait()
        return self.original(model, table, **options)


@pytest.fixture
def held() -> Iterator[Held]:
    made = Held()
    made.go_on.set()  # the server predicts for the example when it starts
    with mock.patch("lockstep.inference.version.predict", made):
        yield made
    made.go_on.set()


@contextlib.contextmanager
def at_once(client: Client, count: int, body: Any) -> Iterator[list[Future[Answer]]]:
    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        yield [pool.submit(client.post, "/predict", body(number)) for number in range(count)]


def test_requests_that_wait_are_predicted_together_and_fail_alone(folder: Path, held: Held) -> None:
    def body(number: int) -> Any:
        return {"rows": [{**ROW, "mass": 1e39 if number == 3 else 3000 + 500 * number}]}

    waiting = mock.Mock(wraps=Batcher.predict)
    counted = mock.patch.object(Batcher, "predict", lambda *given: waiting(*given))
    with counted, served(folder) as client:
        held.batches.clear()
        held.go_on.clear()
        with at_once(client, 12, body) as asked:
            until(lambda: waiting.call_count == 12)
            held.go_on.set()
        answers = [each.result() for each in asked]
        alone = [client.post("/predict", body(number)) for number in range(12)]
    assert [answer.status for answer in answers] == [422 if n == 3 else 200 for n in range(12)]
    assert [a.json.get("probabilities") for a in answers] == [
        a.json.get("probabilities") for a in alone
    ]
    assert max(held.batches) > 2


def test_clients_that_ask_again_at_once_do_not_take_turns_in_small_batches() -> None:
    sizes: list[int] = []
    version, go_on = mock.Mock(), threading.Event()

    def answers(batch: list[Any]) -> list[None]:
        sizes.append(len(batch))
        go_on.wait()
        return [None] * len(batch)

    async def several(batcher: Batcher) -> None:
        for _ in range(5):
            await batcher.predict(version, {}, 1)

    async def play() -> None:
        batcher = Batcher(100, 100)
        running = asyncio.create_task(batcher.run())
        first = asyncio.gather(*(several(batcher) for _ in range(3)))
        while not sizes:
            await asyncio.sleep(0.001)
        second = asyncio.gather(*(several(batcher) for _ in range(3)))
        await asyncio.sleep(0)
        go_on.set()
        await asyncio.gather(first, second)
        running.cancel()

    with mock.patch("lockstep.serve.batcher._answered", answers):
        asyncio.run(play())
    assert sizes == [3, 6, 6, 6, 6, 3]


def test_too_many_and_too_slow_requests_are_told_so(folder: Path, held: Held) -> None:
    with served(folder, max_waiting=2, max_rows=1) as client:
        held.go_on.clear()
        with at_once(client, 10, lambda number: {"rows": [ROW]}) as asked:
            until(lambda: any(each.done() for each in asked))
            held.go_on.set()
        answers = [each.result() for each in asked]
        busy = [answer for answer in answers if answer.status == 503]
        assert busy, [answer.status for answer in answers]
        assert busy[0].headers["retry-after"] == "1"
        assert {answer.status for answer in answers} == {200, 503}
    with served(folder, timeout=0.2) as client:
        held.go_on.clear()
        answer = client.post("/predict", {"rows": [ROW]})
        assert (answer.status, "no answer within 0.2 s" in answer.text) == (504, True)
        held.go_on.set()


def test_a_model_that_fails_is_a_failure_without_its_secrets(folder: Path) -> None:
    with (
        served(folder) as client,
        mock.patch("lockstep.inference.version.predict", side_effect=RuntimeError("s3cret")),
    ):
        answer = client.post("/predict", {"rows": [ROW]})
        assert (answer.status, "s3cret" in answer.text) == (500, False)
        assert client.get("/health").status == 200
    with served(folder) as client:
        assert client.post("/predict", {"rows": [ROW]}).status == 200


def test_numbers_are_predicted_without_probabilities(tmp_path: Path) -> None:
    table = rows(20)[["mass"]]
    model = LinearRegression().fit(table, table["mass"] * 2)
    with served(packaged(tmp_path / "m", model, table[:3])) as client:
        answer = client.post("/predict", {"rows": [{"mass": 4000}]})
        assert answer.json["predictions"] == pytest.approx([8000])
        assert "probabilities" not in answer.json


def test_tables_of_any_usual_types_fit_or_are_refused_by_name(folder: Path) -> None:
    version = load(folder, (), allow_code=False, allow_pickle=False)
    table = rows(10, seed=4)
    expected = version.predict_table(version.columns.fit(table)).predictions.tolist()
    for changed in (
        table.astype({"mass": "int64"}),
        table.astype({"mass": "Int64", "length": "Float64", "tagged": "boolean"}),
        table.astype({"island": "category", "mass": object}),
        table.astype({"mass": "float32", "island": object, "tagged": object}),
        table.convert_dtypes(dtype_backend="pyarrow"),
        table[["tagged", "length", "mass", "island"]].assign(extra=1),
    ):
        found = version.predict_table(version.columns.fit(changed)).predictions.tolist()
        assert found == expected, changed.dtypes
    for changed, problem in (
        (table.assign(mass="x"), "mass in row 0: 'x' is not a number"),
        (table.assign(mass=np.inf), "mass in row 0: inf is not a number"),
        (table.assign(mass=np.where(table.index == 2, np.nan, 1)), "mass in row 2: missing"),
        (table.assign(island=1), "island in row 0: 1 is not text"),
        (table.assign(tagged=1), "tagged in row 0: 1 is not true or false"),
        (table.drop(columns="mass"), "mass: the column is missing"),
    ):
        with pytest.raises(InvalidRows, match=problem.replace("(", r"\(")):
            version.columns.fit(changed)


def test_pickles_and_strange_types_are_loaded_only_by_name(tmp_path: Path, folder: Path) -> None:
    import shutil

    copy = shutil.copytree(folder, tmp_path / "model")
    text = (copy / "MLmodel").read_text()
    (copy / "MLmodel").write_text(text.replace("format: skops", "format: cloudpickle"))
    with pytest.raises(LockstepError, match="pickle"):
        load(copy, (), allow_code=False, allow_pickle=False)
    (copy / "MLmodel").write_text(text)
    (copy / "code" / "stranger").mkdir(parents=True)
    with pytest.raises(LockstepError, match="--allow-code"):
        load(copy, (), allow_code=False, allow_pickle=False)
    load(copy, (), allow_code=True, allow_pickle=False)

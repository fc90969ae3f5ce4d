"""What the server says of itself in /openapi.json holds, whatever is asked."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import CHECKS
from serving import ROW, Client, penguins, served

from lockstep.serve.bodies import FORMATS

PATIENT = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with served(penguins(tmp_path_factory.mktemp("model") / "penguins")) as client:
        yield client


def test_answers_are_as_described(client: Client) -> None:
    api = schemathesis.openapi.from_url(f"http://127.0.0.1:{client.port}/openapi.json")
    wanted = ("not_a_server_error", "status_code_conformance", "response_schema_conformance")
    checks: Any = [CHECKS.get_one(name) for name in wanted]
    operations: list[Any] = [found.ok() for found in api.get_all_operations()]  # type: ignore[union-attr]
    assert {operation.path for operation in operations} >= {"/predict", "/invocations", "/version"}
    for operation in operations:

        @PATIENT
        @given(case=operation.as_strategy())
        def check(case: schemathesis.Case[Any]) -> None:
            case.call_and_validate(checks=checks)

        check()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from([*ROW, "rows", "inputs", "x"]), inner, max_size=4)
    ),
    max_leaves=8,
)
BODIES = st.one_of(
    st.binary(max_size=60),
    JSON.map(json.dumps).map(str.encode),
    st.builds(lambda rows: json.dumps({"rows": rows}).encode(), JSON),
    st.builds(lambda name, rows: json.dumps({name: rows}).encode(),
              st.sampled_from(FORMATS), JSON),
    st.integers(1, 3000).map(lambda deep: b"[" * deep),
)  # fmt: skip


@PATIENT
@given(
    path=st.sampled_from(["/predict", "/invocations", "/feedback"]),
    media=st.sampled_from(["application/json", "text/csv", "text/plain", ""]),
    body=BODIES,
)
def test_no_body_is_answered_with_an_error_of_the_server(
    client: Client, path: str, media: str, body: bytes
) -> None:
    answer = client.post(path, body, media)
    assert answer.status < 500, answer.text
    if answer.status >= 400:
        assert answer.json["detail" if path != "/invocations" else "message"]

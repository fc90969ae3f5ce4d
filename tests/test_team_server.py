"""The team's server, started by the commands of its own README, and a project that moves to it."""

import http.client
import re
import shlex
from pathlib import Path

import yaml
from servers import PASSWORD, Server, Servers, postgres, tool

from conftest import TEMPLATE
from project import Project

FOLDER = TEMPLATE / "server"
S3_PORT = 8333


def commands() -> dict[str, list[str]]:
    """The README's plain commands, by their first word."""
    lines = re.findall(r"^\$ (.+)$", (FOLDER / "README.md").read_text(), re.MULTILINE)
    return {words[0]: words for words in map(shlex.split, lines)}


def test_the_compose_file_and_the_plain_commands_say_the_same() -> None:
    services = yaml.safe_load((FOLDER / "compose.yaml").read_text())["services"]
    for service, first in {"mlflow": "mlflow", "storage": "weed"}.items():
        composed = shlex.split(services[service]["command"])
        plain = commands()[first]
        assert options(composed) == options(plain)
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def options(words: list[str]) -> list[str]:
    return [word.partition("=")[0] for word in words if word.startswith("-")]


def test_no_value_is_set_for_what_must_be_secret() -> None:
    example = (FOLDER / ".env.example").read_text()
    assert re.findall(r"^\w+(?:PASSWORD|KEY)=(.*)$", example, re.MULTILINE) == [""] * 5
    asked = set(re.findall(r"\$\{(\w+):\?", (FOLDER / "compose.yaml").read_text()))
    assert asked == set(re.findall(r"^(\w+)=$", example, re.MULTILINE))


def test_it_runs_the_mlflow_that_projects_use() -> None:
    required = (FOLDER / "requirements.txt").read_text()
    pinned = re.search(r"^mlflow\[auth\](==.+)$", required, re.MULTILINE)
    project = (
        TEMPLATE / "{{cookiecutter.project_slug}}" / "packages" / "lockstep" / "pyproject.toml"
    ).read_text()
    assert pinned
    assert f'"mlflow{pinned[1]}"' in project


def test_a_project_moves_to_the_server_with_its_history(
    servers: Servers, finished: Project, tmp_path: Path
) -> None:
    project = finished.copy(tmp_path)
    database, login, _ = postgres(servers)
    env = {
        **login,
        "AWS_ACCESS_KEY_ID": "team",
        "AWS_SECRET_ACCESS_KEY": PASSWORD,
        "MLFLOW_S3_ENDPOINT_URL": f"http://127.0.0.1:{S3_PORT}",
        "MLFLOW_AUTH_ADMIN_PASSWORD": PASSWORD,
        "MLFLOW_FLASK_SERVER_SECRET_KEY": PASSWORD,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    weed = [tool("weed"), *commands()["weed"][1:]]
    storage = Server(servers.folder / "storage", lambda _: weed, env)
    storage.port = S3_PORT
    servers.add(storage)

    def serve(port: int) -> list[str]:
        given = " ".join(commands()["mlflow"][1:]).replace("5000", str(port))
        uri = database.replace("postgresql", "postgresql+psycopg")
        return [str(project.bin / "mlflow"), *re.sub(r"postgresql\S+", uri, given).split()]

    server = servers.add(Server(servers.folder / "mlflow", serve, {**project.environment, **env}))

    (local,) = project.runs()
    there = {"MLFLOW_TRACKING_URI": server.url}
    refused = project.run("lockstep", "publish", "--all", ok=False, env=there)
    assert "not authenticated" in refused.lower()
    assert "Traceback" not in refused
    there |= {"MLFLOW_TRACKING_USERNAME": "admin", "MLFLOW_TRACKING_PASSWORD": PASSWORD}
    project.run("lockstep", "publish", "--all", env=there)
    (moved,) = project.runs(**there)
    for key in ("name", "params", "metrics", "inputs", "history"):
        assert moved[key] == local[key]
    assert moved["tags"]["lockstep.state"] == local["tags"]["lockstep.state"]
    loaded = project.python(
        "import mlflow; print(mlflow.pyfunc.load_model('models:/penguins@challenger'))", **there
    )
    assert moved["id"] in loaded

    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    connection.request("GET", "/", headers={"Host": "evil.example.org"})
    assert connection.getresponse().status == 403

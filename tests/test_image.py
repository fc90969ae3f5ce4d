"""`lockstep build`: the context of an image, and its steps run without a container."""

import csv
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from serving import lock_server, penguins
from tiny import Tiny

from lockstep.adapters.trusted_model import needs_mlflow
from project import Project


@pytest.fixture
def locked(tiny_published: Tiny) -> Tiny:
    """A project whose uv.lock has a server, and the packages of its model, which was published."""
    lock_server(tiny_published)
    return tiny_published


def test_the_context_has_the_model_its_locked_environment_and_the_server(locked: Tiny) -> None:
    output = locked.lockstep("build", "models:/toy/1")
    assert "from uv.lock of this project" in output, "that of the run locks no server"
    assert "docker build --tag toy:1 image" in output
    context = locked.path / "image"
    names = {path.name for path in context.iterdir()}
    assert names == {"Dockerfile", "kubernetes.yaml", "lockstep", "model", "requirements.txt"}
    requirements = (context / "requirements.txt").read_text()
    assert re.search(r"^scikit-learn==[\d.]+ \\\n    --hash=sha256:0{64}$", requirements, re.M)
    assert "mlflow==" not in requirements
    about = json.loads((context / "model/version.json").read_text())
    assert (about["model"], about["version"]) == ("toy", "1")
    assert (context / "lockstep/serve/app.py").is_file()
    assert not list(context.rglob("__pycache__"))
    assert f'revision="{about["commit"]}"' in (context / "Dockerfile").read_text()


def test_the_base_image_can_be_pinned_and_an_older_context_is_replaced(locked: Tiny) -> None:
    digest = f"python:3.12-slim@sha256:{'a' * 64}"
    locked.lockstep("build", "models:/toy/1", "deploy/toy")
    locked.write("deploy/toy/left.txt", "")
    output = locked.lockstep("build", "models:/toy/1", "deploy/toy", "--base", digest)
    assert "note:" not in output
    assert f"\nARG BASE={digest}\n" in (locked.path / "deploy/toy/Dockerfile").read_text()
    assert not (locked.path / "deploy/toy/left.txt").exists()
    assert "is not an image's context" in locked.lockstep("build", "models:/toy/1", "src", ok=False)


def test_an_environment_that_the_model_was_not_trained_with_is_refused(locked: Tiny) -> None:
    text = (locked.path / "uv.lock").read_text()
    locked.write("uv.lock", re.sub(r'(name = "skops"\nversion = )"[^"]+"', r'\1"9.9.9"', text))
    output = locked.lockstep("build", "models:/toy/1", ok=False)
    assert "the model needs skops==" in output
    assert "train it again" in output


def test_dockerfile_and_manifests_are_sound(locked: Tiny) -> None:
    locked.lockstep("build", "models:/toy/1")
    context = locked.path / "image"
    hadolint = Path(sys.executable).with_name("hadolint")
    linted = subprocess.run([hadolint, context / "Dockerfile"], capture_output=True, text=True)
    assert linted.returncode == 0, linted.stdout
    manifests = list(yaml.safe_load_all((context / "kubernetes.yaml").read_text()))
    for manifest in manifests:
        kubernetes_validate.validate(manifest, "1.34", strict=True)
    assert [manifest["kind"] for manifest in manifests] == [
        *("Deployment", "Service", "HorizontalPodAutoscaler"),
    ]
    pod = manifests[0]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["containers"][0]["securityContext"]["readOnlyRootFilesystem"]
    assert pod["containers"][0]["image"] == "toy:1"


@pytest.mark.parametrize(
    ("model", "image"),
    [("Größe & Co", "gr-e-co"), ("3d", "model-3d"), ("模型", "model"), ("x" * 99, "x" * 50)],
)
def test_names_that_registries_and_kubernetes_take(model: str, image: str) -> None:
    from lockstep.image.context import image_name

    assert image_name(model) == image


def test_what_the_model_needs_to_load_is_said_in_the_image(tmp_path: Path) -> None:
    from lockstep.serve.source import Trust

    folder = penguins(tmp_path / "penguins")
    types = ["numpy.dtype", "sklearn.tree._tree.Tree"]
    assert Trust(types, code=True).options(folder) == ["--trust", ",".join(types)]
    (folder / "code/own").mkdir(parents=True)
    assert Trust((), code=True, pickle=True).options(folder) == ["--allow-code"]
    assert Trust(()).options(folder) == []
    assert not needs_mlflow(folder)
    about = yaml.safe_load((folder / "MLmodel").read_text())
    about["flavors"]["spacy"] = about["flavors"].pop("sklearn")
    (folder / "MLmodel").write_text(yaml.safe_dump(about))
    assert Trust((), pickle=True).options(folder) == ["--allow-pickle"]
    assert needs_mlflow(folder)


class Steps:
    """Runs the steps of a Dockerfile in a folder, which stands for the image's root."""

    def __init__(self, context: Path, root: Path) -> None:
        self._context, self._root = context, root
        self._folder, self._stage = root, ""
        kept = ("PATH", "HOME", "TMPDIR", "SSL_CERT_FILE", "PIP_", "LANG")
        self.env = {key: value for key, value in os.environ.items() if key.startswith(kept)}
        self.env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{self.env['PATH']}"
        self.command: list[str] = []
        self.health: list[str] = []

    def play(self) -> None:
        """Run them all."""
        text = (self._context / "Dockerfile").read_text()
        lines = re.sub(r"^#.*\n", "", text, flags=re.M).replace("\\\n", " ").splitlines()
        for line in filter(None, lines):
            word, _, rest = line.partition(" ")
            getattr(self, f"_{word.lower()}")(rest.strip())

    def _within(self, text: str) -> str:
        return re.sub(r"/(opt|app)\b", rf"{self._root}/\1", text)

    def _ignored(self, rest: str) -> None:
        """What only a container has."""

    _from = _arg = _label = _user = _expose = _ignored

    def _workdir(self, rest: str) -> None:
        self._folder = Path(self._within(rest))
        self._folder.mkdir(parents=True, exist_ok=True)

    def _copy(self, rest: str) -> None:
        if not rest.startswith("--from="):  # between stages: here they share their folder
            source, target = rest.split()
            path = Path(self._folder, self._within(target))
            if (self._context / source).is_dir():
                shutil.copytree(self._context / source, path)
            else:
                shutil.copy(self._context / source, path)

    def _run(self, rest: str) -> None:
        done = subprocess.run(
            ["sh", "-c", self._within(rest)], cwd=self._folder, env=self.env, capture_output=True
        )
        assert done.returncode == 0, done.stderr.decode()

    def _env(self, rest: str) -> None:
        for name, value in re.findall(r'(\w+)="?([^"\s]+)"?', rest):
            self.env[name] = self._within(value).replace("${PATH}", self.env["PATH"])

    def _healthcheck(self, rest: str) -> None:
        self.health = json.loads(rest.partition("CMD ")[2])

    def _entrypoint(self, rest: str) -> None:
        self.command = json.loads(rest)

    def start(self, *command: str, **env: str) -> "subprocess.Popen[str]":
        """Start a command of the image, or its own one."""
        given = {**self.env, **env}
        program = shutil.which((command or self.command)[0], path=given["PATH"])
        assert program
        return subprocess.Popen(
            [program, *(command or self.command)[1:]],
            cwd=self._folder,
            env=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


def size_of(folder: Path) -> int:
    """Bytes of the files below a folder, without compiled ones."""
    files = (path for path in folder.rglob("*") if "__pycache__" not in path.parts)
    return sum(path.lstat().st_size for path in files if path.is_file())


@pytest.mark.skipif(os.name == "nt", reason="images of Linux are built on Linux or macOS")
def test_the_steps_of_the_image_make_a_server_without_mlflow(
    published: Project, tmp_path: Path
) -> None:
    published.run("lockstep", "build", "models:/penguins/1", "context")
    steps = Steps(published.path / "context", tmp_path / "root")
    steps.play()
    free = socket.create_server(("127.0.0.1", 0))
    with free:
        port = str(free.getsockname()[1])
    refused = steps.start()
    assert "set LOCKSTEP_SERVE_TOKEN" in refused.communicate(timeout=60)[0]
    own = {"LOCKSTEP_SERVE_TOKEN": "secret", "LOCKSTEP_SERVE_PORT": port}
    server = steps.start(**own)
    try:
        assert server.stdout
        assert "penguins version 1" in server.stdout.readline()
        check = steps.start(*steps.health, **own)
        assert check.wait(30) == 0, check.communicate()
        answer = ask(port, {"rows": [{"island": "Dream", "year": 2007}]})
        assert answer["version"] == "1"
        # Which a stage of the pipeline predicts, too.
        (published.path / "new.csv").write_text("island,year\nDream,2007\n")
        predict = "lockstep predict new.csv out.csv --model models:/penguins/1"
        stage = ["dvc", "stage", "add", "--run", "--name", "predict", "--deps", "new.csv"]
        published.run(*stage, "--outs", "out.csv", predict)
        with (published.path / "out.csv").open() as file:
            assert answer["predictions"] == [row["prediction"] for row in csv.DictReader(file)]
    finally:
        server.terminate()
        server.wait(30)
    absent = steps.start("python", "-c", "import mlflow")
    assert "ModuleNotFoundError" in absent.communicate(timeout=60)[0]
    own_size, whole = size_of(tmp_path / "root"), size_of(published.bin.parent)
    assert own_size < 0.55 * whole, f"{own_size:,} bytes of {whole:,}"


def ask(port: str, body: Any) -> Any:
    """The answer of /predict."""
    request = urllib.request.Request(  # http
        f"http://127.0.0.1:{port}/predict",
        json.dumps(body).encode(),
        {"content-type": "application/json", "authorization": "Bearer secret"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        return json.load(answer)

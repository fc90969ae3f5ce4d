"""Look at a project's pages in MLflow as a person does, and keep pictures of them.

    python scripts/screenshots.py PROJECT

writes PNG files at two widths into `screenshots/`. It needs Chromium (`apt install chromium`).
"""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

TEMPLATE = Path(__file__).resolve().parent.parent
WIDTHS = {1400: 1000, 2400: 1300}  # of the window, and its height
VISITED = "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1"
PATIENCE = 30_000  # milliseconds


@contextlib.contextmanager
def browser(program: str = "chromium") -> "Iterator[Browser]":
    """Chromium without a window."""
    from playwright.sync_api import sync_playwright

    path = shutil.which(program)
    if path is None:
        raise SystemExit(f"{program} is not installed: on Debian, `apt install chromium`")
    with sync_playwright() as play:
        # As root, in a container, Chromium has no sandbox and little shared memory.
        options = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        yield play.chromium.launch(executable_path=path, args=options)


def opened(browser: "Browser", url: str, *texts: str, width: int = 1400) -> "Page":
    """A new page, once it shows some texts."""
    page = browser.new_page(viewport={"width": width, "height": WIDTHS[width]})
    page.set_default_timeout(PATIENCE)
    # As on a later visit: on the first one, MLflow's assistant takes a quarter of the page.
    page.add_init_script(f"localStorage.setItem('{VISITED}', 'true')")
    page.goto(url)
    for text in texts:
        page.get_by_text(text).first.wait_for()
    return page


def main() -> None:
    """Start MLflow for a project, and take the pictures."""
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    project = Path(sys.argv[1]).resolve()
    folder = TEMPLATE / "screenshots"
    folder.mkdir(exist_ok=True)
    binaries = project / ".venv" / ("Scripts" if os.name == "nt" else "bin")
    runs, versions = (_listed(binaries, project, verb) for verb in ("runs", "models"))
    _answer(binaries, project, "report", "--output", str(folder / "report.html"))
    run, version = runs[0], versions[0]["version"]
    results = "workflowType=machine_learning&viewStateShareKey=lockstep"
    name = json.loads(_answer(binaries, project, "models", "--json"))[0].get("model", project.name)
    paths = {
        "runs": (f"/#/experiments/1/runs?{results}", run["run"]),
        "charts": (f"/#/experiments/1/runs?{results}&compareRunsMode=CHART", run["run"]),
        "run": (f"/#/experiments/1/runs/{run['id']}?workflowType=machine_learning", "Description"),
        "model": (f"/#/models/{name}?workflowType=machine_learning", "Versions"),
        "version": (f"/#/models/{name}/versions/{version}?workflowType=machine_learning", "Gate"),
    }
    with _mlflow(binaries, project) as server, browser() as chromium:
        for width in WIDTHS:
            for title, (path, text) in paths.items():
                _keep(opened(chromium, server + path, text, width=width), folder, title, width)
        report = (folder / "report.html").as_uri()
        _keep(opened(chromium, report, "Metrics"), folder, "report", 1400)


def _keep(page: "Page", folder: Path, title: str, width: int) -> None:
    page.wait_for_timeout(1500)  # for tables and charts, which come after the text
    path = folder / f"{title}-{width}.png"
    page.screenshot(path=path)
    page.close()
    print(path)


def _listed(binaries: Path, project: Path, verb: str) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads(_answer(binaries, project, verb, "--json"))
    return found


def _answer(binaries: Path, project: Path, *words: str) -> str:
    command = [str(binaries / "lockstep"), *words]
    return subprocess.run(command, cwd=project, check=True, capture_output=True, text=True).stdout


@contextlib.contextmanager
def _mlflow(binaries: Path, project: Path) -> Iterator[str]:
    """MLflow's own server for the project's store, at a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    command = [str(binaries / "mlflow"), "ui", "--port", str(port), "--workers", "1"]
    process = subprocess.Popen(command, cwd=project, env=env)
    try:
        for _ in range(600):
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


if __name__ == "__main__":
    main()

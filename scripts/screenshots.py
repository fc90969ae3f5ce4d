"""Look at a project's pages in MLflow as a person does, and keep pictures of them.

    python -m scripts.screenshots [PROJECT]

writes PNG files at two widths into `screenshots/`, and the README's pictures into `docs/images/`.
Without a project, it makes one as `make demo` does. It needs Chromium (`apt install chromium`).
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

from scripts.demo import create

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

TEMPLATE = Path(__file__).resolve().parent.parent
WIDTHS = {1400: 1000, 2400: 1300}  # of the window, and its height
VISITED = "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1"
PATIENCE = 60_000  # milliseconds
README = {"runs": 500, "version": 560, "report": 900}  # its pictures, and how many pixels of them


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
    if len(sys.argv) > 2:
        raise SystemExit(__doc__)
    project = Path(sys.argv[1]).resolve() if sys.argv[1:] else create(TEMPLATE / "demo")
    folder = TEMPLATE / "screenshots"
    folder.mkdir(exist_ok=True)
    binaries = project / ".venv" / ("Scripts" if os.name == "nt" else "bin")
    best, *_, worst = runs = _listed(binaries, project, "runs", "--sort", "best", "--limit", "4")
    _answer(binaries, project, "report", best["run"], "--output", str(folder / "report.html"))
    results = "workflowType=machine_learning&viewStateShareKey=lockstep"
    model = f"/#/models/{project.name}"
    compared = "compare-runs?runs=" + json.dumps([run["id"] for run in runs])
    pages = {
        "runs": (f"/#/experiments/1/runs?{results}", worst["run"]),
        "charts": (f"/#/experiments/1/runs?{results}&compareRunsMode=CHART", worst["run"]),
        "run": (f"/#/experiments/1/runs/{best['id']}?workflowType=machine_learning", "Description"),
        "compare": (f'/#/{compared}&experiments=["1"]&workflowType=machine_learning', "Parameters"),
        "model": (f"{model}?workflowType=machine_learning", "Versions"),
        "version": (
            f"{model}/versions/{best['version']}?workflowType=machine_learning",
            "Gate: ",
        ),
    }
    with _mlflow(binaries, project, folder / "mlflow.log") as server, browser() as chromium:
        pages = {title: (server + path, text) for title, (path, text) in pages.items()}
        pages["report"] = ((folder / "report.html").as_uri(), "Metrics")
        for width in WIDTHS:
            for title, (url, text) in pages.items():
                page = opened(chromium, url, text, width=width)
                page.wait_for_timeout(2000)  # for tables and charts, which come after the text
                picture = folder / f"{title}-{width}.png"
                page.screenshot(path=picture)
                page.close()
                print(picture)
    for title, height in README.items():
        _compress(folder / f"{title}-1400.png", height)


def _compress(picture: Path, height: int) -> None:
    """The upper part of a picture, for the README."""
    from PIL import Image

    path = TEMPLATE / "docs" / "images" / f"{picture.stem.partition('-')[0]}.webp"
    path.parent.mkdir(exist_ok=True)
    with Image.open(picture) as image:
        image.crop((0, 0, image.width, height)).save(path, quality=80, method=6)
    print(path)


def _listed(binaries: Path, project: Path, *words: str) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads(_answer(binaries, project, *words, "--json"))
    return found


def _answer(binaries: Path, project: Path, *words: str) -> str:
    command = [str(binaries / "lockstep"), *words]
    return subprocess.run(command, cwd=project, check=True, capture_output=True, text=True).stdout


@contextlib.contextmanager
def _mlflow(binaries: Path, project: Path, log: Path) -> Iterator[str]:
    """MLflow's own server for the project's store, at a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    command = [str(binaries / "mlflow"), "ui", "--port", str(port), "--workers", "1"]
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=project, env=env, stdout=output, stderr=output)
    try:
        for _ in range(1200):
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

"""The pages that the printed links open in MLflow, as a person sees them."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import servers as real
from scaffold import render
from servers import Servers

from project import Project
from scripts.screenshots import browser, opened

LINK = re.compile(r"http://127\.0\.0\.1:5000(/#\S+)")


@pytest.fixture
def published(published: Project) -> Project:
    """A project with a champion."""
    published.run("lockstep", "promote", "1")
    return published


def test_the_printed_links_show_what_matters(published: Project, servers: Servers) -> None:
    project, chromium = published, real.tool("chromium")
    real.package("playwright", "Playwright")
    output = project.experiment("-S", "model=knn", "-S", "model.n_neighbors=60")
    (run_page,) = LINK.findall(output)
    table_page = re.sub(r"/[0-9a-f]{32}\?.*", "?workflowType=machine_learning", run_page)
    name = project.path.name
    store = f"sqlite:///{project.path / 'mlflow.db'}"
    server = servers.add(real.mlflow(servers, project, "--backend-store-uri", store))
    with browser(chromium) as window:
        run = opened(window, server.url + run_page, "Description", "Metrics (")
        text = run.inner_text("body")
        assert re.search(r"knn · [a-z]+-[a-z]+", text), "its name tells the model"
        assert re.search(r"knn: \w+ [\d.]+ \(95% interval [\d.]+ to [\d.]+\), baseline", text)
        assert re.search(r"Gate (passed|failed): ", text), "the verdict is in sight"
        assert "Rebuild it: uv run lockstep reproduce " in text
        assert "baseline." not in text, "no metric is shown twice"
        assert "Evaluation runs" not in text, "not a page for language models"

        results = opened(
            window,
            f"{server.url}{table_page}&viewStateShareKey=lockstep",
            "knn · ",
            "random_forest · ",
        )
        text = results.inner_text("body")
        assert "Champion: version 1, random_forest: " in text
        headings = results.get_by_role("columnheader").all_inner_texts()
        evaluation = project.python(
            "import json; print(*json.load(open('reports/evaluation.json'))['metrics'])"
        )
        assert evaluation.split()[0] in [heading.strip() for heading in headings]
        assert "Traces" not in headings

        version = opened(
            window, f"{server.url}/#/models/{name}/versions/2?workflowType=machine_learning", "Gate"
        )
        text = version.inner_text("body")
        assert re.search(r"knn: \w+ [\d.]+ \(95% interval", text)
        assert "###" not in text
        assert "| " not in text, "no raw table"

        page, _, query = run_page.partition("?")
        report = opened(window, f"{server.url}{page}/artifacts/report.html?{query}", "report.html")
        frame = report.frame_locator("iframe")
        frame.get_by_role("heading", name="Plots").wait_for()
        drawn = "images => images.map(image => image.naturalWidth)"
        widths = frame.locator("img").evaluate_all(drawn)
        assert widths
        assert all(widths), "the pictures are in the page"


DVC_YAML = """
plots:
  - no curve: {x: {none.csv: step}, y: {none.csv: [train_loss, validation_loss]}}
  - learning curve:
      x: {history.csv: step}
      y: {history.csv: [train_loss, validation_loss]}
  - confusion: {template: confusion, x: {c.csv: actual}, y: {c.csv: predicted}}
  - importance: {template: bar_horizontal_sorted, x: {i.csv: importance}, y: {i.csv: feature}}
  - residuals: {template: scatter, x: {r.csv: predicted}, y: {r.csv: residual}}
"""


@pytest.mark.server  # as it needs a browser
def test_dvc_draws_its_plots_without_a_network(tmp_path: Path, clean_env: dict[str, str]) -> None:
    chromium = real.tool("chromium")
    real.package("playwright", "Playwright")
    template, folder = render(tmp_path) / ".dvc/plots.html", tmp_path / "plots"
    folder.mkdir()
    for name, text in {
        "history.csv": "step,train_loss,validation_loss\n1,3,4\n2,2,3\n3,1,2.5\n",
        "none.csv": "step\n",
        "c.csv": "actual,predicted\nowl,owl\nowl,tit\ntit,tit\n",
        "i.csv": "feature,importance\nwing,0.4\ntail,-0.1\n",
        "r.csv": "predicted,residual\n1,0.5\n2,-0.5\n",
        "dvc.yaml": DVC_YAML,
    }.items():
        (folder / name).write_text(text)
    dvc = (sys.executable, "-m", "dvc")
    plots = ("plots", "show", "--html-template", str(template))
    for words in (("init", "--no-scm", "--quiet"), plots):
        subprocess.run([*dvc, *words], cwd=folder, env=clean_env, check=True)
    with browser(chromium) as window:
        page = window.new_page()
        page.route("http*://**", lambda route: route.abort())
        page.goto((folder / "dvc_plots/index.html").as_uri())
        assert page.locator("svg").count() == 4
        text = page.inner_text("body")
        shapes = {name: page.locator(f"svg {name}").count() for name in ("polyline", "rect")}
    for shown in ("learning curve", "train_loss", "validation_loss", "owl", "wing", "residual"):
        assert shown in text
    assert "needs Vega" not in text, "nothing is drawn of an empty table"
    assert shapes == {"polyline": 2, "rect": 4 + 2}

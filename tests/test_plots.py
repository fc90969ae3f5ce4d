"""The page of `dvc plots`, as far as it can be checked without a browser."""

import configparser
import re
from pathlib import Path

from dvc_render.html import HTML  # type: ignore[import-untyped]
from scaffold import render


def test_the_page_of_dvc_plots_loads_nothing_before_it_draws(tmp_path: Path) -> None:
    folder = render(tmp_path) / ".dvc"
    config = configparser.ConfigParser()
    config.read_string(re.sub(r"^\s+", "", (folder / "config").read_text(), flags=re.MULTILINE))
    template = (folder / config["plots"]["html_template"]).read_text(encoding="utf-8")
    page = HTML(template).with_scripts('<script src="https://cdn">').with_element("<p>a plot</p>")
    shown = page.embed()
    assert "<p>a plot</p>" in shown
    assert not re.search(r"<(script|link|img)[^>]*(src|href)=", shown), "a blank page offline"
    assert not re.search(r"(?<!\$)\{(scripts|plot_divs|refresh_tag)\}", shown)


def test_what_dvc_plots_writes_is_ignored(tmp_path: Path) -> None:
    project = render(tmp_path)
    for name in (".gitignore", ".dvcignore"):
        assert re.search("^/?dvc_plots/?$", (project / name).read_text(), re.MULTILINE), name

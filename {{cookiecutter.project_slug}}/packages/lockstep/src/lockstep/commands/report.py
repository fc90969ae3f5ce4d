"""`lockstep report`: all about a run on one page, an HTML file that needs no network."""

import tempfile
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from lockstep import LockstepError
from lockstep.lineage.target import RUNS, find_run
from lockstep.project import Project

if TYPE_CHECKING:
    from mlflow.entities import Run

EXAMPLE = "lockstep report champion"


def add_arguments(parser: ArgumentParser) -> None:
    """The verb's own arguments."""
    parser.add_argument(
        "target",
        nargs="?",
        help=f"{RUNS} (default: the run of the workspace)",
    )
    parser.add_argument(
        "-o", "--output", type=Path, help="the file to write (default: one in reports/)"
    )
    parser.add_argument("--markdown", action="store_true", help="print it as Markdown instead")


def run(arguments: Namespace) -> None:
    """Run the verb."""
    from lockstep.gate.card import report
    from lockstep.mlflow.uri import CHECK_ADDRESS
    from lockstep.values import slug

    project = Project(Path.cwd())
    with project.store.errors_explained(CHECK_ADDRESS):
        found = _run_of(project, arguments.target)
        with tempfile.TemporaryDirectory() as folder:
            card = _card(project, found, Path(folder))
            page = card if arguments.markdown else report(card, Path(folder))
    if arguments.markdown:
        print(page, end="")
        return
    name = slug((found.info.run_name or found.info.run_id).replace(" · ", "-"))
    output = arguments.output or project.workspace / "reports" / f"{name}.html"
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(page, encoding="utf-8")
    print(f"wrote {output}")


def _run_of(project: Project, word: str | None) -> "Run":
    """The run that a word names: a run, or a version by its number or alias."""
    if word is None:
        word = project.store.find_finished(project.pipeline.state)
        if word is None:
            raise LockstepError("the workspace has no run yet: `uv run dvc repro`, or name a run")
    if found := find_run(word, project):
        return found
    raise LockstepError(
        f"{word!r} is not a run or a version\n`uv run lockstep runs` lists the runs"
    )


def _card(project: Project, run: "Run", folder: Path) -> str:
    """The card of a run, with the verdict that holds now; its pictures are downloaded, too."""
    from lockstep.gate.card import CARD, pictures_in, with_description
    from lockstep.mlflow import runs, tag

    client = project.store.client()
    file = runs.download(client, run.info.run_id, CARD, folder)
    if file is None:
        raise LockstepError(
            f"run {run.info.run_name} has no {CARD}: only runs that `lockstep publish` made of a "
            "model have one"
        )
    card = file.read_text(encoding="utf-8")
    for name in pictures_in(card):
        if picture := runs.download(client, run.info.run_id, name, folder):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            picture.replace(folder / name)
    return with_description(card, run.data.tags.get(tag.NOTE, ""))

"""`lockstep diff`: what differs between two runs, and whether it may be chance."""

import contextlib
from argparse import ArgumentParser, Namespace
from pathlib import Path

from lockstep import LockstepError
from lockstep.champion.alias import CHAMPION
from lockstep.compare.difference import Difference
from lockstep.compare.listing import list_runs
from lockstep.compare.section import as_html, as_markdown
from lockstep.compare.states import restored
from lockstep.files import write_whole
from lockstep.lineage.target import TARGETS, Target, find_run, resolve_target
from lockstep.project import Project
from lockstep.terminal import show, table

EXAMPLE = "lockstep diff champion challenger"


def add_arguments(parser: ArgumentParser) -> None:
    """The verb's own arguments."""
    default = "the champion, or without one the run before"
    parser.add_argument("a", nargs="?", help=f"{TARGETS} (default: {default})")
    parser.add_argument("b", nargs="?", help="the same (default: the state of the workspace)")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--markdown", action="store_true", help="print Markdown")
    form.add_argument("--html", type=Path, metavar="FILE", help="write a page of HTML")


def run(arguments: Namespace) -> None:
    """Run the verb."""
    project = Project(Path.cwd())
    b = resolve_target(arguments.b or _workspace(project), project)
    a = resolve_target(arguments.a or _opponent(project, b), project)
    with contextlib.ExitStack() as stack:
        states = [stack.enter_context(restored(target, project)) for target in (a, b)]
        difference = Difference(project, *states)
        sections = difference.sections()
    title = f"{b.name} compared with {a.name}"
    if arguments.markdown:
        print(as_markdown(title, difference.headline(), sections), end="")
    elif arguments.html:
        write_whole(arguments.html, as_html(title, difference.headline(), sections))
        print(f"wrote {arguments.html}")
    else:
        show(difference.headline())
        for section in sections:
            grid = table(section.headings, section.rows, section.numeric)
            show("", section.title, *([grid] if section.rows else []), *section.notes)
        if not sections:
            show("nothing differs")


def _workspace(project: Project) -> str:
    """The run of the state that dvc.lock records."""
    run_id = project.store.find_finished(project.pipeline.state)
    if run_id is None:
        raise LockstepError("the state of the workspace has no run yet: run `uv run dvc repro`")
    return run_id


def _opponent(project: Project, target: Target) -> str:
    """The champion; without one, the newest run but the target's."""
    if find_run(CHAMPION, project):
        return CHAMPION
    run_id = target.run.info.run_id if target.run else None
    rows = list_runs(project, "newest", None, 2).rows
    if other := next((row.id for row in rows if row.id != run_id), None):
        return other
    raise LockstepError(f"{target.name} is the only run: there is nothing to compare it with")

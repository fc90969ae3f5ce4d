"""`lockstep publish`: the state of the pipeline as a run in MLflow."""

import shlex
from argparse import ArgumentParser, Namespace
from pathlib import Path

from lockstep.project import Project
from lockstep.team.commits import uncommitted

LISTED_FILES = 10
EXAMPLE = "lockstep publish --all"


def add_arguments(parser: ArgumentParser) -> None:
    """The verb's own arguments."""
    parser.add_argument(
        "--all",
        action="store_true",
        dest="everything",
        help="publish every state that git and DVC hold and MLflow lacks; no stage runs again",
    )


def run(arguments: Namespace) -> bool:
    """Run the verb."""
    project = Project(Path.cwd())
    if arguments.everything:
        from lockstep.publish.backfill import publish_all

        return publish_all(project, ask_server=True) > 0
    publish(project)
    return False


def publish(project: Project) -> None:
    """Publish the state that dvc.lock records, unless its run exists."""
    from lockstep.dvc.ignored import ignore_again
    from lockstep.mlflow.whole import whole_run

    if again := ignore_again(project.workspace, project.pipeline):
        print(f"note: git ignores {', '.join(again)} again: DVC took that back as a stage failed")
    model = project.registry.get("name") if project.pipeline.models() else None
    alias = project.registry.get("alias")
    if run_id := whole_run(project.store, project.pipeline.state, model, alias):
        print(f"already published: run {run_id}")
        return
    from lockstep.history import live_record
    from lockstep.mlflow.package import model_packager
    from lockstep.publish.publish import publish_record, record_of_workspace
    from lockstep.publish.report import print_report

    # The model is packaged in another process, while this one gathers the rest and imports MLflow.
    with model_packager() as start:
        package = start(project.pipeline, project.packages)
        record = record_of_workspace(project)
        published = publish_record(project, record, package)
    if published:
        live_record(project.workspace).unlink(missing_ok=True)
        print_report(project.store, record, *published)
    in_place = project.workspace.samefile(project.root)  # not in the copy of an experiment
    if in_place and (files := uncommitted(project)):
        paths = sorted({*files, *record.origin.changed})
        listed = shlex.join(paths) if len(paths) <= LISTED_FILES else "--all"
        print(f"to keep it: git add {listed} && git commit")

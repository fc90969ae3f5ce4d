"""`lockstep promote`: a version becomes the champion."""

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from lockstep import LockstepError
from lockstep.champion.alias import CHAMPION, champion_of, move, number_of
from lockstep.champion.verdict import current_verdict
from lockstep.mlflow.registry import version_called
from lockstep.project import Project

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

EXAMPLE = "lockstep promote 7"


def add_arguments(parser: ArgumentParser) -> None:
    """The verb's own arguments."""
    parser.add_argument(
        "version", nargs="?", help="its number or alias (default: the challenger, the newest one)"
    )
    parser.add_argument("--force", action="store_true", help="promote even if the gate failed")
    parser.add_argument("--reason", help="why; recorded with the version")


def run(arguments: Namespace) -> int:
    """Run the verb."""
    return promote(
        Project(Path.cwd()), arguments.version, force=arguments.force, reason=arguments.reason
    )


def promote(project: Project, wanted: str | None, *, force: bool, reason: str | None) -> int:
    """Make a version the champion if its gate passes, or could not decide.

    A verdict holds for the champion and the rules that it was reached with; if one of them has
    changed, the version is judged again.

    Args:
        project: The project.
        wanted: The version's number or alias; the alias of the newest version by default.
        force: Whether to promote even if the gate failed.
        reason: Recorded with the version.

    Returns:
        0 when it is the champion; 1 when its gate failed, or another one was promoted meanwhile.
    """
    if force and not reason:
        raise LockstepError('--force is recorded with a reason: add --reason "..."')
    name = project.model_name
    with project.store.errors_explained():
        client = project.store.client()
        version = version_called(client, name, wanted or str(project.registry.get("alias")))
        number, champion = str(version.version), champion_of(client, name)
        previous = number_of(champion)
        if previous != number:
            verdict = _print_verdict(project, client, version, champion)
            if verdict == "failed" and not force:
                print(
                    "not promoted; to promote it anyway: "
                    f'`uv run lockstep promote {number} --force --reason "..."`'
                )
                return 1
            if force:
                reason = f"{reason} (forced, the gate: {verdict})"
        moved = move(client, project.root, version, previous, reason=reason)
    if previous == number:
        print(f"{name}: version {number} is already the {CHAMPION}")
        return 0
    if not moved:
        print(
            f"not promoted: the champion was version {previous or 'none'} and changed meanwhile\n"
            f"`uv run lockstep promote {number}` judges against the new one"
        )
        return 1
    print(f"{name}: {CHAMPION} is version {number}, previously {previous or 'none'}")
    return 0


def _print_verdict(
    project: Project,
    client: "MlflowClient",
    version: "ModelVersion",
    champion: "ModelVersion | None",
) -> str:
    verdict, reasons = current_verdict(project, client, version, champion)
    if verdict != "none":
        print("\n".join([f"{version.name} version {version.version}: gate {verdict}", *reasons]))
    return verdict

"""`lockstep promote`: a version becomes the champion."""

import math
from argparse import ArgumentParser, Namespace
from pathlib import Path

from lockstep import LockstepError
from lockstep.champion.alias import CHAMPION, champion_of, move, number_of
from lockstep.champion.front_page import update_front_page
from lockstep.champion.verdict import current_verdict
from lockstep.commands.serve import add_log
from lockstep.gate.comparison import Evidence
from lockstep.mlflow.registry import version_called
from lockstep.mlflow.uri import SAME_AGAIN
from lockstep.project import Project

EXAMPLE = "lockstep promote 7"


def add_arguments(parser: ArgumentParser) -> None:
    """The verb's own arguments."""
    parser.add_argument(
        "version", nargs="?", help="its number or alias (default: the challenger, the newest one)"
    )
    parser.add_argument(
        "--force", action="store_true", help="promote even if the gate did not pass"
    )
    parser.add_argument("--reason", help="why; recorded with the version")
    parser.add_argument(
        "--on-traffic",
        nargs="?",
        type=float,
        const=math.inf,
        metavar="DAYS",
        help="compare with the champion on the answers of `lockstep serve` whose true values came "
        "later, of the last DAYS or all, instead of on the test rows",
    )
    add_log(parser)


def run(arguments: Namespace) -> int:
    """Make a version the champion if its gate passes, or there is no gate.

    A verdict holds for the champion and the rules that it was reached with; if one of them has
    changed, the version is judged again.

    Returns:
        0 if it is now the champion; 1 if its gate failed or could not decide, or another version
        became the champion in the meantime.
    """
    force, reason = arguments.force, arguments.reason
    if force and not reason:
        raise LockstepError('--force needs a reason, which is recorded: add --reason "..."')
    project = Project(Path.cwd())
    name = project.model_name
    with project.store.errors_explained(SAME_AGAIN):
        client = project.store.client()
        version = version_called(client, name, arguments.version or _newest(project))
        number, champion = str(version.version), champion_of(client, name)
        previous = number_of(champion)
        if previous != number:
            evidence = _evidence(arguments, name, number)
            verdict, reasons = current_verdict(project, client, version, champion, evidence)
            if verdict != "none":
                print("\n".join([f"{name} version {number}: gate {verdict}", *reasons]))
            if verdict in ("failed", "undecided") and not force:
                print(
                    "not promoted; to promote it anyway: "
                    f'`uv run lockstep promote {number} --force --reason "..."`'
                )
                return 1
            if force:
                reason = f"{reason} (forced, the gate: {verdict})"
        moved = move(client, project.root, version, previous, reason=reason)
        update_front_page(client, project)
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


def _evidence(arguments: Namespace, model: str, number: str) -> Evidence | None:
    """Real traffic, if it is to be compared on."""
    if arguments.on_traffic is None:
        return None
    from lockstep.serve.places import place_of
    from lockstep.serve.traffic import evidence  # imports pandas

    days = arguments.on_traffic if math.isfinite(arguments.on_traffic) else None
    return evidence(place_of(arguments.log), model, number, days)


def _newest(project: Project) -> str:
    """The alias of the newest version."""
    if alias := project.registry.get("alias"):
        return str(alias)
    raise LockstepError(
        "conf/registry/ sets no alias for the newest version, so name the version\n"
        "`uv run lockstep models` lists them"
    )

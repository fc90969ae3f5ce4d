"""The command `lockstep`: each verb is a module of `lockstep.commands`."""

import argparse
import importlib
import sys
from collections.abc import Sequence

from lockstep import LockstepError, __version__
from lockstep.garbage import collect_seldom
from lockstep.workspace import import_from_workspace

# In the order of use. Only the module of the verb that is asked for is imported.
VERBS = {
    "compose": "Compose conf/ into params.yaml; the first stage of the pipeline.",
    "run": "Run one stage's main() with the params that dvc.yaml lists for it.",
    "publish": "Publish the state of the pipeline to MLflow; the last stage of the pipeline.",
    "sweep": "Search for better params with many trials of the train stage.",
    "models": "List the versions of the model: aliases, verdicts, metrics, data, commits.",
    "promote": "Make a version of the model the champion, if its gate passes.",
    "rollback": "Return to the previous champion.",
    "trace": "Show where a run, a model or a file came from, and what was made from it.",
    "reproduce": "Rebuild a run in a worktree beside the project, and compare the results.",
    "push": "Share this branch: data, then commits, then runs that MLflow lacks.",
    "pull": "Get what others pushed: the commits of this branch, then their data.",
    "doctor": "Check git, DVC, MLflow, the environment and the machine, and show what fixes them.",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb.

    Args:
        argv: The words after `lockstep`; those of the command line by default.

    Returns:
        0 on success, 1 when the answer is no, 2 when it was asked wrongly or could not be done.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    import_from_workspace()
    arguments = _parser(next((word for word in words if word in VERBS), None)).parse_args(words)
    is_stage = arguments.verb == "run"
    if not is_stage:
        collect_seldom()
    try:
        return int(arguments.run(arguments) or 0)
    except LockstepError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:  # a full disk, a folder that cannot be written to
        if is_stage:  # the stage's own: its author wants to see where
            raise
        print(f"error: {error}\nfix that, then run the same command again", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _parser(wanted: str | None) -> argparse.ArgumentParser:
    """The parser of all verbs, with the arguments of the one that is wanted."""
    parser = argparse.ArgumentParser(
        prog="lockstep", description="Keeps git, DVC, Hydra and MLflow in lockstep."
    )
    parser.add_argument("--version", action="version", version=f"lockstep {__version__}")
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", dest="verb", required=True)
    for verb, summary in VERBS.items():
        added = verbs.add_parser(
            verb,
            help=summary,
            description=summary,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if verb == wanted:
            module = importlib.import_module(f"lockstep.commands.{verb}")
            module.add_arguments(added)
            added.epilog = f"example:\n  {module.EXAMPLE}"
            added.set_defaults(run=module.run)
    return parser

"""The command `lockstep`: each verb is a module of `lockstep.commands`."""

import argparse
import importlib
import sys
from collections.abc import Sequence

from lockstep import LockstepError, __version__
from lockstep.garbage import collect_seldom
from lockstep.workspace import import_from_workspace, switch_to_own_copy

# In the order of use. Only the module of the verb on the command line is imported.
VERBS = {
    "compose": "Compose conf/ into params.yaml; the first stage of the pipeline.",
    "run": "Run main() of one stage with the params that dvc.yaml lists for it.",
    "publish": "Publish the state of the pipeline to MLflow; the last stage of the pipeline.",
    "sweep": "Search for better params with many trials of the train stage.",
    "runs": "Compare the runs: model, options, metric with interval, verdict, version, commit.",
    "diff": "Show what differs between two runs, and whether the difference may be chance.",
    "models": "List the model's versions: aliases, verdicts, metrics, data, commits.",
    "promote": "Make a version of the model the champion if its gate passes.",
    "rollback": "Return to the previous champion.",
    "monitor": "Compare new data with the champion's: quality, drift, performance.",
    "trace": "Show where a run, a model or a file came from, and what was made from it.",
    "reproduce": "Rebuild a run in a worktree beside the project, and compare the results.",
    "push": "Push this branch: data, then commits, then runs missing from MLflow.",
    "pull": "Pull what others pushed: the commits of this branch, then their data.",
    "doctor": "Check git, DVC, MLflow, the environment and the machine, and show how to fix them.",
}
# These only read, and import neither the project's code nor its own copy of this package.
READING = {"models", "trace", "doctor"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb.

    Args:
        argv: The arguments after `lockstep`; by default those of the command line.

    Returns:
        0 on success, 1 if the answer is no, 2 on a usage error or if it could not be done.
    """
    argv = sys.argv[1:] if argv is None else argv
    verb = next((word for word in argv if word in VERBS), None)
    if verb not in READING:
        if switch_to_own_copy():
            return int(importlib.import_module("lockstep.cli").main(argv))
        import_from_workspace()
    arguments = _parser(verb).parse_args(argv)
    is_stage = arguments.verb == "run"
    if not is_stage:
        collect_seldom()
    try:
        return int(arguments.run(arguments) or 0)
    except LockstepError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:  # a full disk, a folder that is not writable
        if is_stage:  # raised by the stage's own code: its author needs the traceback
            raise
        reason = str(error) or type(error).__name__
        print(f"error: {reason}\nfix that, then run the same command again", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _parser(wanted: str | None) -> argparse.ArgumentParser:
    """The parser of all verbs, with the arguments of the wanted one."""
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
            added.epilog = f"example:\n  uv run {module.EXAMPLE}"
            added.set_defaults(run=module.run)
    return parser

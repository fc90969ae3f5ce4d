"""The command `lockstep`: each verb is a module of `lockstep.commands`."""

import argparse
import importlib
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from lockstep import LockstepError, __version__
from lockstep.dvc.progress import announce
from lockstep.garbage import collect_seldom
from lockstep.terminal import fail
from lockstep.values import nearest
from lockstep.workspace import import_from_workspace, switch_to_own_copy

# In the order of use; those that the pipeline calls come last. Only the module of the verb on the
# command line is imported.
VERBS = {
    "runs": "Compare the runs: model, options, metric with interval, verdict, version, commit.",
    "diff": "Show what differs between two runs, and whether the difference may be chance.",
    "sweep": "Search for better params with many trials of the train stage.",
    "models": "List the model's versions: aliases, verdicts, metrics, data, commits.",
    "promote": "Make a version of the model the champion if its gate passes.",
    "rollback": "Return to the previous champion.",
    "report": "Write one page about a run: results, plots, verdict, origin, how to rebuild it.",
    "serve": "Answer requests over HTTP with the champion, and follow it when it changes.",
    "build": "Write what an image of the champion is built from, and manifests for Kubernetes.",
    "predict": "Predict files of any size with the champion.",
    "feedback": "Add the true values of answers that `lockstep serve` keeps.",
    "monitor": "Compare new data with the champion's: quality, drift, performance.",
    "retrain": "Train again if data are new or monitoring gave an alarm; the gate decides.",
    "watch": "Monitor and retrain when data arrive, and by the clock.",
    "export": "Write the cycle, or the stages, as a DAG file for Airflow or Dagster.",
    "push": "Push this branch: data, then commits, then runs missing from MLflow.",
    "pull": "Pull what others pushed: the commits of this branch, then their data.",
    "trace": "Show where a run, a model or a file came from, and what was made from it.",
    "reproduce": "Rebuild a run in a worktree beside the project, and compare the results.",
    "doctor": "Check git, DVC, MLflow, the environment and the machine, and show how to fix them.",
    "adopt": "Bring a DVC pipeline over: params.yaml becomes conf/, dvc.yaml gets two more stages.",
    "publish": "Publish the state of the pipeline to MLflow; the last stage of the pipeline.",
    "compose": "Compose conf/ into params.yaml; the first stage of the pipeline.",
    "run": "Run main() of one stage with the params that dvc.yaml lists for it.",
    "map": "Run main() of one stage for each new or changed file of a folder.",
}
# These only read, and import neither the project's code nor its own copy of this package.
READING = {"runs", "models", "trace", "doctor"}
ALIASES = {"compare": "runs"}
STAGES = ("compose", "run", "map", "publish")  # the verbs that dvc.yaml calls
DAY = """\
uv run dvc repro                       run what changed, publish the result
uv run dvc exp run -S model=svm        try something without editing a file
uv run lockstep runs                   compare the runs
uv run lockstep diff                   is this run better, by how much, or is it chance?
uv run lockstep report                 this run on one page
uv run lockstep sweep                  search for better params
uv run lockstep promote                make the newest version the champion
git add --all && git commit            keep it
uv run lockstep push                   share the data, the commits and the runs
uv run lockstep reproduce RUN          rebuild any run, and compare
uv run lockstep doctor                 check the set-up

`lockstep --help` lists all verbs, `lockstep VERB --help` shows an example.\
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb.

    Args:
        argv: The arguments after `lockstep`; by default those of the command line.

    Returns:
        0 on success, 1 if the answer is no, 2 on a usage error or if it could not be done.
    """
    argv = sys.argv[1:] if argv is None else argv
    _spin_less()
    if not argv:
        print(DAY)
        return 0
    verb = ALIASES.get(argv[0], argv[0])
    if verb not in VERBS and not verb.startswith("-"):
        hint = nearest(verb, [*VERBS, *ALIASES])
        fail(f"there is no verb {verb!r}{hint}\n`lockstep --help` lists the verbs")
        return 2
    if verb not in READING:
        if switch_to_own_copy():
            return int(importlib.import_module("lockstep.cli").main(argv))
        import_from_workspace()
    arguments = _parsed(verb, argv[1:])
    if shell := arguments.print_completion:
        import shtab

        print(shtab.complete(_parser(VERBS), shell))
        return 0
    is_stage = verb in ("run", "map")
    if verb in STAGES:
        announce(Path.cwd())
    if not is_stage:
        collect_seldom()
    try:
        _clear_locks()
        return int(arguments.run(arguments) or 0)
    except LockstepError as error:
        fail(str(error))
        return 2
    except OSError as error:  # a full disk, a folder that is not writable
        if is_stage:  # raised by the stage's own code: its author needs the traceback
            raise
        if isinstance(error, BrokenPipeError):  # `lockstep runs | head` has read enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        fail(f"{str(error) or type(error).__name__}\nfix that, then run the same command again")
        return 2
    except KeyboardInterrupt:
        return 130


def _spin_less() -> None:
    """Keep threads of OpenMP that wait from taking a shared core from those that work.

    GCC's OpenMP spins 300,000 times. With 1,000, it is as fast on idle cores.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")


def _clear_locks() -> None:
    """Remove what would stop DVC for good; a stage's own DVC is running and has seen to it."""
    from lockstep.dvc.environment import stage_name
    from lockstep.dvc.leftovers import clear_locks

    if not stage_name():
        for path in clear_locks(Path.cwd()):
            print(f"note: removed {path}, which a killed DVC command had left", file=sys.stderr)


def _parsed(verb: str, words: Sequence[str]) -> argparse.Namespace:
    """The arguments; of a mistake in them, the verb's own usage is shown."""
    arguments, unknown = _parser([verb]).parse_known_args([verb, *words])
    if unknown:
        arguments.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    return arguments


def _parser(wanted: Iterable[str]) -> argparse.ArgumentParser:
    """The parser of all verbs, with the arguments of the wanted ones."""
    parser = argparse.ArgumentParser(
        prog="lockstep",
        description="Keeps git, DVC, Hydra and MLflow in lockstep.",
        formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=15),
    )
    parser.add_argument("--version", action="version", version=f"lockstep {__version__}")
    parser.add_argument(
        "--print-completion",
        choices=("bash", "zsh", "tcsh"),
        metavar="SHELL",
        help='print a completion script: eval "$(lockstep --print-completion bash)"; or zsh, tcsh',
    )
    parser.set_defaults(parser=parser)
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", dest="verb")
    for verb, summary in VERBS.items():
        added = verbs.add_parser(
            verb,
            help=summary,
            description=summary,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if verb in wanted:
            module = importlib.import_module(f"lockstep.commands.{verb}")
            module.add_arguments(added)
            added.epilog = f"example:\n  uv run {module.EXAMPLE}"
            added.set_defaults(run=module.run, parser=added)
    return parser

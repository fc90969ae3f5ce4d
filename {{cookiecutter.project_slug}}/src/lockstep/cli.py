"""The command `lockstep`. Each verb imports what it needs when it runs, so that it starts fast."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import lockstep
from lockstep import LockstepError
from lockstep.garbage import collect_seldom


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb.

    Args:
        argv: The words behind `lockstep`; those of the command line by default.

    Returns:
        0 on success, 1 when the answer is no, 2 when it was asked wrongly or could not be done.
    """
    arguments = vars(_parser().parse_args(argv))
    verb = arguments.pop("verb")
    import_from_workspace()
    if verb is not _run:
        collect_seldom()
    try:
        return int(verb(**arguments) or 0)
    except LockstepError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:  # a full disk, a folder that cannot be written to
        if verb is _run:  # the stage's own: its author wants to see where
            raise
        print(f"error: {error}\nmend that, then run the same command again", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def import_from_workspace() -> None:
    """Import the code of the current workspace, not the installed one.

    `dvc exp run --temp` and the queue run in a copy of the workspace, while the environment's
    editable install points to the original.
    """
    source = Path.cwd() / "src"
    if (source / "lockstep").is_dir():
        sys.path.insert(0, str(source))
        lockstep.__path__[:] = [str(source / "lockstep")]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lockstep", description="Keeps git, DVC, Hydra and MLflow in lockstep."
    )
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)

    def add(verb: object, name: str, summary: str, example: str) -> argparse.ArgumentParser:
        added = verbs.add_parser(
            name,
            help=summary,
            description=summary,
            epilog=f"example:\n  {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        added.set_defaults(verb=verb)
        return added

    run = add(
        _run,
        "run",
        "Run one stage's main() with the params that dvc.yaml lists for it.",
        "lockstep run penguins.split data/table.parquet data/train.parquet data/test.parquet",
    )
    run.add_argument("module", help="the module that holds main(cfg, *paths)")
    run.add_argument("paths", nargs="*", type=Path, help="handed on to main()")

    compose = add(
        _compose,
        "compose",
        "Compose conf/ into params.yaml; the first stage of the pipeline.",
        "lockstep compose --force",
    )
    compose.add_argument(
        "--force",
        action="store_true",
        help="drop what params.yaml holds beyond conf/ (a hand edit, an applied experiment)",
    )

    publish = add(
        _publish,
        "publish",
        "Show the state of the pipeline in MLflow, once; the last stage of the pipeline.",
        "lockstep publish --all",
    )
    publish.add_argument(
        "--all",
        action="store_true",
        dest="everything",
        help="fill in each run that MLflow lacks of what git and DVC remember; nothing runs again",
    )
    reproduce = add(
        _reproduce,
        "reproduce",
        "Rebuild what a run shows in a worktree beside the project, and compare.",
        "lockstep reproduce models:/penguins@champion",
    )
    reproduce.add_argument(
        "target",
        help="a run's id or name, models:/name@alias, models:/name/3, a DVC experiment or a commit",
    )
    reproduce.add_argument(
        "--from", dest="start", metavar="STAGE", help="take what the stages before it made from DVC"
    )
    reproduce.add_argument(
        "--current-environment", action="store_true", help="do not install the one that was locked"
    )
    reproduce.add_argument(
        "--checkout-only", action="store_true", help="restore code, data and outputs; run nothing"
    )
    reproduce.add_argument("--keep", action="store_true", help="leave the worktree there")
    trace = add(
        _trace,
        "trace",
        "Show where a run, a model or a file came from, and what came of it.",
        "lockstep trace data/raw.csv",
    )
    trace.add_argument(
        "target", help="a run's id or name, models:/name@alias, models:/name/3, or a file"
    )
    trace.add_argument("--json", action="store_true", dest="as_json", help="print JSON, not a tree")

    sweep = add(
        _sweep,
        "sweep",
        "Search for better params with many trials of the train stage, then run the pipeline.",
        "lockstep sweep 'model=choice(logistic,random_forest)' sweep.n_trials=100",
    )
    sweep.add_argument(
        "words",
        nargs="*",
        metavar="override",
        help="Hydra's: a value holds for all trials, a choice(...), range(...) or interval(...) "
        "is tried beside the space in conf/sweep/",
    )
    action = sweep.add_mutually_exclusive_group()
    action.add_argument("--resume", action="store_true", help="go on with the newest sweep")
    action.add_argument(
        "--apply", metavar="TRIAL", help="run the pipeline with a trial, by number or `best`"
    )

    push = add(
        _push,
        "push",
        "Share this branch: its data through DVC, then its commits, then runs not yet in MLflow.",
        "lockstep push --dry-run",
    )
    push.add_argument("--dry-run", action="store_true", help="only say what would be done")
    push.add_argument(
        "--experiments", action="store_true", help="DVC's experiments, too, with their data"
    )
    push.add_argument(
        "--outgoing-data",
        action="store_true",
        help="only the data of the commits that `git push` is about to send: the pre-push hook",
    )

    add(
        _pull,
        "pull",
        "Bring here what others pushed: the commits of this branch, then their data.",
        "lockstep pull",
    )

    doctor = add(
        _doctor,
        "doctor",
        "Check git, DVC, MLflow, the environment and the machine; tell what mends what is wrong.",
        "lockstep doctor --json",
    )
    doctor.add_argument("--json", action="store_true", help="print JSON in place of a table")
    doctor.add_argument("--strict", action="store_true", help="let warnings fail, too")

    promote = add(
        _promote,
        "promote",
        "Make a version of the model the champion, if its gate passes.",
        "lockstep promote 7",
    )
    promote.add_argument(
        "version", nargs="?", help="its number or alias; by default the newest, the challenger"
    )
    promote.add_argument("--force", action="store_true", help="whatever the gate says")
    promote.add_argument("--reason", help="why; recorded with the version")
    rollback = add(
        _rollback,
        "rollback",
        "Return to the champion before this one, at once; again, to the one before that.",
        "lockstep rollback --reason 'odd answers for Torgersen'",
    )
    rollback.add_argument("--reason", help="why; recorded with the version")
    models = add(
        _models,
        "models",
        "List the versions of the model: aliases, verdicts, metrics, data, commits.",
        "lockstep models --json",
    )
    models.add_argument("--json", action="store_true", dest="as_json", help="all that is known")
    models.add_argument("--limit", type=int, default=20, help="the newest so many (%(default)s)")
    return parser


def _run(module: str, paths: Sequence[Path]) -> None:
    from lockstep.run import run_stage

    run_stage(module, paths)


def _compose(force: bool) -> None:
    from lockstep.config.compose import compose_params

    compose_params(Path.cwd(), force=force)


def _publish(everything: bool) -> bool:
    if everything:
        from lockstep.runs.backlog import publish_all

        return publish_all(Path.cwd()) > 0
    from lockstep.runs.publish import publish

    publish(Path.cwd())
    return False


def _reproduce(
    target: str, start: str | None, current_environment: bool, checkout_only: bool, keep: bool
) -> bool:
    from lockstep.rebuild.reproduce import reproduce

    same = reproduce(
        Path.cwd(),
        target,
        start=start,
        current_environment=current_environment,
        only_restore=checkout_only,
        keep=keep,
    )
    return not same


def _trace(target: str, as_json: bool) -> None:
    from lockstep.rebuild.trace import trace

    trace(Path.cwd(), target, as_json=as_json)


def _sweep(words: Sequence[str], resume: bool, apply: str | None) -> None:
    from lockstep.sweep import apply as application
    from lockstep.sweep import sweep

    if apply:
        application.apply(Path.cwd(), words, apply)
    elif resume:
        sweep.resume(Path.cwd(), words)
    else:
        sweep.sweep(Path.cwd(), words)


def _push(dry_run: bool, experiments: bool, outgoing_data: bool) -> None:
    from lockstep.share import sync

    if outgoing_data:
        sync.push_outgoing_data(Path.cwd())
    else:
        sync.push(Path.cwd(), experiments=experiments, dry_run=dry_run)


def _pull() -> None:
    from lockstep.share.sync import pull

    pull(Path.cwd())


def _doctor(json: bool, strict: bool) -> None:
    from lockstep.share.doctor import examine

    code = examine(Path.cwd(), as_json=json, strict=strict)
    sys.stdout.flush()
    # Python would wait for the thread pools of a library whose server never answers.
    os._exit(code)


def _promote(version: str | None, force: bool, reason: str | None) -> int:
    from lockstep.gate.promotion import promote

    return promote(Path.cwd(), version, force=force, reason=reason)


def _rollback(reason: str | None) -> int:
    from lockstep.gate.promotion import rollback

    return rollback(Path.cwd(), reason)


def _models(as_json: bool, limit: int) -> None:
    from lockstep.gate.models import list_models

    list_models(Path.cwd(), as_json=as_json, limit=limit)

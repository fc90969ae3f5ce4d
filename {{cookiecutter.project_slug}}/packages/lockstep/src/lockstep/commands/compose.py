"""`lockstep compose`: compose conf/ into params.yaml."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

EXAMPLE = "lockstep compose --force"


def add_arguments(parser: ArgumentParser) -> None:
    """The verb's own arguments."""
    parser.add_argument(
        "--force",
        action="store_true",
        help="discard the values in params.yaml that differ from conf/: hand edits, experiments",
    )


def run(arguments: Namespace) -> None:
    """Run the verb; as a stage, it fails if DVC has resolved dvc.yaml with values that changed."""
    from lockstep import LockstepError
    from lockstep.config.params import compose_params
    from lockstep.dvc.declaration import Declaration
    from lockstep.dvc.durations import measured
    from lockstep.dvc.environment import stage_name
    from lockstep.workspace import COMPOSED, PARAMS

    workspace = Path.cwd()
    known = Declaration(workspace).stages if stage_name() else None
    with measured([Path(COMPOSED)]):
        compose_params(workspace, force=arguments.force)
    if known is not None and Declaration(workspace).stages != known:
        raise LockstepError(
            f"dvc.yaml uses values of {PARAMS} that have changed, and DVC had read the old ones: "
            "run the same command again"
        )

"""`lockstep adopt`: bring a DVC pipeline over."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from lockstep import LockstepError
from lockstep.workspace import DVC_YAML, PARAMS

EXAMPLE = "lockstep adopt"
IGNORED = ("/mlflow.db*", "/mlartifacts/", "/sweeps/")


def add_arguments(parser: ArgumentParser) -> None:
    """The verb's own arguments."""
    parser.add_argument(
        "--name", help="of the MLflow experiment and the model (default: the folder's name)"
    )


def run(arguments: Namespace) -> None:
    """Run the verb: all is checked before the first file is written."""
    from lockstep.config.adopt import conf_of, differing
    from lockstep.config.compose import composer
    from lockstep.config.params import compose_params
    from lockstep.dvc.adopt import extended
    from lockstep.dvc.command import run_dvc
    from lockstep.dvc.declaration import Declaration
    from lockstep.dvc.values import load
    from lockstep.files import write_whole

    workspace = Path.cwd()
    if not (workspace / ".dvc").is_dir() or not (workspace / DVC_YAML).exists():
        raise LockstepError(f"{workspace} is not a DVC project with a {DVC_YAML}")
    if (workspace / "conf").exists():
        raise LockstepError("there is a folder conf/ already: move it away")
    file = workspace / PARAMS
    text, params = (file.read_text(encoding="utf-8"), load(file)) if file.exists() else ("", {})
    files = conf_of(text, params, arguments.name or workspace.resolve().name)
    pipeline = extended(workspace)
    for name, content in files.items():
        (workspace / name).parent.mkdir(parents=True, exist_ok=True)
        write_whole(workspace / name, content)
    with composer(workspace) as compose:
        different = differing(params, compose([]))
    if different:
        raise LockstepError(
            f"conf/ composes {', '.join(different)} to something else than {PARAMS} says: correct "
            f"it there, remove conf/, then run `lockstep adopt` again; {DVC_YAML} is as it was"
        )
    write_whole(workspace / DVC_YAML, pipeline)
    ignore = workspace / ".gitignore"
    known = ignore.read_text(encoding="utf-8") if ignore.exists() else ""
    more = [line for line in IGNORED if line not in known.splitlines()]
    write_whole(
        ignore, "".join([known, "\n" * (known[-1:] not in ("", "\n")), *(f"{m}\n" for m in more)])
    )
    run_dvc("config", "hydra.enabled", "True", cwd=workspace, quiet=True)
    compose_params(workspace, force=True)
    print(f"conf/: {len(files)} files, which compose to {PARAMS}")
    print(f"{DVC_YAML}: the stages compose and publish; .gitignore; .dvc/config: hydra.enabled")
    if not Declaration(workspace).own_models():
        print(f"note: to register a model, name it in {DVC_YAML} under artifacts, with type: model")
    print("next:\n  uv run dvc repro        no other stage runs again")
    print("  git add --all && git commit")

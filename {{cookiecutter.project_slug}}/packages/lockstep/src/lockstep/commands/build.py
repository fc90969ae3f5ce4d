"""`lockstep build`: what a container builder needs to make an image of the champion."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from lockstep.commands.serve import add_trust, source_of
from lockstep.values import counted

EXAMPLE = "lockstep build && docker build --tag bike-hire:1 image"
PINNED = "docker buildx imagetools inspect"


def add_arguments(parser: ArgumentParser) -> None:
    """The verb's own arguments."""
    parser.add_argument(
        "model",
        nargs="?",
        help="models:/name@alias, models:/name/3, or a model's folder (default: the champion)",
    )
    parser.add_argument(
        "output", nargs="?", type=Path, default=Path("image"), help="a folder (%(default)s/)"
    )
    parser.add_argument(
        "--base",
        metavar="IMAGE",
        help="the image to build on, best with its digest: python:3.12-slim@sha256:… (default: "
        "python:VERSION-slim with the version that the model was trained with)",
    )
    add_trust(parser)


def run(arguments: Namespace) -> None:
    """Write the context: Dockerfile, requirements, model, server, manifests for Kubernetes."""
    from lockstep.adapters.trusted_model import mlmodel
    from lockstep.image.context import write_context
    from lockstep.image.environment import requirements_of
    from lockstep.lineage.target import resolve_target
    from lockstep.project import Project

    source = source_of(arguments)
    about = source.wanted()
    source.load(about)  # what cannot be served is refused here
    folder = source.folder(about)
    print(f"model: {about}", flush=True)
    project, revision = Project(Path.cwd()), None
    if about.run:
        revision = resolve_target(about.run, project).revision
    requirements, owner = requirements_of(project.root, revision, folder)
    count = sum(line[:1].isalnum() for line in requirements.splitlines())
    print(f"environment: {counted(count, 'package')} from uv.lock of {owner}", flush=True)
    python = mlmodel(folder)["flavors"]["python_function"]["python_version"]
    base = arguments.base or f"python:{python}-slim"
    options = source.trust.options(folder)
    image = write_context(arguments.output, folder, about, requirements, base, options)
    print(f"wrote {arguments.output}/ with Dockerfile and kubernetes.yaml")
    if "@sha256:" not in base:
        print(f"note: {base} may change; `{PINNED} {base}` shows its digest, for --base {base}@…")
    print(f"to build it: docker build --tag {image} {arguments.output}")

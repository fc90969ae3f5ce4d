"""Write the context of an image: all that a container builder needs, beside a base image."""

import json
import re
import shutil
import tempfile
from pathlib import Path
from string import Template

import lockstep
from lockstep import LockstepError
from lockstep.inference.version import About

HERE = Path(__file__).parent
DOCKERFILE, MANIFESTS, REQUIREMENTS = "Dockerfile", "kubernetes.yaml", "requirements.txt"
SERVE = ["python", "-m", "lockstep", "serve", "model"]


def write_context(
    output: Path, model: Path, about: About, requirements: str, base: str, options: list[str]
) -> str:
    """Write a context, in place of an older one.

    Args:
        output: Its folder.
        model: The folder of the MLflow model.
        requirements: Its environment, as pip reads it.
        base: The image that it is built on.
        options: Those of `lockstep serve`.

    Returns:
        The name and the tag of the image.

    Raises:
        LockstepError: The folder holds something else.
    """
    if output.exists() and not (output / DOCKERFILE).is_file() and any(output.iterdir()):
        raise LockstepError(f"{output} exists and is not an image's context: name another folder")
    name = image_name(about.model)
    image = f"{name}:{about.version or 'latest'}"
    names = {
        "title": re.sub(r"\s+", " ", str(about)),
        "name": name,
        "image": image,
        "label": about.version,
        "run": about.run or "",
        "commit": about.commit or "",
    }
    labels = {"model": _quoted(about.model), "version": _quoted(about.version), "base": base}
    dockerfile = {**names, **labels, "command": json.dumps([*SERVE, *options])}
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=".image-") as temporary:
        draft = Path(temporary, "image")
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(model, draft / "model", ignore=ignored)
        about.write(draft / "model")
        shutil.copytree(Path(str(lockstep.__file__)).parent, draft / "lockstep", ignore=ignored)
        (draft / REQUIREMENTS).write_text(requirements, encoding="utf-8")
        for file, values in ((DOCKERFILE, dockerfile), (MANIFESTS, names)):
            template = Template((HERE / file).read_text(encoding="utf-8"))
            (draft / file).write_text(template.substitute(values), encoding="utf-8")
        if output.exists():
            output.rename(Path(temporary, "older"))
        draft.rename(output)
    return image


def image_name(model: str) -> str:
    """A model's name as registries of images and Kubernetes take it."""
    name = re.sub("[^a-z0-9]+", "-", model.lower()).strip("-")[:50].strip("-")
    return name if re.match("[a-z]", name) else f"model-{name}".strip("-")


def _quoted(text: str) -> str:
    """A text as the value of a label."""
    return json.dumps(text).replace("$", "\\$")

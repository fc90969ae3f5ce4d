"""DVC's experiments, which git keeps as refs."""

import re
from pathlib import Path

from lockstep.git import git

EXPERIMENTS = "refs/exps"


def experiment_refs(root: Path, name: str = "*") -> dict[str, str]:
    """The DVC experiments of a project: the ref of each and its commit.

    DVC keeps an experiment at refs/exps/<baseline, its first two digits apart>/<name>
    (https://dvc.org/doc/user-guide/experiment-management).

    Args:
        root: The project's own folder.
        name: Only those with this name.
    """
    listed = git(
        "for-each-ref", "--format=%(refname) %(objectname)", f"{EXPERIMENTS}/*/*/{name}", cwd=root
    )
    pairs = (line.rpartition(" ") for line in (listed or "").splitlines())
    is_experiment = re.compile(rf"{EXPERIMENTS}/[0-9a-f]{{2}}/[0-9a-f]{{38}}/[^/]+")
    return {ref: commit for ref, _, commit in pairs if is_experiment.fullmatch(ref)}

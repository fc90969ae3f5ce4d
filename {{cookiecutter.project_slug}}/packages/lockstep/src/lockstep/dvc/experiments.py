"""DVC's experiments, which git keeps as refs."""

import re
from pathlib import Path

from lockstep.git import git

EXPERIMENTS = "refs/exps"


def experiment_refs(root: Path, name: str = "*") -> dict[str, str]:
    """The commits of a project's DVC experiments, or of those with one name, by ref.

    DVC keeps an experiment at refs/exps/<baseline, its first two digits apart>/<name>
    (https://dvc.org/doc/user-guide/experiment-management).
    """
    listed = git(
        "for-each-ref", "--format=%(refname) %(objectname)", f"{EXPERIMENTS}/*/*/{name}", cwd=root
    )
    pairs = (line.rpartition(" ") for line in (listed or "").splitlines())
    is_experiment = re.compile(rf"{EXPERIMENTS}/[0-9a-f]{{2}}/[0-9a-f]{{38}}/[^/]+")
    return {ref: commit for ref, _, commit in pairs if is_experiment.fullmatch(ref)}

"""Why a model that was trained again has other bytes."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from lockstep.adapters.sklearn import PICKLES
from lockstep.dvc.cache import fetch
from lockstep.dvc.pipeline import Pipeline
from lockstep.rebuild.evidence import Reproduction
from lockstep.values import first_line


def why_models_differ(reproduction: Reproduction, root: Path, folder: Path) -> Iterator[str]:
    """For each estimator that differs, the first of its attributes that does.

    Args:
        root: The project, whose DVC cache and remote have the recorded model.
        folder: The worktree with the reproduced one.
    """
    differing = {
        row.name: str(row.recorded)
        for row in reproduction.outputs
        if not row.same and row.recorded and row.reproduced
    }
    for path in (str(model["path"]) for model in Pipeline(folder).models()):
        if path not in differing or not path.endswith(PICKLES):
            continue
        from lockstep.adapters.difference import difference_of_files  # imports NumPy

        with tempfile.TemporaryDirectory() as temporary:
            recorded = Path(temporary) / "recorded"
            try:
                fetch(root, differing[path], recorded)
                difference = difference_of_files(recorded, folder / path)
            except Exception as error:  # of DVC, or of the code behind the model
                yield f"{path} could not be compared: {first_line(error)}"
                continue
        where = f"differs in {difference}" if difference else "holds the same values in other bytes"
        yield f"{path} {where}"

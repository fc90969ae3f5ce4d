"""Compare a model with the champion on the same test rows: a process of `judge`'s.

The project's own scoring imports what MLflow's process need not (scikit-learn, say). Predictions
are compared, so that no model is loaded when both were tested on the same data.
"""

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from lockstep import LockstepError
from lockstep.files import read_yaml
from lockstep.garbage import collect_seldom
from lockstep.intervals import difference, intervals
from lockstep.workspace import PARAMS, import_from_workspace

# Where the types that a model of a shared server is made of may come from, beside the packages
# that the workspace's config names.
TRUSTED = {"numpy", "pandas", "scipy", "sklearn"}


def main(arguments: list[str]) -> None:
    """Compare.

    Args:
        arguments: A JSON file with what `compare` takes, and the one to write its answer to.
    """
    collect_seldom()
    request, answer = map(Path, arguments)
    import_from_workspace()
    try:
        found = compare(**json.loads(request.read_text(encoding="utf-8")))
    except Exception as error:  # the project's code, or a model's, may raise anything
        first = next(iter(str(error).strip().splitlines()), "")
        kind = "" if isinstance(error, LockstepError) else f"{type(error).__name__}: "
        found = {"problem": f"{kind}{first}"}
    answer.write_text(json.dumps(found), encoding="utf-8")


def compare(
    scoring: str,
    names: list[str],
    metric: str,
    confidence: float,
    resamples: int,
    predictions: str,
    champion: dict[str, Any],
) -> dict[str, Any]:
    """Measure the champion, and by how much the model differs from it.

    Args:
        scoring: The project's module, with `scorer(predictions, names)` and, for a champion that
            was tested on other data, `predict(model, test, cfg)`.
        names: The metrics to measure the champion by.
        metric: The one whose difference gets an interval.
        confidence: Of the interval.
        resamples: Of the bootstrap.
        predictions: The Parquet file of the model's.
        champion: Its `predictions`; or `model`, the folder of the MLflow model, with `test`,
            `params`, and `own`, whether it comes from a store that is this project's alone.

    Returns:
        metrics, difference and interval of a `Comparison`, or its problem.
    """
    module = importlib.import_module(scoring)
    ours = pd.read_parquet(predictions)
    if "predictions" in champion:
        theirs = pd.read_parquet(champion["predictions"])
    else:
        from omegaconf import OmegaConf

        # What is trusted is what the workspace uses; other params.yaml come with a run.
        used = {name.partition(".")[0] for name in _targets(read_yaml(Path(PARAMS)))}
        model = _load(Path(champion["model"]), None if champion["own"] else TRUSTED | used)
        theirs = module.predict(model, Path(champion["test"]), OmegaConf.load(champion["params"]))
    if ours["actual"].tolist() != theirs["actual"].tolist():
        raise LockstepError("the predictions of the two are not of the same rows")
    first, second = module.scorer(ours, [metric]), module.scorer(theirs, [metric])
    differ = difference(first, second)
    found = intervals(differ, len(ours), confidence=confidence, resamples=resamples)
    everything = pd.RangeIndex(len(ours)).to_numpy()
    answer = {"metrics": module.scorer(theirs, names)(everything)}
    if metric not in found:
        raise LockstepError(f"{metric} is not defined for both, or in too few resamples")
    return {**answer, "difference": differ(everything)[metric], "interval": found[metric]}


def _load(folder: Path, trusted: set[str] | None) -> Any:
    """The champion's estimator; of a model that is none of scikit-learn's, the folder itself.

    What is pickled may run any code when it is loaded, and the types that a skops file is made of
    stand in an MLmodel that comes from the same hands. So of a server that others write to, only
    skops is loaded, and of types only those from packages that this project uses anyway. That is a
    fence, not a sandbox. The embedded store is as trusted as the folder that it is in.

    Args:
        folder: An MLflow model.
        trusted: The packages whose types are accepted; None: the store is the project's own.
    """
    flavors = yaml.safe_load((folder / "MLmodel").read_text(encoding="utf-8"))["flavors"]
    if (flavor := flavors.get("sklearn")) is None:
        return folder
    file = folder / flavor["pickled_model"]
    if flavor["serialization_format"] == "skops":
        import skops.io

        types = flavor.get("skops_trusted_types") or []
        if trusted is not None:
            foreign = [name for name in types if name.partition(".")[0] not in trusted]
            if foreign:
                raise LockstepError(
                    f"the champion is made of {', '.join(foreign)}, which this project does not use"
                )
        return skops.io.load(file, trusted=types)
    if trusted is not None:
        raise LockstepError(
            "the champion is pickled, and a pickle from a server could run any code here"
        )
    import cloudpickle

    with file.open("rb") as stream:
        return cloudpickle.load(stream)


def _targets(node: Any) -> list[str]:
    """The names of all that the config has Hydra instantiate."""
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    own = [node["_target_"]] if isinstance(node, dict) and "_target_" in node else []
    return [*own, *(name for child in children for name in _targets(child))]


if __name__ == "__main__":
    main(sys.argv[1:])

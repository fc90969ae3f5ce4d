"""Load a model that others may have written, without running code that came with it."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import yaml

from lockstep import LockstepError

# The packages whose types any project accepts, besides those that its own config names.
TRUSTED = frozenset({"numpy", "pandas", "scipy", "sklearn"})


def load_model(folder: Path, trusted: Collection[str] | None) -> Any:
    """Load the estimator of an MLflow model.

    A pickle may run any code when it is loaded, and the types in a skops file are listed in an
    MLmodel that comes from the same hands. So from a server that others write to, only skops is
    loaded, and only types from packages that this project uses anyway. This is a fence, not a
    sandbox. The embedded store is as trusted as the folder that it is in.

    Args:
        trusted: The packages whose types are accepted; None if the store is the project's own.

    Returns:
        The estimator; of a model that is not scikit-learn's, the folder.

    Raises:
        LockstepError: The model is not trusted.
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
                    f"the champion contains {', '.join(foreign)}, which this project does not use"
                )
        return skops.io.load(file, trusted=types)
    if trusted is not None:
        raise LockstepError(
            "the champion is pickled, and a pickle from a server could run any code here"
        )
    import cloudpickle

    with file.open("rb") as stream:
        return cloudpickle.load(stream)

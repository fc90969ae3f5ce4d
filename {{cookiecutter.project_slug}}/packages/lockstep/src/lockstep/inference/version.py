"""A version of a model, loaded: it checks rows, predicts, and knows where it came from."""

import json
import sys
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lockstep import LockstepError
from lockstep.adapters.sklearn import Answers, predict
from lockstep.adapters.trusted_model import (
    flavors_of,
    load_by_loader,
    load_model,
    loaded_by_own_code,
    needs_pickle,
)
from lockstep.inference.columns import Columns, Values, output_of
from lockstep.values import first_line

ABOUT = "version.json"  # beside MLmodel
_IMPORTS = threading.Lock()


@dataclass(frozen=True)
class About:
    """Where a version came from.

    Attributes:
        model: The name of the registered model; empty for a folder without one.
        run: The id of its run.
        commit: The commit that the work behind it started from.
        data: The md5s of the data that no stage made.
    """

    model: str = ""
    version: str = ""
    run: str | None = None
    commit: str | None = None
    data: tuple[str, ...] = ()

    @property
    def reproduce(self) -> str | None:
        """The command that rebuilds it."""
        if self.model and self.version:
            return f"uv run lockstep reproduce models:/{self.model}/{self.version}"
        return f"uv run lockstep reproduce {self.run}" if self.run else None

    def __str__(self) -> str:
        """Such as `penguins version 3`."""
        return f"{self.model} version {self.version}".strip() if self.version else self.model

    def write(self, folder: Path) -> None:
        """Write it beside the model."""
        (folder / ABOUT).write_text(json.dumps(asdict(self), indent=2), encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> "About":
        """What stands beside the model of a folder."""
        try:
            about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return cls(model=folder.name)
        return cls(**{**about, "data": tuple(about["data"])})


class Version:
    """A loaded version; it is never changed, so that requests may keep it.

    Attributes:
        columns: What it takes.
        example: A few rows that it predicted for, as JSON objects.
    """

    def __init__(self, about: About, columns: Columns, model: Any, folder: Path) -> None:
        self.about = about
        self.columns = columns
        self.output = output_of(folder)
        self.example = _example(folder)
        self._model = model

    @cached_property
    def classes(self) -> list[Any] | None:
        """The classes that it has probabilities for, in order."""
        if not hasattr(self._model, "predict_proba"):
            return None
        classes = getattr(self._model, "classes_", None)  # a list for several targets
        return None if classes is None or isinstance(classes, list) else list(classes.tolist())

    def predict(self, values: Values) -> Answers:
        """The predictions for checked values.

        Raises:
            Exception: What the model raises; ValueError if it refuses the rows.
        """
        return self.predict_table(self.columns.frame(values))

    def predict_table(self, table: Any) -> Answers:
        """The predictions for a table that `columns.fit` returned."""
        return predict(self._model, table, probabilities=self.classes is not None)

    def differences(self, newer: "Version") -> list[str]:
        """Why clients of this version could not go on with a newer one; empty if they can."""
        changes = self.columns.changes_to(newer.columns)
        if self.output != newer.output:
            changes.append("it predicts something else")
        return changes


def load(
    folder: Path, trusted: Collection[str], *, allow_code: bool, allow_pickle: bool
) -> Version:
    """Load a version, and let it predict for its own example.

    Args:
        folder: An MLflow model, with its signature.
        trusted: The names of the classes that it may contain, besides scikit-learn's models.
        allow_code: Whether to import Python code that comes with it.
        allow_pickle: Whether to load any type, and a pickle, which may run any code.

    Raises:
        LockstepError: It is not such a model, it is not trusted, or it cannot predict.
    """
    columns = Columns.of_model(folder)
    with _code_of(folder, allow=allow_code) as packages:
        if needs_pickle(folder) and not allow_pickle:
            raise LockstepError(
                "the model is neither in the format skops nor in a native one of its library, and "
                "loading it could run any code: add --allow-pickle if you trust its source"
            )
        model = _loaded(folder, {*trusted, *_own_types(folder, packages)}, allow_pickle)
        version = Version(About.read(folder), columns, model, folder)
        try:
            version.predict(columns.of_records(version.example)[0])
        except Exception as error:
            raise LockstepError(
                f"the model cannot predict for its own example: {type(error).__name__}: "
                f"{first_line(error)}"
            ) from error
    return version


def _loaded(folder: Path, trusted: Collection[str], allow_pickle: bool) -> Any:
    """The model, as something with `predict`."""
    if loaded_by_own_code(folder):
        return load_by_loader(folder)
    model = load_model(folder, None if allow_pickle else trusted)
    return load_by_loader(folder) if isinstance(model, Path) else model


def _own_types(folder: Path, packages: Collection[str]) -> set[str]:
    """The classes in a model that are of the code that comes with it."""
    types = flavors_of(folder).get("sklearn", {}).get("skops_trusted_types") or []
    return {name for name in types if name.partition(".")[0] in packages}


@contextmanager
def _code_of(folder: Path, *, allow: bool) -> Iterator[set[str]]:
    """Import the packages that come with a model from its folder, not those of another version."""
    code = folder / "code"
    packages = {path.stem for path in code.glob("*")} if code.is_dir() else set()
    if packages and not allow:
        raise LockstepError(
            f"the model comes with its own code ({', '.join(sorted(packages))}): add "
            "--allow-code to run it"
        )
    with _IMPORTS:
        for name in [name for name in sys.modules if name.partition(".")[0] in packages]:
            del sys.modules[name]
        sys.path.insert(0, str(code))
        try:
            yield packages
        finally:
            sys.path.remove(str(code))


def _example(folder: Path) -> list[dict[str, Any]]:
    """The rows that were logged with a model, with None where a value is missing."""
    try:
        content = json.loads((folder / "input_example.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    rows = [dict(zip(content["columns"], row, strict=True)) for row in content["data"]]
    # NaN is the one value that differs from itself.
    return [
        {name: None if value != value else value for name, value in row.items()} for row in rows
    ]

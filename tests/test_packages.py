"""The packages behind a config, and why two fits of a model differ."""

import importlib.metadata
from pathlib import Path
from typing import Any

import joblib
import pytest
from sklearn.linear_model import Ridge, SGDRegressor
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lockstep import LockstepError
from lockstep.adapters.difference import difference_of_files, differences
from lockstep.config.packages import extras_with, how_to_install, versions_behind

PYPROJECT = """
[project.optional-dependencies]
boosting = ["Cat_Boost>=1.2,<2", "lightgbm>=4.6 ; python_version > '3'"]
serve = ["lockstep[serve]"]
"""
ROWS = [[float(n), float(n % 3)] for n in range(12)]
TARGET = [float(n) for n in range(12)]


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    (tmp_path / "src/toy").mkdir(parents=True)
    return tmp_path


def test_the_packages_whose_classes_the_config_names_are_recorded(workspace: Path) -> None:
    params = {
        "environment": ["numpy"],
        "model": {"_target_": "lightgbm.LGBMRegressor"},
        "steps": [{"_target_": "sklearn.svm.SVR"}, {"_target_": "toy.Own"}],
        "sampler": {"_target_": "functools.partial"},
    }
    assert versions_behind(params, workspace) == {
        name: importlib.metadata.version(name) for name in ("numpy", "lightgbm", "scikit-learn")
    }


@pytest.mark.parametrize(
    ("uv", "extra", "other"),
    [
        ("/bin/uv", "`uv sync --extra boosting`", "`uv add absent_one`"),
        (None, "`pip install 'Cat_Boost>=1.2,<2'`", "`pip install absent_one`"),
    ],
)
def test_an_absent_package_comes_with_the_command_that_installs_it(
    uv: str | None, extra: str, other: str, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: uv)
    assert how_to_install("cat-boost", workspace) == extra
    with pytest.raises(LockstepError) as raised:
        versions_behind({"model": {"_target_": "absent_one.Model"}}, workspace)
    assert str(raised.value) == (
        f"conf/ names absent_one.Model, but absent_one is not installed: {other}"
    )


def test_the_extras_that_a_state_needs_are_those_of_its_packages(workspace: Path) -> None:
    assert extras_with({"lightgbm": "4.7", "numpy": "2.3"}, workspace) == ["boosting"]
    assert extras_with({"numpy": "2.3"}, workspace) == []


def fitted(model: Any) -> Any:
    return make_pipeline(StandardScaler(), model).fit(ROWS, TARGET)


def test_two_fits_differ_in_the_attributes_that_the_check_names(tmp_path: Path) -> None:
    one, other = (fitted(SGDRegressor(random_state=seed)) for seed in (0, 1))
    found = list(differences(one, other))
    assert found[0] == "steps[1][1].random_state (0, 1)"
    assert any(text.startswith("steps[1][1].coef_ (by up to ") for text in found)
    assert not any("steps[0]" in text for text in found)
    for name, model in (("one", one), ("other", other)):
        joblib.dump(model, tmp_path / name)
    assert difference_of_files(tmp_path / "one", tmp_path / "other") == found[0]
    assert difference_of_files(tmp_path / "one", tmp_path / "one") is None


def test_a_search_differs_in_its_times_alone() -> None:
    one, other = (fitted(GridSearchCV(Ridge(), {"alpha": [1.0, 2.0]}, cv=2)) for _ in "12")
    assert all("_time" in text for text in differences(one, other))


def test_a_difference_within_a_compiled_class_is_found() -> None:
    import lightgbm

    options: dict[str, Any] = {
        "min_child_samples": 1,
        "verbosity": -1,
        "n_jobs": 1,
        "n_estimators": 3,
    }
    one, other = (fitted(lightgbm.LGBMRegressor(max_depth=depth, **options)) for depth in (1, 3))
    assert any("_Booster" in text for text in differences(one, other))
    assert list(differences(one, one)) == []

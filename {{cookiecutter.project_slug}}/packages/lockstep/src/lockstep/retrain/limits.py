"""What keeps a model from being trained again just now: bad data, or too many retrainings."""

import time
from typing import TYPE_CHECKING

from lockstep.champion.alias import champion_of
from lockstep.mlflow import runs, tag
from lockstep.monitor.history import newest_window
from lockstep.values import counted

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from lockstep.project import Project
    from lockstep.retrain.settings import Settings

HOUR = 3600.0


def hindrance(project: "Project", client: "MlflowClient", settings: "Settings") -> str | None:
    """Why the model should not be trained again now; None if nothing speaks against it."""
    champion = champion_of(client, project.model_name)
    newest = newest_window(client, project, str(champion.run_id)) if champion else None
    if newest and "quality" in newest.kinds:
        return (
            "the newest window that `lockstep monitor` judged has invalid data, which are not to "
            "be learned: correct them, and judge them again"
        )
    ages = _hours_since_retrainings(project, client)
    if len(ages) >= settings.per_day:
        return (
            f"{counted(len(ages), 'retraining')} within 24 hours, and conf/retrain allows "
            f"{settings.per_day}"
        )
    if ages and ages[0] < settings.pause:
        return f"the last one was {ages[0]:.1f} h ago, and conf/retrain asks for {settings.pause} h"
    return None


def _hours_since_retrainings(project: "Project", client: "MlflowClient") -> list[float]:
    """How long ago the retrainings of the last 24 hours started, the newest first."""
    experiment_id = project.store.find_experiment_id(client)
    if experiment_id is None:
        return []
    since = int((time.time() - 24 * HOUR) * 1000)
    query = f"tags.`{tag.RETRAIN_REASON}` LIKE '%' AND attributes.start_time > {since}"
    found = runs.search(client, experiment_id, query)
    return sorted((time.time() - run.info.start_time / 1000) / HOUR for run in found)

"""What the pages of the experiment and of the registered model say."""

from typing import TYPE_CHECKING

from lockstep.champion.alias import champion_of
from lockstep.mlflow.front_page import OWN, runs_path, show_experiment, version_path
from lockstep.record.metrics import beside_baseline
from lockstep.values import first_line

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from lockstep.project import Project

ABOUT_MODEL = """\
The versions of the pipeline's model, each from the run that its page links.

- The alias `champion` is the version in use: `uv run lockstep promote VERSION` moves it if the gate
  passes, `uv run lockstep rollback` moves it back.
- MLflow's button "Promote model" does something else: it copies a version to another registered
  model. It moves no alias, and asks no gate.
"""


def update_front_page(
    client: "MlflowClient", project: "Project", metrics: dict[str, float] | None = None
) -> None:
    """Show the current champion, links and commands on the experiment's page.

    Args:
        metrics: Those of the newest run, for the table and the charts of all. None keeps these.
    """
    experiment_id = project.store.experiment_id(client)
    lines = [_champion_line(client, project), "", *_links(project, experiment_id), "", *COMMANDS]
    names = [name for name, _, _ in beside_baseline(metrics or {})]
    show_experiment(client, experiment_id, "\n".join(lines), names)


def _champion_line(client: "MlflowClient", project: "Project") -> str:
    name = str(project.registry.get("name", ""))
    champion = champion_of(client, name) if name else None
    if champion is None:
        return f"{OWN}: none yet"
    number = str(champion.version)
    summary = first_line(champion.description or "").rstrip()
    return f"{OWN}: [version {number}]({version_path(name, number)[1:]}), {summary}"


def _links(project: "Project", experiment_id: str) -> list[str]:
    target = (project.params.get("data") or {}).get("target")
    about = f" that predict `{target}`" if target else ""
    name = project.registry.get("name")
    model = [f"[registered model](#/models/{name})"] if name else []
    links = " · ".join([f"[table of results]({runs_path(experiment_id)[1:]})", *model])
    return [f"Runs of the pipeline in `dvc.yaml`{about}: {links}"]


COMMANDS = [
    "- try something: `uv run dvc exp run -S model=...`; the files in `conf/` say what there is",
    "- one page about a run: `uv run lockstep report RUN`",
    "- rebuild it and compare: `uv run lockstep reproduce RUN`",
    "- make a version the champion: `uv run lockstep promote VERSION`",
]

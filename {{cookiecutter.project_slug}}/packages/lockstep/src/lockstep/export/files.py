"""The file of a DAG, for Airflow or Dagster: plain Python that imports nothing of ours.

A scheduler reads such a file again and again, so nothing is computed in it.
"""

from collections.abc import Sequence
from pathlib import Path

from lockstep.export.dag import Task

AIRFLOW = '''\
"""{name}: written by `lockstep export airflow`; Airflow 3 or newer."""

from datetime import timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

PROJECT = {project!r}
TASKS = {tasks}

# The tasks share the project's folder, and DVC locks it: one runs at a time.
with DAG(
    {name!r},
    schedule={schedule!r},
    catchup=False,
    max_active_runs=1,
    max_active_tasks=1,
    default_args={{"retries": 1, "retry_delay": timedelta(minutes=5)}},
) as dag:
    made = {{
        name: BashOperator(task_id=name, bash_command=command, cwd=PROJECT, append_env=True)
        for name, (command, _) in TASKS.items()
    }}
    for name, (_, before) in TASKS.items():
        for other in before:
            made[other] >> made[name]
'''

DAGSTER = '''\
"""{name}: written by `lockstep export dagster`."""

import subprocess

from dagster import (
    AssetExecutionContext,
    AssetsDefinition,
    AssetSelection,
    Definitions,
    ScheduleDefinition,
    asset,
    define_asset_job,
    in_process_executor,
)

PROJECT = {project!r}
TASKS = {tasks}


def task(name: str, command: str, before: list[str]) -> AssetsDefinition:
    """An asset that is made by a command in the project's folder."""

    @asset(name=name, deps=before, group_name="lockstep")
    def made(context: AssetExecutionContext) -> None:
        context.log.info(command)
        subprocess.run(command, cwd=PROJECT, shell=True, check=True)

    return made


# The tasks share the project's folder, and DVC locks it: one runs at a time.
job = define_asset_job({job!r}, AssetSelection.all(), executor_def=in_process_executor)
defs = Definitions(
    assets=[task(name, command, before) for name, (command, before) in TASKS.items()],
    jobs=[job],
    schedules=[ScheduleDefinition(job=job, cron_schedule={schedule!r})],
)
'''
TEMPLATES = {"airflow": AIRFLOW, "dagster": DAGSTER}


def dag_file(tool: str, name: str, project: Path, tasks: Sequence[Task], schedule: str) -> str:
    """The text of the file.

    Args:
        tool: One of `TEMPLATES`.
        name: Of the DAG.
        project: The project's folder where the tasks run.
        schedule: In the syntax of cron.
    """
    if tool == "dagster":  # whose names have no dashes
        tasks = [Task(_plain(t.name), t.command, [_plain(one) for one in t.after]) for t in tasks]
    lines = "".join(f"    {task.name!r}: ({task.command!r}, {task.after!r}),\n" for task in tasks)
    return TEMPLATES[tool].format(
        name=name,
        job=_plain(name),
        project=str(project),
        tasks=f"{{\n{lines}}}",
        schedule=schedule,
    )


def _plain(name: str) -> str:
    return name.replace("-", "_")

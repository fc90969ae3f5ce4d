"""`lockstep export`: the work as a DAG file for Airflow or Dagster."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from lockstep.export.dag import cycle, stages
from lockstep.export.files import TEMPLATES, dag_file
from lockstep.project import Project

EXAMPLE = "lockstep export airflow --windows data/new -o ~/airflow/dags/bikes.py"


def add_arguments(parser: ArgumentParser) -> None:
    """The verb's own arguments."""
    parser.add_argument("tool", choices=list(TEMPLATES), help="the orchestrator")
    parser.add_argument(
        "--stages", action="store_true", help="a task for each DVC stage, not one whole cycle"
    )
    parser.add_argument(
        "--windows", help="a folder of new data, which the cycle judges before it trains"
    )
    parser.add_argument(
        "--schedule", default="17 3 * * *", help="in the syntax of cron (%(default)s)"
    )
    parser.add_argument(
        "--project", type=Path, help="where the project is on the orchestrator's machine"
    )
    parser.add_argument("-o", "--output", type=Path, help="the file to write (default: print it)")


def run(arguments: Namespace) -> None:
    """Write the file."""
    project = Project(Path.cwd())
    tasks = stages(project.root) if arguments.stages else cycle(arguments.windows)
    folder = arguments.project or project.root.resolve()
    text = dag_file(arguments.tool, project.model_name, folder, tasks, arguments.schedule)
    if arguments.output is None:
        print(text, end="")
        return
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(text, encoding="utf-8")
    print(f"wrote {arguments.output}")

"""`lockstep doctor`: check the project and what it depends on."""

import json
import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from lockstep.doctor.checks import CHECKS, import_libraries, named
from lockstep.doctor.checkup import Check, Finding, run_checks
from lockstep.project import Project
from lockstep.terminal import console

EXAMPLE = "lockstep doctor --json"
COLOURS = {"ok": "green", "warning": "yellow", "failed": "bold red", "skipped": "dim"}
Results = Iterable[tuple[Check, Finding]]


def add_arguments(parser: ArgumentParser) -> None:
    """The verb's own arguments."""
    parser.add_argument("--json", action="store_true", dest="as_json", help="print JSON")
    parser.add_argument("--strict", action="store_true", help="treat warnings as failures")
    parser.add_argument(
        "--only", metavar="CHECKS", help='only these checks, such as "git remote,DVC remote"'
    )


def run(arguments: Namespace) -> None:
    """Run the verb."""
    only = arguments.only.split(",") if arguments.only else None
    healthy = examine(Path.cwd(), as_json=arguments.as_json, strict=arguments.strict, only=only)
    sys.stdout.flush()
    # Python would wait for the thread of a check, or of a library, whose server never answers.
    os._exit(int(not healthy))


def examine(
    workspace: Path,
    *,
    as_json: bool = False,
    strict: bool = False,
    only: Iterable[str] | None = None,
) -> bool:
    """Run the checks and print their findings.

    A failure is what stops the next command or loses something; a warning, what is merely not done
    yet.

    Args:
        workspace: The project's folder.
        as_json: Print `{"healthy": …, "checks": […]}` in place of the table.
        strict: Count warnings as failures.
        only: The names of the checks; all of them by default.

    Returns:
        Whether the project is healthy.

    Raises:
        LockstepError: This is not a project, conf/ does not set where runs are kept, or there is no
            such check.
    """
    checks = CHECKS if only is None else named(name.strip() for name in only)
    project = Project(workspace)
    # Read before the threads start, which share them.
    _ = project.pipeline
    if any("mlflow" in check.imports for check in checks):
        _ = project.store
    import_libraries(checks)
    red = ("failed", "warning") if strict else ("failed",)
    if not as_json:
        findings = [_show(check, finding) for check, finding in run_checks(checks, project)]
        return not any(finding.state in red for finding in findings)
    results = list(run_checks(checks, project))
    healthy = not any(finding.state in red for _, finding in results)
    entries = [{"name": check.name, **asdict(finding)} for check, finding in results]
    print(json.dumps({"healthy": healthy, "checks": entries}, indent=2, ensure_ascii=False))
    return healthy


def _show(check: Check, finding: Finding) -> Finding:
    from rich.text import Text

    width = max(len(check.name) for check in CHECKS)
    state = Text(f"{finding.state:7}", COLOURS[finding.state])
    terminal = console()
    terminal.print(Text.assemble(f"{check.name:{width}}  ", state, f"  {finding.text}"))
    for command in finding.cure:
        terminal.print(f"{'':{width}}           $ {command}")
    return finding

"""`lockstep doctor`: check the project and what it depends on."""

import json
import os
import sys
from argparse import ArgumentParser, Namespace
from dataclasses import asdict
from pathlib import Path

from lockstep.doctor.checks import CHECKS, import_libraries, named
from lockstep.doctor.checkup import Check, Finding, run_checks
from lockstep.project import Project
from lockstep.terminal import console

EXAMPLE = "lockstep doctor --json"
COLOURS = {"ok": "green", "warning": "yellow", "failed": "bold red", "skipped": "dim"}


def add_arguments(parser: ArgumentParser) -> None:
    """The verb's own arguments."""
    parser.add_argument("--json", action="store_true", dest="as_json", help="print JSON")
    parser.add_argument("--strict", action="store_true", help="treat warnings as failures")
    parser.add_argument(
        "--only", metavar="CHECKS", help='only these checks, such as "git remote,DVC remote"'
    )


def run(arguments: Namespace) -> None:
    """Run the verb."""
    try:
        code = int(not _examine(arguments))
        sys.stdout.flush()
    except KeyboardInterrupt:
        code = 130
    # Python would wait for the thread of a check, or of a library, whose server never answers.
    os._exit(code)


def _examine(arguments: Namespace) -> bool:
    """Run the checks and print their findings; return whether the project is healthy.

    A failure is what stops the next command or loses something; a warning, what is merely not done
    yet.
    """
    only = arguments.only
    checks = named(name.strip() for name in only.split(",")) if only else CHECKS
    project = Project(Path.cwd())
    # Read before the threads start, which share them.
    _ = project.pipeline
    if any("mlflow" in check.imports for check in checks):
        _ = project.store
    import_libraries(checks)
    findings: dict[str, Finding] = {}
    for check, finding in run_checks(checks, project):
        findings[check.name] = finding
        if not arguments.as_json:
            _show(check, finding)
    red = ("failed", "warning") if arguments.strict else ("failed",)
    healthy = not any(finding.state in red for finding in findings.values())
    if arguments.as_json:
        entries = [{"name": name, **asdict(finding)} for name, finding in findings.items()]
        print(json.dumps({"healthy": healthy, "checks": entries}, indent=2, ensure_ascii=False))
    return healthy


def _show(check: Check, finding: Finding) -> None:
    from rich.text import Text

    width = max(len(check.name) for check in CHECKS)
    state = Text(f"{finding.state:7}", COLOURS[finding.state])
    terminal = console()
    terminal.print(Text.assemble(f"{check.name:{width}}  ", state, f"  {finding.text}"))
    for command in finding.cure:
        terminal.print(f"{'':{width}}           $ {command}")

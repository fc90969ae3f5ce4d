"""`lockstep doctor`: one table, a line a check, each problem with what mends it."""

import importlib
import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from lockstep.doctor import machine as workspace
from lockstep.doctor import servers as stores
from lockstep.doctor.checkup import Check, Finding, Project, run_checks
from lockstep.dvc.pipeline import Pipeline
from lockstep.mlflow.store import configure_mlflow, store_of

NETWORK_SECONDS = 10.0
COLOURS = {"ok": "green", "warning": "yellow", "failed": "bold red", "skipped": "dim"}
CHECKS = [
    Check("git identity", workspace.identity),
    Check("git remote", stores.git_remote, seconds=NETWORK_SECONDS),
    Check("git hooks", workspace.hooks),
    Check("Python", workspace.python),
    Check("environment", workspace.lock),
    Check("params.yaml", workspace.params),
    Check("dvc.lock", workspace.record),
    Check("DVC cache", stores.cache),
    Check("DVC remote", stores.dvc_remote, needs="DVC cache", seconds=NETWORK_SECONDS),
    Check("MLflow", stores.mlflow, seconds=NETWORK_SECONDS),
    Check("artifacts", stores.artifacts, needs="MLflow", seconds=NETWORK_SECONDS),
    Check("registry", stores.registry, needs="MLflow", seconds=NETWORK_SECONDS),
    Check("runs", stores.runs, needs="MLflow", seconds=NETWORK_SECONDS),
    Check("disk", workspace.disk, needs="DVC cache"),
]


def examine(root: Path, *, as_json: bool = False, strict: bool = False) -> int:
    """Look at everything, and print what was found.

    A failure is what will stop the next command or lose something; a warning, what is merely not
    done yet.

    Args:
        root: The project.
        as_json: Print `{"healthy": …, "checks": […]}` in place of the table.
        strict: Count warnings as failures.

    Returns:
        0 when the project is healthy, else 1.

    Raises:
        LockstepError: This is no project, or conf/ does not say where runs are kept.
    """
    Pipeline(root)  # says so where there is none
    project = Project(root, store_of(root))
    # These take their time, which no check should be charged with.
    configure_mlflow()
    for client in ("dvc.repo", "mlflow"):
        importlib.import_module(client)
    results = run_checks(CHECKS, project)
    findings = _as_json(results, strict=strict) if as_json else _as_table(results)
    return int(not _healthy(findings, strict=strict))


def _healthy(findings: Iterable[Finding], *, strict: bool) -> bool:
    red = ("failed", "warning") if strict else ("failed",)
    return not any(finding.state in red for finding in findings)


def _as_table(results: Iterable[tuple[Check, Finding]]) -> list[Finding]:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    width = max(len(check.name) for check in CHECKS)
    findings = []
    for check, finding in results:
        findings.append(finding)
        state = Text(f"{finding.state:7}", COLOURS[finding.state])
        console.print(Text.assemble(f"{check.name:{width}}  ", state, f"  {finding.text}"))
        for command in finding.cure:
            console.print(Text(f"{'':{width}}           $ {command}"))
    return findings


def _as_json(results: Iterable[tuple[Check, Finding]], *, strict: bool) -> list[Finding]:
    found = list(results)
    findings = [finding for _, finding in found]
    checks = [{"name": check.name, **asdict(finding)} for check, finding in found]
    healthy = _healthy(findings, strict=strict)
    print(json.dumps({"healthy": healthy, "checks": checks}, indent=2, ensure_ascii=False))
    return findings

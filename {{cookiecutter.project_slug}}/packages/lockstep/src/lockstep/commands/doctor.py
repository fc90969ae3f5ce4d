"""`lockstep doctor`: check the project and what it depends on."""

import os
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

EXAMPLE = "lockstep doctor --json"


def add_arguments(parser: ArgumentParser) -> None:
    """The verb's own arguments."""
    parser.add_argument("--json", action="store_true", dest="as_json", help="print JSON")
    parser.add_argument("--strict", action="store_true", help="treat warnings as failures")


def run(arguments: Namespace) -> None:
    """Run the verb."""
    from lockstep.doctor.doctor import examine

    code = examine(Path.cwd(), as_json=arguments.as_json, strict=arguments.strict)
    sys.stdout.flush()
    # Python would wait for the thread pools of a library whose server never answers.
    os._exit(code)

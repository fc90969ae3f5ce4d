"""Move the alias `champion`: `lockstep promote` and `lockstep rollback`."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lockstep import LockstepError
from lockstep.champion.alias import CHAMPION, history_of, move
from lockstep.dvc.environment import project_root
from lockstep.dvc.pipeline import Pipeline
from lockstep.files import read_yaml
from lockstep.gate.candidate import candidate_of_run
from lockstep.gate.comparison import compared, rules_of, tags_of, tell_run
from lockstep.gate.rules import judge
from lockstep.mlflow import tag
from lockstep.mlflow.registry import describe_version, version_with_alias
from lockstep.mlflow.store import Store
from lockstep.workspace import PARAMS

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion


class Registry:
    """The registered model of a project."""

    def __init__(self, workspace: Path) -> None:
        """Find it; nothing is opened yet.

        Raises:
            LockstepError: The config names no registered model.
        """
        params = read_yaml(workspace / PARAMS) or {}
        self.workspace = workspace
        self.config: dict[str, Any] = params.get("registry") or {}
        if "tracking" not in params or not self.config.get("name"):
            raise LockstepError(f"{PARAMS} names no registered model: run `dvc repro`")
        self.name = str(self.config["name"])
        self.root = project_root(workspace)
        self.store = Store(self.root, params["tracking"])

    def version(self, client: "MlflowClient", wanted: str) -> "ModelVersion":
        """A version, by number or alias.

        Raises:
            LockstepError: There is none.
        """
        from mlflow.exceptions import MlflowException

        found = None
        try:
            found = (
                client.get_model_version(self.name, wanted)
                if wanted.isdecimal()
                else version_with_alias(client, self.name, wanted)
            )
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
        if found is None:
            raise LockstepError(
                f"{self.name} has no version {wanted}\n`lockstep models` lists those that it has"
            )
        return found


def promote(workspace: Path, wanted: str | None, *, force: bool, reason: str | None) -> int:
    """Make a version the champion if its gate passes.

    A verdict holds for the champion and the rules that it was reached with; the version is judged
    again when one of them is another by now. Where a gate could not decide, who promotes does.

    Args:
        workspace: The project's folder.
        wanted: The version's number, or an alias; None: the one that the newest version gets.
        force: Whatever the gate says.
        reason: Recorded with the version.

    Returns:
        0 when it is the champion; 1 when its gate failed, or another one was promoted meanwhile.
    """
    if force and not reason:
        raise LockstepError('--force is recorded with a reason: add --reason "..."')
    registry = Registry(workspace)
    with registry.store.errors_explained():
        client = registry.store.client()
        version = registry.version(client, wanted or str(registry.config.get("alias")))
        number = str(version.version)
        champion = version_with_alias(client, registry.name, CHAMPION)
        before = str(champion.version) if champion else None
        if before != number:
            verdict, reasons = _verdict(client, registry, version, champion)
            if verdict != "none":
                print("\n".join([f"{registry.name} version {number}: gate {verdict}", *reasons]))
            if verdict == "failed" and not force:
                print(
                    "not promoted; to do it all the same: "
                    f'`lockstep promote {number} --force --reason "..."`'
                )
                return 1
            if force:
                reason = f"{reason} (forced, the gate: {verdict})"
        moved = move(client, registry.root, version, before, reason=reason)
    if before == number:
        print(f"{registry.name}: version {number} is the {CHAMPION} already")
        return 0
    if not moved:
        print(
            f"not promoted: the champion was version {before or 'none'} a moment ago, and is "
            f"another by now\n`lockstep promote {number}` judges against that one"
        )
        return 1
    print(f"{registry.name}: {CHAMPION} is version {number}, before it was {before or 'none'}")
    return 0


def rollback(workspace: Path, reason: str | None) -> int:
    """Return to the champion before this one, at once and without a gate.

    It undoes the last promotion; a second rollback the one before that, and so on. To go forward
    again, promote. Of two people who roll back at the same moment, one is told that it is done.

    Args:
        workspace: The project's folder.
        reason: Recorded with the version.

    Returns:
        0 when it is done; 1 when somebody else moved the champion meanwhile.

    Raises:
        LockstepError: There was no champion before this one.
    """
    registry = Registry(workspace)
    with registry.store.errors_explained():
        client = registry.store.client()
        champion = version_with_alias(client, registry.name, CHAMPION)
        before = str(champion.version) if champion else None
        earlier = [number for number in history_of(client, registry.name) if number != before]
        if not earlier:
            raise LockstepError(
                f"{registry.name} has no earlier champion to return to\n"
                "`lockstep models` lists its versions, `lockstep promote` chooses one"
            )
        version = registry.version(client, earlier[-1])
        moved = move(client, registry.root, version, before, reason=reason, back=True)
    if not moved:
        print("not rolled back: somebody else moved the champion just now\n`lockstep models`")
        return 1
    print(f"{registry.name}: {CHAMPION} is version {version.version} again, no longer {before}")
    return 0


def _verdict(
    client: "MlflowClient",
    registry: Registry,
    version: "ModelVersion",
    champion: "ModelVersion | None",
) -> tuple[str, list[str]]:
    """The verdict that holds now, and its reasons."""
    rules = rules_of(registry.config)
    if rules is None:
        return "none", []
    tags = version.tags
    opponent = str(champion.version) if champion else "none"
    if (tags.get(tag.GATE_CHAMPION), tags.get(tag.RULES)) == (opponent, rules.digest) and (
        tag.VERDICT in tags
    ):
        return tags[tag.VERDICT], tags[tag.REASONS].splitlines()
    if not version.run_id:
        return "failed", [f"version {version.version} has no run, so nothing is known of it"]
    pipeline = Pipeline(registry.workspace)
    with tempfile.TemporaryDirectory() as folder:
        candidate = candidate_of_run(client, version.run_id, pipeline, Path(folder))
        with compared(client, registry.store, candidate, champion, rules) as comparison:
            verdict = judge(candidate.metrics, candidate.evaluation, comparison(), rules)
    tell_run(client, version.run_id, verdict)
    describe_version(client, version, tags_of(verdict), verdict.note[: tag.VERSION_TAG_LENGTH])
    return verdict.outcome, verdict.reasons

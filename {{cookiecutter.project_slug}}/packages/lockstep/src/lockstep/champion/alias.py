"""The alias `champion`: who has it, who had it, and how it moves."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from lockstep.git import git
from lockstep.mlflow import tag
from lockstep.mlflow.registry import named, set_alias, version_with_alias
from lockstep.record.provenance import user_name
from lockstep.workspace import lock_file

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

CHAMPION = "champion"
REMEMBERED = 50
LOCK_SECONDS = 60


def move(
    client: "MlflowClient",
    root: Path,
    version: "ModelVersion",
    before: str | None,
    *,
    reason: str | None = None,
    back: bool = False,
) -> bool:
    """Move the alias `champion`, unless somebody else did since.

    On one machine a lock of the project's makes this safe. MLflow has no compare-and-set, so
    between machines that share a server there is a moment, some milliseconds long, in which both
    see the old champion: the alias then is the later one's, which is told so; the earlier one is
    told of it only if the alias had changed by the time that it looks once more. The alias itself
    is never torn, and who moved it is on both versions.

    The alias goes first, the record of it second: what an interruption leaves out, the same command
    adds when it is given again.

    Args:
        client: Of the store.
        root: The project's own folder.
        version: The champion to be.
        before: The number of the one that was found, and judged against; None when none was.
        reason: Recorded with the version.
        back: Whether this returns to an earlier one.

    Returns:
        Whether the version is the champion now.
    """
    from filelock import FileLock  # a publish of what is there already need not wait for it

    name, number = version.name, str(version.version)

    def champion() -> str | None:
        found = version_with_alias(client, name, CHAMPION)
        return str(found.version) if found else None

    with FileLock(lock_file(root, "registry"), timeout=LOCK_SECONDS):
        history = history_of(client, name)
        if champion() != number:
            if champion() != before:
                return False
            set_alias(client, name, CHAMPION, number)
        elif history[-1:] == [number]:
            return True  # and on record
        if before == number:  # what was interrupted before it was on record
            before = history[-1] if history else None
        now, who = datetime.now(UTC).isoformat(timespec="seconds"), actor(root)
        tags = {"since": now, "by": who, "from": before or "none", "reason": reason or "none given"}
        for key, value in tags.items():
            client.set_model_version_tag(name, number, f"{CHAMPION}.{key}", value)
        if before:
            ended = f"{now} by {who}: version {number} {'is back' if back else 'took over'}"
            client.set_model_version_tag(name, before, f"{CHAMPION}.until", ended)
        if back:
            history = history[: _last(history, number)]
        elif before and history[-1:] != [before]:
            history.append(before)  # made champion by other means, such as the MLflow UI
        kept = " ".join([*history, number][-REMEMBERED:])
        client.set_registered_model_tag(name, tag.CHAMPION_HISTORY, kept)
        return champion() == number


def actor(root: Path) -> str:
    """Name and address as git has them; else the user's name on this machine."""
    name, email = (git("config", f"user.{key}", cwd=root) for key in ("name", "email"))
    return f"{name or user_name()} <{email}>" if email else name or user_name()


def history_of(client: "MlflowClient", name: str) -> list[str]:
    """The champions one after the other, but for versions that were deleted since."""
    known = {str(version.version) for version in client.search_model_versions(named(name))}
    recorded = client.get_registered_model(name).tags.get(tag.CHAMPION_HISTORY, "") if known else ""
    return [number for number in recorded.split() if number in known]


def _last(history: list[str], number: str) -> int:
    """The position of a version's last time as champion."""
    return len(history) - 1 - history[::-1].index(number)

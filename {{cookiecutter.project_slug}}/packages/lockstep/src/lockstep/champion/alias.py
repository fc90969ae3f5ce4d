"""The alias `champion`: which version has it, which ones had it, and how it moves."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from lockstep.git import identity
from lockstep.mlflow import tag
from lockstep.mlflow.registry import find_version, named, set_alias
from lockstep.record.provenance import user_name
from lockstep.workspace import one_at_a_time

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

CHAMPION = "champion"
REMEMBERED = 50  # champions in the history
LOCK_SECONDS = 60
BUSY = f"another process has been moving the champion for {LOCK_SECONDS} s: try again"


def champion_of(client: "MlflowClient", name: str) -> "ModelVersion | None":
    """The champion of a registered model; None if there is none."""
    return find_version(client, name, CHAMPION)


def number_of(version: "ModelVersion | None") -> str | None:
    """The number of a version, as text."""
    return str(version.version) if version else None


def move(
    client: "MlflowClient",
    root: Path,
    version: "ModelVersion",
    previous: str | None,
    *,
    reason: str | None = None,
    back: bool = False,
) -> bool:
    """Move the alias `champion`, unless somebody else moved it in the meantime.

    On one machine a lock in the project makes this safe. MLflow has no compare-and-set, so when two
    machines share a server, both may see the old champion within the same milliseconds: the alias
    then belongs to the later one, and the earlier one may report success. The alias itself is
    always valid, and both versions record who moved it.

    The alias is set first and recorded second: repeating the command adds what an interruption left
    out.

    Args:
        previous: The number of the champion that the version was judged against; None if there was
            none.
        back: Whether this returns to an earlier champion.

    Returns:
        Whether the version is the champion now.
    """
    name, number = version.name, str(version.version)
    with one_at_a_time(root, "registry", BUSY, LOCK_SECONDS):
        history = history_of(client, name)
        current = number_of(champion_of(client, name))
        if current not in (number, previous):
            return False
        if current != number:
            set_alias(client, name, CHAMPION, number)
        elif history[-1:] == [number]:
            return True  # an earlier call moved and recorded it
        if previous == number:  # an interrupted command did not record it
            previous = history[-1] if history else None
        _record(client, version, previous, identity(root) or user_name(), reason, back=back)
        kept = _history_after(history, number, previous, back=back)[-REMEMBERED:]
        client.set_registered_model_tag(name, tag.CHAMPION_HISTORY, " ".join(kept))
        return number_of(champion_of(client, name)) == number


def _record(
    client: "MlflowClient",
    version: "ModelVersion",
    previous: str | None,
    by: str,
    reason: str | None,
    *,
    back: bool,
) -> None:
    """Record on both versions who made one the champion after the other, when and why."""
    name, number = version.name, str(version.version)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    tags = {"since": now, "by": by, "from": previous or "none", "reason": reason or "none given"}
    for key, value in tags.items():
        client.set_model_version_tag(name, number, f"{CHAMPION}.{key}", value)
    if previous:
        ended = f"{now} by {by}: version {number} {'is back' if back else 'took over'}"
        client.set_model_version_tag(name, previous, f"{CHAMPION}.until", ended)


def history_of(client: "MlflowClient", name: str) -> list[str]:
    """The numbers of all champions, oldest first, except for versions that were deleted since."""
    known = {str(version.version) for version in client.search_model_versions(named(name))}
    recorded = client.get_registered_model(name).tags.get(tag.CHAMPION_HISTORY, "") if known else ""
    return [number for number in recorded.split() if number in known]


def _history_after(
    history: list[str], number: str, previous: str | None, *, back: bool
) -> list[str]:
    """The champions after a version became one: up to its last time if it is back."""
    if back:
        return history[: len(history) - history[::-1].index(number)]
    if previous and history[-1:] != [previous]:
        return [*history, previous, number]  # promoted by other means, such as the MLflow UI
    return [*history, number]

"""Tell people of an alarm, once, by the channels in the environment variable LOCKSTEP_NOTIFY.

Its URLs often hold a password, so they do not belong in conf/.
"""

import os
from collections.abc import Sequence

from lockstep.monitor.result import Result

VARIABLE = "LOCKSTEP_NOTIFY"


def news(result: Result, earlier: Sequence[Result]) -> str | None:
    """What a result changes; None if the one before it said the same.

    Args:
        earlier: The results before it, the oldest first.
    """
    before = earlier[-1] if earlier else None
    subjects = _subjects(result)
    if result["verdict"] == "alarm":
        known = (
            before is not None and before["verdict"] == "alarm" and _subjects(before) == subjects
        )
        return None if known else f"{result['window']}: alarm: {', '.join(subjects)}"
    ended = before is not None and before["verdict"] == "alarm"
    return f"{result['window']}: the alarm is over" if ended else None


def notify(title: str, text: str) -> str | None:
    """Send a message to all channels.

    Returns:
        What went wrong, in a line; None if nothing did, or no channel is set.
    """
    urls = os.environ.get(VARIABLE, "").split()
    if not urls:
        return None
    try:
        import apprise
    except ImportError:
        return f"{VARIABLE} is set, but Apprise is not installed: run `uv sync --extra notify`"
    channels = apprise.Apprise()
    if not channels.add(urls):
        return f"{VARIABLE} has a URL that Apprise does not understand"
    sent = channels.notify(title=title, body=text)
    return None if sent else f"a channel in {VARIABLE} did not take the message"


def _subjects(result: Result) -> list[str]:
    return sorted({item["subject"] for item in result["findings"]})

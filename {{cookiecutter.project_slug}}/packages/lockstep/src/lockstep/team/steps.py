"""The steps of a push or pull: one line each, and what is left when one of them fails.

A step that is repeated finds what it did before. So whoever was interrupted runs the command again.
"""

from collections.abc import Callable

from lockstep import LockstepError

# By name: does the step, and returns a line that reports what it did.
Steps = dict[str, Callable[[], str]]


def take(steps: Steps, command: str) -> None:
    """Take the steps in order, and print a line for each.

    Args:
        steps: The steps.
        command: The command that continues after an interruption.

    Raises:
        LockstepError: A step failed; with what is left, and how to continue.
    """
    width = max(len(name) for name in steps)
    done: list[str] = []
    for name, step in steps.items():
        left = ", ".join(other for other in steps if other not in done)
        try:
            print(f"{name:{width}}  {step()}", flush=True)
        except LockstepError as error:
            raise LockstepError(
                f"{name}: {error}\n"
                f"done: {', '.join(done) or 'nothing'}; left: {left}\n"
                f"then continue with: {command}"
            ) from error
        except KeyboardInterrupt:
            print(f"\ninterrupted; left: {left}\ncontinue with: {command}", flush=True)
            raise
        done.append(name)

"""The steps of a push or pull: one line each, and what is left when one of them fails.

A repeated step finds what it did before, so after an interruption the command can be run again.
"""

from collections.abc import Callable

from lockstep import LockstepError

# By name, a function that does the step and returns a line about what it did.
Steps = dict[str, Callable[[], str]]


def take(steps: Steps, command: str) -> None:
    """Take the steps in order, and print a line for each.

    Args:
        command: The command that continues after an interruption.

    Raises:
        LockstepError: A step failed; with what is left, and how to continue.
    """
    names = list(steps)
    width = max(map(len, names))
    for position, name in enumerate(names):
        done, left = ", ".join(names[:position]), ", ".join(names[position:])
        try:
            print(f"{name:{width}}  {steps[name]()}", flush=True)
        except LockstepError as error:
            raise LockstepError(
                f"{name}: {error}\n"
                f"done: {done or 'nothing'}; left: {left}\n"
                f"then continue with: {command}"
            ) from error
        except KeyboardInterrupt:
            print(f"\ninterrupted; left: {left}\ncontinue with: {command}", flush=True)
            raise

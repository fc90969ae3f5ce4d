"""How eagerly Python looks for garbage, in processes that import much and end soon.

MLflow and scikit-learn make 300,000 objects that stay. Going through them time and again while
more are made, and once more at the end, took a third of the time of a publish.
"""

import atexit
import contextlib
import gc
from collections.abc import Iterator

# So many objects more than before let it look; Python's own figure is 700, from 3.13 on 2,000.
OBJECTS = 50_000


def collect_seldom() -> None:
    """Look for garbage seldom, and at the end of the process not at all."""
    gc.set_threshold(OBJECTS)
    atexit.register(gc.freeze)


@contextlib.contextmanager
def importing() -> Iterator[None]:
    """Look for no garbage among what is imported, now or later; all else stays as Python has it.

    For the project's own code, which may count on cycles of large objects being found soon.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()

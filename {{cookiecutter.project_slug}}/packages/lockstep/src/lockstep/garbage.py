"""How often Python collects garbage, in processes that import much and end soon.

MLflow and scikit-learn create 300,000 objects that stay. Without this module, which saves going
through them again and again while more are created, and once more at exit, `lockstep run` of a
training of half a second and `lockstep publish` of a new state each take a quarter more CPU time.
"""

import atexit
import contextlib
import gc
from collections.abc import Iterator

OBJECTS = 50_000  # new ones between two collections; Python's default is 700, from 3.13 on 2,000


def collect_seldom() -> None:
    """Collect garbage seldom, and at the end of the process not at all."""
    gc.set_threshold(OBJECTS)
    atexit.register(gc.freeze)


@contextlib.contextmanager
def importing() -> Iterator[None]:
    """Exempt what is imported from garbage collection; all else stays Python's default.

    For the project's own code, which may rely on cycles of large objects being collected soon.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()

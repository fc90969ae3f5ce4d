"""Rarer garbage collection, for processes that import a lot and end soon.

Importing MLflow and scikit-learn creates 300,000 objects that stay. Python's collector would visit
them again and again, and once more at exit: without this module, `lockstep run` of a training of
half a second and `lockstep publish` of a new state each take a quarter more CPU time.
"""

import atexit
import contextlib
import gc
from collections.abc import Iterator

OBJECTS = 50_000  # new ones between two collections; Python's default is 700, from 3.13 on 2,000


def collect_seldom() -> None:
    """Collect garbage rarely, and not at all at exit."""
    gc.set_threshold(OBJECTS)
    atexit.register(gc.freeze)


@contextlib.contextmanager
def importing() -> Iterator[None]:
    """Exempt what is imported from garbage collection, which otherwise stays as usual.

    For the project's own code, which may rely on cycles of large objects being collected soon.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()

"""How heavy libraries are loaded."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quick_imports() -> Iterator[None]:
    """Import without garbage collections, and leave what was imported out of all later ones.

    Importing makes millions of objects and hardly any garbage: searching them for some took a fifth of the time, and
    every full collection afterwards as long as a short training.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()

"""Faster imports of heavy libraries."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quick_imports() -> Iterator[None]:
    """Import without garbage collection, and exclude the imported objects from all later collections.

    Imports create millions of objects and hardly any garbage: collections took a fifth of the import time, and each
    full collection afterwards as long as a short training.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()

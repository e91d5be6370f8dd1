"""Faster imports of heavy libraries."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from pipeline import interruption


@contextmanager
def quick_imports() -> Iterator[None]:
    """Import without garbage collection, and exclude the imported objects from all later collections.

    Imports create millions of objects and hardly any garbage: collections took a fifth of the import time, and each
    full collection afterwards as long as a short training. They take many seconds on a busy machine, and the first
    signal ends them at once.
    """
    gc.disable()
    try:
        with nullcontext() if interruption.received() else interruption.at_once():
            yield
    finally:
        gc.freeze()
        gc.enable()

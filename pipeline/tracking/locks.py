"""Locks between processes of this machine; the system takes them away with the process that holds them."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline import interruption

_LOOK_EVERY = 0.1  # seconds


def try_lock(descriptor: int) -> bool:
    """Lock an open file or folder; return whether no other process has."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def locked(folder: Path, patience: float) -> Iterator[bool]:
    """Hold the lock on a folder, which leaves no file; gives False if others hold it for `patience` seconds."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        deadline = time.monotonic() + patience
        while not (held := try_lock(descriptor)) and time.monotonic() < deadline:
            interruption.check()
            time.sleep(_LOOK_EVERY)
        yield held
    finally:
        os.close(descriptor)

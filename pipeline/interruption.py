"""Interruption by signals: the first sets a flag, which is looked at where a command can be left; a second one raises.

An exception raised wherever a signal happens to arrive would be lost in a finalizer, leave the tracking store locked in
the midst of a transaction, and turn into another one in compiled code.
"""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import psutil

_ONE = 1.0
"""Seconds within which signals count as one: a terminal and a parent process may both send theirs."""

_LOOK_EVERY = 0.1  # seconds


class _State:
    """What has been received, and whether signals raise at once."""

    def __init__(self) -> None:
        self.number: int | None = None
        self.since = 0.0
        self.at_once = False


_state = _State()


def watch_signals() -> None:
    """Handle SIGTERM and SIGINT from now on; SIGINT stays ignored where it is, as in a background job."""
    _state.number = None
    signal.signal(signal.SIGTERM, _receive)
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, _receive)


def received() -> int | None:
    """Return the number of the first signal, None where none has arrived."""
    return _state.number


def take() -> int | None:
    """Return the number of the first signal and forget it, since the command has ended."""
    number, _state.number = _state.number, None
    return number


def check() -> None:
    """Raise KeyboardInterrupt if a signal has arrived; to be called wherever the command can be left."""
    if _state.number is not None:
        raise KeyboardInterrupt


@contextmanager
def at_once() -> Iterator[None]:
    """Let the first signal raise where it arrives: for long work that can be left anywhere, such as reading data."""
    check()
    before, _state.at_once = _state.at_once, True
    try:
        yield
    finally:
        _state.at_once = before


@contextmanager
def passed_on() -> Iterator[None]:
    """Pass a signal on to the processes that this one has started, while it waits for them and looks at no flag."""
    check()
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(_LOOK_EVERY):
            if _state.number is not None and _terminate_children():
                return

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _terminate_children() -> bool:
    """Send SIGTERM to all processes below this one; return whether there were any."""
    children = psutil.Process().children(recursive=True)
    for child in children:
        try:
            child.terminate()
        except psutil.NoSuchProcess:
            continue
    return bool(children)


def _receive(number: int, frame: FrameType | None) -> None:
    now = time.monotonic()
    if _state.number is None:
        _state.number, _state.since = number, now
        if not _state.at_once:
            return
    elif now - _state.since < _ONE:
        return
    raise KeyboardInterrupt

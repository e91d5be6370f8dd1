"""Interruption by signals: the first sets a flag, which is checked at safe points; a second one raises at once.

An exception raised wherever a signal happens to arrive could be lost in a finalizer, leave the tracking store locked in
the middle of a transaction, or become another exception in compiled code.
"""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import psutil

HANDOVER = "LR_PIPELINE_HANDOVER"
"""The environment variable of a stage whose command waits for it, and says how it has ended."""

_SAME_SIGNAL = 1.0
"""Seconds within which signals count as one: a terminal and a parent process may both send theirs."""

_LOOK_EVERY = 0.1  # seconds


class Signalled(KeyboardInterrupt):
    """A signal has arrived.

    A type of its own: where KeyboardInterrupt itself passes through code that a compiled library executes, Python ends
    by SIGINT later, whatever exit code the command returns.
    """


class _State:
    """The first signal received, and whether signals raise at once."""

    def __init__(self) -> None:
        self.number: int | None = None
        self.since = 0.0
        self.at_once = False


_state = _State()


def watch_signals() -> None:
    """Handle SIGTERM and SIGINT from now on; SIGINT stays ignored if it is, as in a background job."""
    _state.number = None
    signal.signal(signal.SIGTERM, _receive)
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, _receive)


def received() -> int | None:
    """Return the number of the first signal, or None."""
    return _state.number


def take() -> int | None:
    """Return the number of the first signal and forget it, since the command has ended."""
    number, _state.number = _state.number, None
    return number


def stop() -> None:
    """Go on as if SIGTERM had arrived: a worker has no signals of its own."""
    _state.number = signal.SIGTERM


def check() -> None:
    """Raise Signalled if a signal has arrived. Called wherever it is safe to stop."""
    if _state.number is not None:
        raise Signalled


@contextmanager
def at_once() -> Iterator[None]:
    """Let the first signal raise at once: for long work that can safely stop anywhere, such as reading data."""
    check()
    before, _state.at_once = _state.at_once, True
    try:
        yield
    finally:
        _state.at_once = before


@contextmanager
def passed_on() -> Iterator[None]:
    """Forward signals to the processes below this one, while it waits for them and checks no flag."""
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
        _hurry_requests()
        if not _state.at_once and not _waits_for_server(frame):
            return
    elif now - _state.since < _SAME_SIGNAL:
        return
    raise Signalled


def _waits_for_server(frame: FrameType | None) -> bool:
    """Return whether the program is in the midst of a request, which may take minutes and can be left anywhere."""
    while frame is not None:
        if frame.f_globals.get("__name__", "").startswith("urllib3."):
            return True
        frame = frame.f_back
    return False


def _hurry_requests() -> None:
    """Let what is still to be said to an MLflow server be said once and soon, or not at all."""
    os.environ.update(MLFLOW_HTTP_REQUEST_MAX_RETRIES="0", MLFLOW_HTTP_REQUEST_TIMEOUT="1")

"""Interruption by signals: SIGTERM ends a command as Ctrl-C does, where the command can be left."""

import signal
from types import FrameType

_AGAIN = 0.02
"""Seconds until an interruption that was put off is tried again."""

_DELICATE = ("sqlalchemy", "alembic", "matplotlib", "weakref", "_weakrefset")
"""Packages not to be left half-way: a database stays locked, and compiled drawing code and callbacks of weak references
turn the exception into another one or lose it."""


def raise_when_interrupted() -> list[int]:
    """Let SIGTERM and SIGINT raise KeyboardInterrupt in the main thread; returns the list of signals received.

    Python's own handler raises wherever the thread happens to be. In a finalizer that exception is lost and the command
    goes on; in the midst of a transaction it leaves the tracking store locked for what has to be written then. So there
    it is put off by moments.
    """
    received: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        if number != signal.SIGALRM:
            received.append(number)
        if _is_delicate(frame):
            signal.signal(signal.SIGALRM, interrupt)
            signal.setitimer(signal.ITIMER_REAL, _AGAIN)
            return
        signal.setitimer(signal.ITIMER_REAL, 0)
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # as in a background job
        signal.signal(signal.SIGINT, interrupt)
    return received


def _is_delicate(frame: FrameType | None) -> bool:
    while frame is not None:
        package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        if frame.f_code.co_name == "__del__" or package in _DELICATE:
            return True
        frame = frame.f_back
    return False

"""How long requests to a tracking server are repeated; nothing else waits."""

import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from pipeline import interruption

_RETRIES, _TIMEOUT = "MLFLOW_HTTP_REQUEST_MAX_RETRIES", "MLFLOW_HTTP_REQUEST_TIMEOUT"

USUAL = {_RETRIES: "3", _TIMEOUT: "8"}
"""A server that restarts is waited for, some fifteen seconds. Trainings go on without it."""

_FIRST = {_RETRIES: "2", _TIMEOUT: "5"}
"""A server that is there at all answers the first request soon."""


_LAST_WORD = 2
"""Seconds in which a server must answer a command that ends in failure."""

_NEVER = "0"
"""The timeout with which a request fails before it is made."""


def be_patient() -> None:
    """Repeat requests as usual from now on, unless the user has set something else."""
    for name, value in USUAL.items():
        os.environ.setdefault(name, value)


@contextmanager
def first_request() -> Iterator[None]:
    """Let requests fail soon while it is not known whether there is a server; what the user has set stays."""
    with _set({name: value for name, value in _FIRST.items() if os.environ.get(name) == USUAL[name]}):
        yield


@contextmanager
def one_attempt(seconds: int) -> Iterator[None]:
    """Let requests fail at the first attempt, and after so many seconds without an answer."""
    with _set({_RETRIES: "0", _TIMEOUT: str(seconds)}):
        yield


@contextmanager
def last_word() -> Iterator[None]:
    """Tell the store how work has ended, which it need not hear: if it does not answer, it is told nothing more."""
    try:
        with one_attempt(_LAST_WORD):
            yield
    except Exception:  # what has ended the work is what the user must know; the next command ends the run
        os.environ[_TIMEOUT] = _NEVER


@contextmanager
def _set(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    if interruption.received() is None and os.environ.get(_TIMEOUT) != _NEVER:  # else they are to end sooner still
        os.environ.update(values)
    try:
        yield
    finally:
        if interruption.received() is None:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})


class _AskedAgain(logging.Handler):
    """Says in a line that a server does not answer and is asked again, which MLflow does in silence or at length."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print the line in the place of urllib3's own."""
        if not record.msg.startswith("Retry"):
            return
        retries = record.args[0] if isinstance(record.args, tuple) else None
        left = f", {retries.total} more times at most" if hasattr(retries, "total") else ""
        print(f"lr-pipeline: the server of the tracking store does not answer: asked again{left}", file=sys.stderr)


def say_that_servers_are_asked_again() -> None:
    """Print a line whenever a request is repeated."""
    logger = logging.getLogger("urllib3.connectionpool")
    if not any(isinstance(handler, _AskedAgain) for handler in logger.handlers):
        logger.addHandler(_AskedAgain())
        logger.setLevel(logging.DEBUG)  # on which urllib3 tells of errors that a server answers with
        logger.propagate = False

"""What a failure outside this project means to the user: one line with what, where, and what to do."""

import errno
import sqlite3
from collections.abc import Iterator

import mlflow
import requests
import sqlalchemy.exc
from mlflow.exceptions import MlflowException, RestException

from pipeline.errors import describe
from pipeline.redaction import redacted

_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_DENIED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.EISDIR}
_AWAY = (requests.ConnectionError, requests.Timeout, requests.exceptions.RetryError)
_BUSY = (sqlite3.OperationalError, sqlalchemy.exc.OperationalError)
_PASSING = {401, 403, 429, 502, 503, 504}
"""Answers of a server that say nothing against what was sent."""
_LESS_MEMORY = "smaller data, a smaller network or a smaller batch_size need less"
_LIMITS = {
    errno.ENOMEM: _LESS_MEMORY,
    errno.EMFILE: "raise the limit (ulimit -n), then",
    errno.ENFILE: "let other programs close some, then",
    errno.EAGAIN: "raise the limit on processes (ulimit -u), or end some, then",
    errno.EIO: "the disk failed: look after it, then",
}
"""What there is to do about errors of the system that concern no permission and no space."""

_TENSORFLOW_MEMORY = "ResourceExhaustedError"
"""Known by its name: TensorFlow is not imported here."""

_AGAIN = "run the same command again to continue"

_SQLITE = {
    "disk is full": f"the disk is full: free some space, then {_AGAIN}",
    "disk i/o": f"the disk failed or is full: look after it, then {_AGAIN}",
    "locked": f"another process has kept it locked: when that has ended, {_AGAIN}",
    "readonly": f"it cannot be written to: permit that, or choose another store by MLFLOW_TRACKING_URI; then {_AGAIN}",
    "unable to open": f"the file or its folder cannot be used: permit that, or choose another store; then {_AGAIN}",
    "malformed": "the file is damaged: move it away, or put a copy of it back",
    "not a database": "the file is no database: move it away, or choose another store by MLFLOW_TRACKING_URI",
}
"""What SQLite's messages contain, and what there is to do."""


def explained(error: BaseException, opening: bool = False) -> str:
    """Return what to say about an error of the store, the disk or the network; "" for any other one.

    Args:
        error: with those that it came of.
        opening: whether it came of opening the store, so that any error is the store's.

    """
    causes = list(_chain(error))
    for explain in (_explain, _server):  # MLflow's own errors say least, and wrap the others
        if line := next(filter(None, map(explain, causes)), ""):
            return redacted(line)
    if opening:
        return redacted(f"{_store()} cannot be opened: {describe(error)}; MLFLOW_TRACKING_URI chooses another one")
    return ""


def is_away(error: BaseException) -> bool:
    """Return whether an error means that the tracking store cannot be asked at this time."""
    return any(isinstance(cause, (*_AWAY, *_BUSY)) for cause in _chain(error))


def may_pass(error: BaseException) -> bool:
    """Return whether the store may take later what it does not take now: it is away, busy, full or not permitted."""
    return any(
        isinstance(cause, (OSError, *_BUSY))
        or (isinstance(cause, MlflowException) and cause.get_http_status_code() in _PASSING)
        or _is_bare(cause)
        for cause in _chain(error)
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _explain(error: BaseException) -> str:
    if isinstance(error, sqlite3.Error | sqlalchemy.exc.DBAPIError):
        return _database(str(error))
    if isinstance(error, _AWAY):
        return f"{_store()} does not answer: start it or correct MLFLOW_TRACKING_URI; then {_AGAIN}"
    if isinstance(error, OSError) and error.errno in _DISK:
        return f"no space left for {error.filename or 'files'}: free some, then {_AGAIN}"
    if isinstance(error, OSError) and error.errno in _DENIED:
        return f"cannot write {error.filename or 'a file'} ({error.strerror}): permit that, then {_AGAIN}"
    if isinstance(error, OSError) and error.errno in _LIMITS:
        return f"{error.strerror}{f' at {error.filename}' if error.filename else ''}: {_LIMITS[error.errno]}; {_AGAIN}"
    if isinstance(error, MemoryError) or type(error).__name__ == _TENSORFLOW_MEMORY:
        return f"memory ran out: {_LESS_MEMORY}"
    return ""


def _database(message: str) -> str:
    found = next((advice for sign, advice in _SQLITE.items() if sign in message.lower()), None)
    return f"{_store()}: {found}" if found else ""


def _server(error: BaseException) -> str:
    """Return what a refused request means; what is not in MLflow's format is told by the message alone."""
    if isinstance(error, RestException) or _is_bare(error):
        return f"{_store()} refuses: {describe(error)}; look at its log, and at what MLFLOW_TRACKING_URI names"
    return ""


def _is_bare(error: BaseException) -> bool:
    """Return whether an answer is not in MLflow's format, as that of a proxy before the server."""
    return isinstance(error, MlflowException) and "API request to" in str(error)


def _store() -> str:
    return f"the tracking store {mlflow.get_tracking_uri()}"

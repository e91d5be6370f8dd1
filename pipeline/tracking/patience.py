"""How long requests to a tracking server are repeated; nothing else waits."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_REQUESTS = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "7", "MLFLOW_HTTP_REQUEST_TIMEOUT": "30"}
"""A server that restarts is waited for: about four minutes, and eight where it takes connections but is mute."""

_FIRST_REQUEST = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "5"}
"""A server that is there at all answers the first request soon."""


@contextmanager
def impatient() -> Iterator[None]:
    """Let requests fail soon while it is not known whether there is a server; what the user has set stays."""
    own = {name for name, value in _REQUESTS.items() if os.environ.get(name, value) == value}
    os.environ.update({name: _FIRST_REQUEST[name] for name in own})
    try:
        yield
    finally:
        os.environ.update({name: _REQUESTS[name] for name in own})


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

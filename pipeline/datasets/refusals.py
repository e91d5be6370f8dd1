"""How this package says no: what was wrong, what was received, what would be accepted, in one line."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import InputError

_TENSORFLOW_NODE = re.compile(r"\{\{.*?\}\}")
"""The place in the graph, which TensorFlow puts before the message and which says nothing to a user."""


def refusal(wrong: str, received: object, accepted: str) -> InputError:
    """Make the error for one fault of the user's input; the caller raises it."""
    return InputError(f"{wrong}: received {received}; accepted: {accepted}")


def describe(error: BaseException, limit: int = 200) -> str:
    """Give an exception's type and message in one line, the message cut at `limit` characters."""
    message = " ".join(_TENSORFLOW_NODE.sub("", str(error)).split())
    return f"{type(error).__name__}: {message[:limit]}" if message else type(error).__name__


def listed(names: Iterable[object], limit: int = 20) -> str:
    """Give names in quotes, separated by commas, the ones beyond `limit` as their number."""
    quoted = [repr(str(name)) for name in names]
    more = f" and {len(quoted) - limit} more" if len(quoted) > limit else ""
    return ", ".join(quoted[:limit]) + more


@contextmanager
def reading(path: Path, accepted: str) -> Iterator[None]:
    """Turn whatever a reader raises about the file at `path` into one `InputError` naming what is `accepted`.

    Every exception is caught: what NumPy, zlib, pandas and Arrow raise on damaged bytes is an open list, and at this
    place all of it means the same.
    """
    try:
        yield
    except InputError:
        raise
    except FileNotFoundError as error:
        raise refusal("no such file", path, accepted) from error
    except Exception as error:
        raise refusal(f"cannot read {path}", describe(error), accepted) from error

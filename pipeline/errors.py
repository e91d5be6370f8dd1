"""The error that means "the user's input is wrong", and how it is worded: what was wrong, received and accepted."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.redaction import redacted

_TENSORFLOW_NODE = re.compile(r"\{\{.*?\}\}")
"""The graph location that TensorFlow puts into its messages; it means nothing to a user."""


class InputError(ValueError):
    """The user's input is wrong: the command ends with this one line and exit code 2.

    The message names what was wrong, what was received and what would be accepted.
    """


class OutsideError(RuntimeError):
    """Something that the command needs has ended outside of it: the command ends with this one line and exit code 1."""


def refusal(wrong: str, received: object, accepted: str) -> InputError:
    """Return the error for one fault of the user's input, to be raised.

    A file's name may hold bytes that are no text, which no tracking store takes: they are escaped.
    """
    message = f"{wrong}: received {received}; accepted: {accepted}"
    return InputError(message.encode(errors="backslashreplace").decode())


def describe(error: BaseException, limit: int = 200) -> str:
    """Return an exception's type and message in one line, without secrets, the message cut at `limit` characters."""
    try:
        said = str(error)
    except Exception:  # an exception of the user's may not be able to say what it is
        said = ""
    message = redacted(" ".join(_TENSORFLOW_NODE.sub("", said).split()))  # before the cut, which might leave a part
    return f"{type(error).__name__}: {message[:limit]}" if message else type(error).__name__


def shortened(text: str, limit: int = 200) -> str:
    """Return a text, or if it is longer its beginning and an ellipsis."""
    return text if len(text) <= limit else f"{text[:limit]}..."


def listed(names: Iterable[object], limit: int = 20) -> str:
    """Return names in quotes, separated by commas; those beyond `limit` are only counted."""
    quoted = [repr(str(name)) for name in names]
    more = f" and {len(quoted) - limit} more" if len(quoted) > limit else ""
    return ", ".join(quoted[:limit]) + more


@contextmanager
def reading(path: Path | str, accepted: str) -> Iterator[None]:
    """Turn any exception raised while reading `path` into an InputError that names what is `accepted`.

    Every exception is caught: what NumPy, zlib, pandas and Arrow raise on damaged files is documented nowhere, and all
    of it means the same here.
    """
    try:
        yield
    except InputError:
        raise
    except FileNotFoundError as error:
        raise refusal("no such file", path, accepted) from error
    except Exception as error:
        raise refusal(f"cannot read {path}", describe(error), accepted) from error

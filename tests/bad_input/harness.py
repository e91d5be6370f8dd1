"""Running a command that must refuse its input, in this process."""

import hashlib
import re
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline import cli

STORE = ("mlflow.db", "mlruns")
"""What a command may write to before it knows that the data cannot be used."""


def refusal(arguments: Sequence[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Run a command and return the one line with which it refuses; it ends with code 2 and leaves files as they are."""
    before = _contents(Path.cwd())
    with own_signals():
        code = cli.main(arguments)
    out, err = capsys.readouterr()
    assert code == 2, f"{arguments} ended with {code}\n{out}\n{err}"
    assert err.endswith("\n")
    assert re.fullmatch(r"lr-pipeline: [^\n]+\n", err)
    assert "Traceback" not in out + err
    assert _contents(Path.cwd()) == before
    return err


def _contents(folder: Path) -> dict[str, str]:
    """Return the digest of each file of a folder, beside those of the tracking store."""
    files = (path for path in sorted(folder.rglob("*")) if path.relative_to(folder).parts[0] not in STORE)
    return {
        ascii(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        for path in files
    }


@contextmanager
def own_signals() -> Iterator[None]:
    """Give the process its own signal handlers back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

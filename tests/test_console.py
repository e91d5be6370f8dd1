"""What a stage prints while it is at work, on a terminal and elsewhere."""

import os
import pty
import re
import sys
import time
from pathlib import Path
from typing import IO

import pytest

from pipeline import console
from pipeline.console import Status

BEST = "best so far: linear at 0.1, val_loss 0.25 ± 0.01 between seeds"


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Say what a stage is at a hundred times a second, in place of once a minute."""
    monkeypatch.setattr(console, "_SAY_EVERY", 0.01)


def at_work(status: Status) -> None:
    """Finish one of four trainings, and begin the next."""
    status.expect(4)
    status.begin("linear lr=0.1 seed=0")
    status.trained("linear lr=0.1 seed=0", 0.25, 3.0)
    status.advance()
    status.begin("cosine lr=0.2 seed=1")


def test_stage_at_work_says_so_regularly(capsys: pytest.CaptureFixture[str]) -> None:
    """How far it is, the time left, the best so far and what it trains; and nothing after its end."""
    expected = re.compile(r"  0 min: search 1/4, 1 s left; lowest loss so far 0.25: linear lr=0.1 seed=0; cosine .*\n")
    said, ended = "", time.monotonic() + 60
    with Status("search") as status:
        at_work(status)
        while len(expected.findall(said)) < 2 and time.monotonic() < ended:
            said += capsys.readouterr().out
            time.sleep(0.01)
        assert len(expected.findall(said)) >= 2
        status.done("found")
    said = capsys.readouterr().out
    assert said.splitlines()[-1].startswith("✓ search")
    time.sleep(0.1)
    assert capsys.readouterr().out == ""


def read(terminal: IO[bytes], expected: str) -> str:
    """Return what a terminal is sent, up to the first part of it that has the expected text."""
    said = b""
    while expected.encode() not in said:
        said += terminal.read(100_000)
    return said.decode()


@pytest.mark.parametrize(
    ("columns", "shown"),
    [
        (40, "search 1/4, 1 s left; best so far: "),
        (80, "search 1/4, 1 s left; best so far: linear at 0.1, val_loss 0.25 ± 0.01"),
        (140, f"search 1/4, 1 s left; {BEST}; cosine"),
    ],
)
def test_terminal_shows_one_line_that_is_redrawn(columns: int, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What matters most comes first and is not cut off: how far it is, the time left, the best so far and how sure."""
    ours, theirs = pty.openpty()
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm")
    with os.fdopen(ours, "rb", buffering=0) as terminal, Path(os.ttyname(theirs)).open("w", encoding="utf-8") as out:
        os.close(theirs)
        monkeypatch.setattr(sys, "stdout", out)
        with Status("search") as status:
            at_work(status)
            status.stands(BEST)
            drawn = read(terminal, shown) + read(terminal, shown)
            status.done("found")
        out.flush()
        last = read(terminal, "found")
        monkeypatch.undo()
    assert drawn.count("\n") == 0
    lines = [re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", line) for line in drawn.split("\r")]
    assert len(lines) > 2
    assert max(map(len, lines)) <= columns
    assert shown in lines[-1]
    assert last.rpartition("\x1b[2K")[2].endswith("found\r\n")


def test_quiet_stage_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """Neither regularly nor at its end."""
    with Status("search", quiet=True) as status:
        at_work(status)
        time.sleep(0.1)
        status.done("found")
    assert capsys.readouterr().out == ""


def test_verbose_stage_says_what_each_training_gave(capsys: pytest.CaptureFixture[str]) -> None:
    """A line for each, whatever the output is."""
    with Status("search", verbose=True) as status:
        at_work(status)
    assert "  linear lr=0.1 seed=0: validation loss 0.25, 3.0 s\n" in capsys.readouterr().out

"""What a stage prints while it is at work, where the output is no terminal."""

import time

import pytest

from pipeline import console
from pipeline.console import Status


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
    """How far it is, what it trains and the best so far; and nothing after its end."""
    expected = "  search: 0 min, 1 of 4 done, cosine lr=0.2 seed=1, lowest loss so far 0.25: linear lr=0.1 seed=0\n"
    said, ended = "", time.monotonic() + 60
    with Status("search") as status:
        at_work(status)
        while said.count(expected) < 2 and time.monotonic() < ended:
            said += capsys.readouterr().out
            time.sleep(0.01)
        assert said.count(expected) >= 2
        status.done("found")
    said = capsys.readouterr().out
    assert said.splitlines()[-1].startswith("✓ search")
    time.sleep(0.1)
    assert capsys.readouterr().out == ""


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

"""Where an interruption is let in, and where it waits."""

import os
import signal
import time
from collections.abc import Iterator

import pytest

from pipeline.interruption import raise_when_interrupted

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGALRM)
ENDLESS = 30.0
"""Seconds of sleep that no test lives to see the end of."""


@pytest.fixture(autouse=True)
def received() -> Iterator[list[int]]:
    """Install the handlers, and give the process its own ones back."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a suite in the background has it ignored
    yield raise_when_interrupted()
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_what_is_being_done(number: int, received: list[int]) -> None:
    """And says by which signal."""
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), number)
    assert received == [number]


def test_ctrl_c_is_none_of_a_background_job_s_business() -> None:
    """Where the shell has it ignored, it stays so."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise_when_interrupted()
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_it_is_not_lost_in_a_finalizer(received: list[int]) -> None:
    """There Python would print the exception and go on."""

    class Garbage:
        def __del__(self) -> None:
            os.kill(os.getpid(), signal.SIGTERM)

    def leave() -> None:
        garbage = Garbage()
        del garbage
        time.sleep(ENDLESS)

    with pytest.raises(KeyboardInterrupt):
        leave()
    assert received == [signal.SIGTERM]


@pytest.mark.parametrize("package", ["sqlalchemy.engine.base", "matplotlib.lines"])
def test_it_waits_for_what_must_not_be_left_half_way(package: str, received: list[int]) -> None:
    """However deep: here, in a function called from that package. Put off, it comes once."""
    done = []

    def work() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.1)
        done.append(True)

    def leave() -> None:
        exec("work()", {"__name__": package, "work": work})
        time.sleep(ENDLESS)

    with pytest.raises(KeyboardInterrupt):
        leave()
    time.sleep(0.1)
    assert done == [True]
    assert received == [signal.SIGTERM]

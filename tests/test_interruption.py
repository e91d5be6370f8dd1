"""Where an interruption is let in, and where it waits."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import psutil
import pytest

from pipeline import interruption

SIGNALS = (signal.SIGTERM, signal.SIGINT)


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Install the handlers, and give the process its own ones back."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a suite in the background has it ignored
    interruption.watch_signals()
    yield
    interruption.take()
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_signal_waits_for_a_place_to_leave(number: int) -> None:
    """Nothing is raised where it arrives; the next check raises, and it is known which signal it was."""
    interruption.check()
    assert interruption.received() is None
    os.kill(os.getpid(), number)
    assert interruption.received() == number
    with pytest.raises(KeyboardInterrupt):
        interruption.check()
    assert interruption.take() == number
    interruption.check()


def test_it_is_not_lost_in_a_finalizer() -> None:
    """There Python would print an exception and go on."""

    class Garbage:
        def __del__(self) -> None:
            os.kill(os.getpid(), signal.SIGTERM)

    garbage = Garbage()
    del garbage
    with pytest.raises(KeyboardInterrupt):
        interruption.check()


def test_a_second_signal_raises_where_it_arrives() -> None:
    """But not one that arrives with the first, as from a terminal and a parent process; the exit says the first."""
    os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(1.1)
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGTERM)
    assert interruption.received() == signal.SIGINT


def test_work_that_can_be_left_anywhere_is_left_at_once() -> None:
    """And is not begun after a signal; what follows it waits again."""
    with pytest.raises(KeyboardInterrupt), interruption.at_once():
        os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), interruption.at_once():
        pytest.fail("begun after a signal")
    interruption.watch_signals()
    with interruption.at_once():
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    assert interruption.received() == signal.SIGTERM


def test_a_signal_is_passed_on_to_the_processes_that_are_waited_for() -> None:
    """Also to those that they have started in turn: nobody else would end them."""
    code = (
        "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']).wait()"
    )
    child = subprocess.Popen([sys.executable, "-c", code])
    while not psutil.Process(child.pid).children():
        time.sleep(0.05)
    (grandchild,) = psutil.Process(child.pid).children()
    with interruption.passed_on():
        os.kill(os.getpid(), signal.SIGTERM)
        child.wait(timeout=30)
    psutil.wait_procs([grandchild], timeout=30)
    assert not grandchild.is_running()
    with pytest.raises(KeyboardInterrupt):
        interruption.check()


def test_ctrl_c_is_none_of_a_background_job_s_business() -> None:
    """Where the shell has it ignored, it stays so."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    interruption.watch_signals()
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN

"""When an interruption takes effect, and when it is deferred."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from pipeline import interruption

ROOT = Path(__file__).resolve().parents[1]
SIGNALS = (signal.SIGTERM, signal.SIGINT)


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Install the handlers, and restore the process's own afterwards."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    signal.signal(signal.SIGINT, signal.default_int_handler)  # it is ignored if the tests run as a background job
    interruption.watch_signals()
    yield
    interruption.take()
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_signal_waits_for_a_check(number: int) -> None:
    """Nothing is raised on arrival; the next check raises, and the signal's number is known."""
    interruption.check()
    assert interruption.received() is None
    os.kill(os.getpid(), number)
    assert interruption.received() == number
    with pytest.raises(KeyboardInterrupt):
        interruption.check()
    assert interruption.take() == number
    interruption.check()


def test_it_is_not_lost_in_a_finalizer() -> None:
    """An exception raised in a finalizer would only be printed."""

    class Garbage:
        def __del__(self) -> None:
            os.kill(os.getpid(), signal.SIGTERM)

    garbage = Garbage()
    del garbage
    with pytest.raises(KeyboardInterrupt):
        interruption.check()


def test_a_second_signal_raises_on_arrival() -> None:
    """One that arrives together with the first, as from terminal and parent, does not; the first sets the exit code."""
    os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(1.1)
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGTERM)
    assert interruption.received() == signal.SIGINT


def test_work_that_can_stop_anywhere_stops_at_once() -> None:
    """Such work does not start after a signal; signals that arrive after it are deferred again."""
    with pytest.raises(KeyboardInterrupt), interruption.at_once():
        os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), interruption.at_once():
        pytest.fail("begun after a signal")
    interruption.watch_signals()
    with interruption.at_once():
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    assert interruption.received() == signal.SIGTERM


def test_a_signal_is_forwarded_to_child_processes() -> None:
    """Grandchildren get it too: nothing else would end them."""
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


def test_a_background_job_ignores_ctrl_c() -> None:
    """If the shell has set Ctrl-C to be ignored, it stays ignored."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    interruption.watch_signals()
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_the_exit_code_is_kept_where_a_compiled_library_executes_code(tmp_path: Path) -> None:
    """Python would end by SIGINT instead, if KeyboardInterrupt itself had passed through there."""
    code = """
import ctypes, sys
from pipeline import interruption
interruption.watch_signals()
with interruption.at_once():
    ctypes.pythonapi.PyRun_SimpleString(b"import os; os.kill(os.getpid(), 15)")
sys.exit(143)
"""
    (tmp_path / "interrupted.py").write_text(code, encoding="utf-8")
    path = f"{tmp_path}{os.pathsep}{ROOT}"
    ended = subprocess.run([sys.executable, "-m", "interrupted"], env={**os.environ, "PYTHONPATH": path}, check=False)
    assert ended.returncode == 143

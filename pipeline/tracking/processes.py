"""Which process works on a run, and whether it is still there: MLflow has no heartbeat."""

import os

import psutil

_CLOCK_STEP = 2.0


def this_process() -> str:
    """Return what tells this process from any other: host, number and time of creation."""
    process = psutil.Process()
    return f"{os.uname().nodename}:{process.pid}:{process.create_time():.0f}"


def is_alive(process: str) -> bool:
    """Return whether a process, as `this_process` named it, may still be at work."""
    host, pid, created = process.rsplit(":", 2)
    if host != os.uname().nodename:
        return True  # a process of another machine cannot be checked from here
    try:
        found = psutil.Process(int(pid))
        # A killed process stays as a zombie until its parent waits for it. Creation times shift if the clock is
        # adjusted, but a process that reuses the number starts much later.
        lingers = found.status() == psutil.STATUS_ZOMBIE
        return not lingers and abs(float(found.create_time()) - float(created)) < _CLOCK_STEP
    except psutil.NoSuchProcess:
        return False

"""A Dask cluster whose scheduler and workers are processes of their own, to be killed and stopped."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
_QUIET = ["--no-dashboard", "--host", "127.0.0.1"]


@dataclass
class Processes:
    """A scheduler, and its workers in the order in which they were started."""

    folder: Path
    scheduler: subprocess.Popen[bytes] = field(init=False)
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def file(self) -> Path:
        """The scheduler file."""
        return self.folder / "scheduler.json"

    def start_scheduler(self, *arguments: str, **environment: str) -> None:
        """Start a scheduler, and wait until it runs."""
        self.file.unlink(missing_ok=True)
        given = ["--port", "0", "--scheduler-file", str(self.file), *arguments]
        self.scheduler = self._start("dask_scheduler", *given, **environment)
        deadline = time.monotonic() + 60
        while not self.file.exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def start_worker(self, *arguments: str, project: Path = ROOT, **environment: str) -> None:
        """Start a worker that imports a project, under a process that starts it again if it ends."""
        found = os.pathsep.join([str(project), str(HERE)])
        given = ["--scheduler-file", str(self.file), "--nthreads", "1", "--local-directory", str(self.folder)]
        self.workers.append(self._start("dask_worker", *given, *arguments, PYTHONPATH=found, **environment))

    def signal_worker(self, number: int, what: signal.Signals) -> None:
        """Send a signal to the process that trains."""
        below = psutil.Process(self.workers[number].pid).children()
        next(child for child in below if "spawn_main" in "".join(child.cmdline())).send_signal(what)

    def end(self) -> None:
        """Kill everything."""
        for process in (*self.workers, self.scheduler):
            below = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
            for one in (process, *below):
                one.kill()
            process.wait()

    def _start(self, tool: str, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.{tool}", *_QUIET, *arguments],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
            stdout=subprocess.DEVNULL,
            stderr=(self.folder / "log").open("ab"),
        )


@contextmanager
def processes(folder: Path, *arguments: str, **environment: str) -> Iterator[Processes]:
    """Start a scheduler without workers, and kill everything at the end."""
    started = Processes(folder)
    started.start_scheduler(*arguments, **environment)
    try:
        yield started
    finally:
        started.end()

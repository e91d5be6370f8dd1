"""An MLflow server on loopback that can be taken away, silenced and started again."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import psutil

from tests.e2e.project import PATIENCE


def free_port() -> int:
    """Return the number of a port on loopback that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


class Server:
    """A real MLflow server, its address and the folder of what it keeps itself.

    Runs are kept in its own SQLite file, or in the database that `backend` names; artifacts go over the server.
    """

    def __init__(self, folder: Path, backend: str = "") -> None:
        self.folder = folder
        self._backend = ("--backend-store-uri", backend) if backend else ()
        self._port = free_port()
        self.address = f"http://127.0.0.1:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        artifacts = ("--artifacts-destination", str(self.folder / "artifacts"))
        command = ("mlflow", "server", "--host", "127.0.0.1", "--port", str(self._port), "--workers", "1", *artifacts)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
        kept |= {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        kept["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                (*command, *self._backend), cwd=self.folder, env=kept, stdout=log, stderr=log
            )
        deadline = time.monotonic() + PATIENCE
        while not self._answers():
            assert self._process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)

    def kill(self) -> None:
        """Take it away with all its workers, if it is there."""
        if self._process is not None:
            tree = self._tree(self._process)
            for one in tree:
                one.kill()
            self._process.wait()
            psutil.wait_procs(tree, timeout=PATIENCE)
            self._process = None

    def silence(self, silent: bool) -> None:
        """Let it accept connections and answer none, or answer again."""
        assert self._process is not None
        for one in self._tree(self._process):
            one.send_signal(signal.SIGSTOP if silent else signal.SIGCONT)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.address}/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    @staticmethod
    def _tree(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
        return [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]

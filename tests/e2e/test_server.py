"""A tracking server: its password stays secret, and it may go away."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.e2e.project import PATIENCE, Project

pytestmark = pytest.mark.slow

SECRETS = tuple(f"opensesame-{number}" for number in range(1, 7))
TRAIN = ("python", "-m", "pipeline", "train", "--data", "digits", "--model", "mlp", "--scheme", "constant")
BRIEF = ("--initial-lr", "0.01", "--epochs", "1", "--seeds", "1")
MAIN = ("python", "-m", "pipeline", "main", "--data", "digits", "--model", "mlp", "--epochs", "20")

TELLING = """
import os

def load():
    raise ValueError(os.environ["AWS_SECRET_ACCESS_KEY"] + os.environ["MLFLOW_TRACKING_TOKEN"])
"""
"""Data whose error holds secrets."""


@dataclass(frozen=True)
class Server:
    """A real MLflow server, its address and the folder of all that it keeps."""

    process: subprocess.Popen[bytes]
    address: str
    folder: Path

    @property
    def variables(self) -> dict[str, str]:
        """What a user sets who has a password for it, and other secrets."""
        return {
            "MLFLOW_TRACKING_URI": self.address.replace("://", f"://ada:{SECRETS[0]}@"),
            "MY_API_TOKEN": SECRETS[1],
            "AWS_SECRET_ACCESS_KEY": SECRETS[3],
            "MLFLOW_TRACKING_TOKEN": SECRETS[4],
        }

    def kill(self) -> None:
        """Take it away with all its workers."""
        tree = [*psutil.Process(self.process.pid).children(recursive=True), psutil.Process(self.process.pid)]
        for one in tree:
            one.kill()
        psutil.wait_procs(tree, timeout=PATIENCE)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Give a server on loopback that has answered."""
    folder = tmp_path_factory.mktemp("server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ("mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    kept |= {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    kept["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"
    with (folder / "server.log").open("wb") as log:
        server = Server(
            subprocess.Popen(command, cwd=folder, env=kept, stdout=log, stderr=log), f"http://127.0.0.1:{port}", folder
        )
        try:
            deadline = time.monotonic() + PATIENCE
            while not _answers(server.address):
                assert server.process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.1)
            yield server
        finally:
            if server.process.poll() is None:
                server.kill()
            server.process.wait()


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Give a project whose git remote has a password too."""
    project = Project.copied_to(tmp_path_factory.mktemp("project"))
    remote = f"https://ada:{SECRETS[2]}@example.org/lr.git"
    for command in (
        ("init", "-q"),
        ("add", "MLproject"),
        ("-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-qm", "a"),
        ("remote", "add", "origin", remote),
    ):
        subprocess.run(("git", *command), cwd=project.folder, check=True)
    return project


def test_secrets_appear_nowhere(server: Server, project: Project) -> None:
    """Neither on the screen, nor in anything that the server or the project keeps."""
    ended = project.run(*TRAIN, *BRIEF, variables=server.variables)
    seen = ended.stdout + ended.stderr
    (project.folder / "telling.py").write_text(TELLING)
    for data in (f"s3://ada:{SECRETS[0]}@bucket", f"https://host/x.csv?token={SECRETS[5]}", "telling:load"):
        refused = project.run("python", "-m", "pipeline", "prepare", "--data", data, code=2, variables=server.variables)
        seen += refused.stdout + refused.stderr
    assert "test accuracy" in seen
    kept = [path for folder in (server.folder, project.folder) for path in folder.rglob("*")]
    files = [path for path in kept if path.is_file() and path != project.folder / ".git" / "config"]
    assert any(path.name == "model.keras" for path in files)
    for secret in SECRETS:
        assert secret not in seen
        assert [path for path in files if secret.encode() in path.read_bytes()] == []


def test_server_that_is_gone_for_good_does_not_hold_a_command(server: Server, project: Project) -> None:
    """That it is asked again is seen, and SIGTERM ends the command with its stages. The server is gone afterwards."""
    process = project.start(*MAIN, variables=server.variables)
    assert process.stdout is not None
    assert process.stderr is not None
    assert "prepare" in process.stdout.readline()
    time.sleep(3)  # the range test is at work, in a process of its own
    server.kill()
    assert "asked again" in process.stderr.readline()
    begun = time.monotonic()
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=PATIENCE)
    assert time.monotonic() - begun < 5
    assert process.returncode == 128 + signal.SIGTERM
    assert err.splitlines()[-1] == "lr-pipeline: interrupted; run the same command again to continue"
    assert "Traceback" not in err

"""Commands whose server is away, goes away or is shared. Each fault is real."""

import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from random import Random

from mlflow.tracking import MlflowClient

from tests.e2e.project import PATIENCE, Project
from tests.e2e.server import Server
from tests.faults.disturbed import PREPARE, Bench, Outcome, ended, expect_same_answer, repeated, wait_for
from tests.faults.kills import SOON

SECRET = "opensesame-1"


@contextmanager
def _server(bench: Bench) -> Iterator[Server]:
    """Start a server, and kill it at the end."""
    server = Server(Path(tempfile.mkdtemp(dir=bench.folder)))
    try:
        server.start()
        yield server
    finally:
        server.kill()


@contextmanager
def _without_server(bench: Bench, chance: Random) -> Iterator[tuple[Server, Project, subprocess.Popen[str]]]:
    """Start the chain on a server, and kill that in mid-search: a project, and the command that is at work in it."""
    with _server(bench) as server:
        project = bench.fresh()
        process = project.start(*bench.command, variables=_at(server))
        wait_for(process, "search", chance.random() * bench.seconds["search"])
        server.kill()
        yield server, project, process


def _at(server: Server) -> dict[str, str]:
    return {"MLFLOW_TRACKING_URI": server.address}


def no_server(bench: Bench, chance: Random) -> Outcome:
    """Start the chain before its server, then again with it."""
    project, server = bench.fresh(), Server(Path(tempfile.mkdtemp(dir=bench.folder)))
    line, seconds = ended(project.start(*bench.command, variables=_at(server)), 2, time.monotonic())
    assert "does not answer: start it" in line, line
    try:
        server.start()
        project.run(*bench.command, variables=_at(server))
        return _same_on(server, bench, seconds)
    finally:
        server.kill()


def server_gone(bench: Bench, chance: Random) -> Outcome:
    """Kill the server in mid-search, for good; then run the command again with a server on what it has kept."""
    with _without_server(bench, chance) as (server, project, process):
        _, seconds = ended(process, (0, 2), time.monotonic())
        server.start()
        project.run(*bench.command, variables=_at(server))
        return _same_on(server, bench, seconds)


def server_restarted(bench: Bench, chance: Random) -> Outcome:
    """Kill the server in mid-search and start it again after some seconds: the command itself goes on."""
    with _without_server(bench, chance) as (server, _, process):
        time.sleep(3)
        server.start()
        ended(process, 0, time.monotonic())
        return _same_on(server, bench)


def _same_on(server: Server, bench: Bench, seconds: float | None = None) -> Outcome:
    client = MlflowClient(server.address)
    expect_same_answer(bench, client)
    return Outcome(repeated=repeated(client), seconds=seconds)


def signal_while_mute(number: int) -> Callable[[Bench, Random], Outcome]:
    """Return a fault: a signal while a server has taken the connection and does not answer."""

    def strike(bench: Bench, chance: Random) -> Outcome:
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            listening.listen()
            address = f"http://127.0.0.1:{listening.getsockname()[1]}"
            patient = {"MLFLOW_TRACKING_URI": address, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "9"}
            process = bench.fresh().start(*bench.command, variables=patient)
            assert process.stderr is not None
            process.stderr.readline()  # it has asked once
            time.sleep(5 * chance.random())
            struck = time.monotonic()
            process.send_signal(number)
            _, seconds = ended(process, 128 + number, struck)
        assert seconds < SOON, f"took {seconds:.1f} s to end"
        return Outcome(seconds=seconds)

    return strike


def signal_while_gone(bench: Bench, chance: Random) -> Outcome:
    """Kill the server in mid-search, then end the command by SIGTERM while it waits for the server."""
    with _without_server(bench, chance) as (_, _, process):
        time.sleep(2)
        struck = time.monotonic()
        process.send_signal(signal.SIGTERM)
        _, seconds = ended(process, 128 + signal.SIGTERM, struck)
    assert seconds < SOON, f"took {seconds:.1f} s to end"
    return Outcome(seconds=seconds)


def two_at_once(bench: Bench, chance: Random) -> Outcome:
    """Start the same command twice: both end with the answer."""
    project = bench.fresh()
    _twice(bench, chance, project, {})
    expect_same_answer(bench, project.client)
    return Outcome(repeated=repeated(project.client))


def two_at_once_on_server(bench: Bench, chance: Random) -> Outcome:
    """Start the same command twice on a server: both end with the answer."""
    with _server(bench) as server:
        _twice(bench, chance, bench.fresh(), _at(server))
        return _same_on(server, bench)


def _twice(bench: Bench, chance: Random, project: Project, variables: Mapping[str, str]) -> None:
    both = [project.start(*bench.command, variables=variables)]
    time.sleep(chance.random() * bench.seconds["range_test"])
    both.append(project.start(*bench.command, variables=variables))
    for process in both:
        ended(process, 0, time.monotonic())


def password(bench: Bench, chance: Random) -> Outcome:
    """Look for the password in a server's address in everything printed and kept, where it works and where it fails."""
    with _server(bench) as server:
        project, kept = bench.fresh(), Path(tempfile.mkdtemp(dir=bench.folder))
        secret = {"MLFLOW_TRACKING_URI": server.address.replace("://", f"://ada:{SECRET}@"), "TMPDIR": str(kept)}
        process = project.start(*PREPARE, variables=secret)
        seen = "".join(process.communicate(timeout=PATIENCE))
        assert process.returncode == 0, seen
        process = project.start(*bench.command, variables=secret)
        wait_for(process, "range_test", 2)
        server.kill()
        seen += "".join(process.communicate(timeout=PATIENCE))
        seen += "".join(project.start(*PREPARE, variables=secret).communicate(timeout=PATIENCE))
        files = [path for folder in (server.folder, project.folder, kept) for path in folder.rglob("*")]
    assert SECRET not in seen, "it was printed"
    holding = [path.name for path in files if path.is_file() and SECRET.encode() in path.read_bytes()]
    assert not holding, f"it was written to {holding}"
    return Outcome()

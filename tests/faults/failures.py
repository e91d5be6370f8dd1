"""What fails around a command: its server, its disk, its folders, its files. Each fault is real."""

import os
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

from mlflow.tracking import MlflowClient

from tests.e2e.project import PATIENCE, Project
from tests.e2e.server import Server
from tests.faults.disturbed import (
    PREPARE,
    STAGES,
    Bench,
    Outcome,
    as_owner,
    ended,
    expect_none_running,
    expect_same_answer,
    repeated,
    stage_process,
)
from tests.faults.kills import SOON

SECRET = "opensesame-1"


def _wait_for(process: subprocess.Popen[str], stage: str, seconds: float = 0.0) -> None:
    """Wait until a command has begun a stage, or a later one, and for so many seconds more."""
    deadline = time.monotonic() + PATIENCE
    while stage_process(process, STAGES[STAGES.index(stage) :]) is None:
        assert process.poll() is None, f"ended before {stage}: {process.communicate()}"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(seconds)


@contextmanager
def _server(bench: Bench) -> Iterator[Server]:
    """Start a server, and kill it at the end."""
    server = Server(Path(tempfile.mkdtemp(dir=bench.folder)))
    try:
        server.start()
        yield server
    finally:
        server.kill()


def no_server(bench: Bench, chance: Random) -> Outcome:
    """Start the chain before its server, then again with it."""
    project, server = bench.fresh(), Server(Path(tempfile.mkdtemp(dir=bench.folder)))
    address = {"MLFLOW_TRACKING_URI": server.address}
    line, seconds = ended(project.start(*bench.command, variables=address), 2, time.monotonic())
    assert "does not answer: start it" in line, line
    try:
        server.start()
        project.run(*bench.command, variables=address)
        expect_same_answer(bench, MlflowClient(server.address))
    finally:
        server.kill()
    return Outcome(seconds=seconds)


def server_gone(bench: Bench, chance: Random) -> Outcome:
    """Kill the server in mid-search, for good; then run the command again with a server on what it has kept."""
    with _server(bench) as server:
        project, address = bench.fresh(), {"MLFLOW_TRACKING_URI": server.address}
        process = project.start(*bench.command, variables=address)
        _wait_for(process, "search", chance.random() * bench.seconds["search"])
        server.kill()
        _, seconds = ended(process, (0, 2), time.monotonic())
        server.start()
        project.run(*bench.command, variables=address)
        client = MlflowClient(server.address)
        expect_same_answer(bench, client)
        return Outcome(repeated=repeated(client), seconds=seconds)


def server_restarted(bench: Bench, chance: Random) -> Outcome:
    """Kill the server in mid-search and start it again after some seconds: the command itself goes on."""
    with _server(bench) as server:
        project, address = bench.fresh(), {"MLFLOW_TRACKING_URI": server.address}
        process = project.start(*bench.command, variables=address)
        _wait_for(process, "search", chance.random() * bench.seconds["search"])
        server.kill()
        time.sleep(3)
        server.start()
        ended(process, 0, time.monotonic())
        client = MlflowClient(server.address)
        expect_same_answer(bench, client)
        return Outcome(repeated=repeated(client))


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
    with _server(bench) as server:
        process = bench.fresh().start(*bench.command, variables={"MLFLOW_TRACKING_URI": server.address})
        _wait_for(process, "search", chance.random() * bench.seconds["search"])
        server.kill()
        time.sleep(2)
        struck = time.monotonic()
        process.send_signal(signal.SIGTERM)
        _, seconds = ended(process, 128 + signal.SIGTERM, struck)
    assert seconds < SOON, f"took {seconds:.1f} s to end"
    return Outcome(seconds=seconds)


@contextmanager
def _small_disk(folder: Path, megabytes: int) -> Iterator[None]:
    """Mount a disk of this size on a folder."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def disks_can_be_mounted() -> bool:
    """Return whether this user may mount a disk."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            with _small_disk(Path(folder), 1):
                return True
        except (OSError, subprocess.CalledProcessError):
            return False


def _fill(folder: Path) -> Path:
    """Fill a disk to the last byte."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while file.write(bytes(size)) == size:
                    pass
            except OSError:
                continue
    return filler


def disk_full(stage: str) -> Callable[[Bench, Random], Outcome]:
    """Return a fault: the disk of the project fills up during a stage, and has space again afterwards."""

    def strike(bench: Bench, chance: Random) -> Outcome:
        folder = Path(tempfile.mkdtemp(dir=bench.folder))
        with _small_disk(folder, 64):
            project = Project.copied_to(folder)
            process = project.start(*bench.command)
            _wait_for(process, stage, chance.random() * bench.seconds[stage])
            filler, since = _fill(folder), time.monotonic()
            line, seconds = ended(process, 2, since)
            assert "the disk" in line or "no space" in line, line
            filler.unlink()
            project.run(*bench.command)
            expect_same_answer(bench, project.client)
            return Outcome(repeated=repeated(project.client), seconds=seconds)

    return strike


def temporary_disk_full(bench: Bench, chance: Random) -> Outcome:
    """Fill the disk of the temporary folder in mid-search: Python itself takes another one where it is full before."""
    folder, project = Path(tempfile.mkdtemp(dir=bench.folder)), bench.fresh()
    with _small_disk(folder, 16):
        process = project.start(*bench.command, variables={"TMPDIR": str(folder)})
        _wait_for(process, "search", 0.5 * bench.seconds["search"])
        _fill(folder)
        line, seconds = ended(process, 2, time.monotonic())
        assert "no space" in line, line
    project.run(*bench.command)
    expect_same_answer(bench, project.client)
    return Outcome(repeated=repeated(project.client), seconds=seconds)


def file_limit(bench: Bench, chance: Random) -> Outcome:
    """Limit the size of files, which has the same effect as a disk without space."""
    project = bench.fresh()
    project.run(*PREPARE)
    limit = chance.randrange(1 << 12, 1 << 16)
    code = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {resource.RLIM_INFINITY}))"
    run = "import runpy; runpy.run_module('pipeline', run_name='__main__')"
    arguments = f"import sys; sys.argv[1:] = {list(bench.command[3:])}"
    line, seconds = ended(project.start("python", "-c", "\n".join((code, arguments, run))), 2, time.monotonic())
    assert "the disk" in line or "no space" in line, line
    project.run(*bench.command)
    expect_same_answer(bench, project.client)
    return Outcome(seconds=seconds)


def read_only(name: str) -> Callable[[Bench, Random], Outcome]:
    """Return a fault: a folder or file of the project cannot be written, and can again afterwards."""

    def strike(bench: Bench, chance: Random) -> Outcome:
        project = bench.finished()
        path = project.folder / name
        mode = path.stat().st_mode
        path.chmod(mode & ~0o222)
        try:
            line, seconds = ended(project.start(*as_owner(), *bench.command, "--fresh"), 2, time.monotonic())
        finally:
            path.chmod(mode)
        assert str(path) in line, line
        project.run(*bench.command)
        expect_same_answer(bench, project.client)
        return Outcome(repeated=repeated(project.client), seconds=seconds)

    return strike


def reports_read_only(bench: Bench, chance: Random) -> Outcome:
    """Let `reports/` not be writable: the answer is printed, and a line says where the report is."""
    project = bench.finished()
    shutil.rmtree(project.folder / "reports")
    (project.folder / "reports").mkdir(mode=0o555)
    process = project.start(*as_owner(), *bench.command)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    (line,) = err.splitlines()
    assert "cannot write reports" in line, line
    assert "Report: " in out, out
    expect_same_answer(bench, project.client)
    return Outcome(repeated=repeated(project.client))


def artifacts_deleted(bench: Bench, chance: Random) -> Outcome:
    """Delete all artifacts and keep the database: everything is made again."""
    project = bench.finished()
    shutil.rmtree(project.folder / "mlruns")
    return _made_again(bench, project)


def _made_again(bench: Bench, project: Project) -> Outcome:
    before = repeated(project.client)
    project.run(*bench.command)
    expect_same_answer(bench, project.client)
    return Outcome(repeated=repeated(project.client) - before)


def damaged(stage: str, role: str, file: str, size: int | None) -> Callable[[Bench, Random], Outcome]:
    """Return a fault: a file of a training is cut short, or gone, and its stage has to ask for it again."""

    def strike(bench: Bench, chance: Random) -> Outcome:
        project = bench.finished()
        (own,) = (run for run in project.runs(stage, status="FINISHED") if "pipeline.role" not in run.data.tags)
        _cut(project.artifacts(own) / "result.json", 10)
        trainings = project.runs(stage if stage == "train" else "trial", own.info.run_id)
        mine = [run for run in trainings if run.data.tags["pipeline.role"] == role]
        _cut(project.artifacts(chance.choice(mine)) / file, size)
        return _made_again(bench, project)

    return strike


def _cut(path: Path, size: int | None) -> None:
    """Cut a file to so many bytes, or delete it."""
    if size is None:
        path.unlink()
    else:
        os.truncate(path, size)


def result_cut(stage: str) -> Callable[[Bench, Random], Outcome]:
    """Return a fault: the result of a stage is cut short; no training of it is lost by that."""

    def strike(bench: Bench, chance: Random) -> Outcome:
        project = bench.finished()
        (own,) = (run for run in project.runs(stage, status="FINISHED") if "pipeline.role" not in run.data.tags)
        _cut(project.artifacts(own) / "result.json", 10)
        return _made_again(bench, project)

    return strike


def champion_gone(bench: Bench, chance: Random) -> Outcome:
    """Delete the champion's files: the next model is registered, and becomes champion."""
    project = bench.finished()
    (model,) = project.client.search_registered_models()
    version = project.client.get_model_version_by_alias(model.name, "champion")
    folders = {path.parent for path in (project.folder / "mlruns").rglob("MLmodel")}
    for folder in folders:
        shutil.rmtree(folder)
    project.run(*bench.command, "--seeds", "2")
    later = project.client.get_model_version_by_alias(model.name, "champion")
    assert int(later.version) > int(version.version), "the lost champion stayed"
    expect_none_running(project.client)
    return Outcome(repeated=repeated(project.client))


def two_at_once(bench: Bench, chance: Random) -> Outcome:
    """Start the same command twice: both end with the answer."""
    project = bench.fresh()
    both = [project.start(*bench.command)]
    time.sleep(chance.random() * bench.seconds["range_test"])
    both.append(project.start(*bench.command))
    for process in both:
        ended(process, 0, time.monotonic())
    expect_same_answer(bench, project.client)
    return Outcome(repeated=repeated(project.client))


def password(bench: Bench, chance: Random) -> Outcome:
    """Look for the password in a server's address in everything printed and kept, where it works and where it fails."""
    with _server(bench) as server:
        project, kept = bench.fresh(), Path(tempfile.mkdtemp(dir=bench.folder))
        secret = {"MLFLOW_TRACKING_URI": server.address.replace("://", f"://ada:{SECRET}@"), "TMPDIR": str(kept)}
        process = project.start(*PREPARE, variables=secret)
        seen = "".join(process.communicate(timeout=PATIENCE))
        assert process.returncode == 0, seen
        process = project.start(*bench.command, variables=secret)
        _wait_for(process, "range_test", 2)
        server.kill()
        seen += "".join(process.communicate(timeout=PATIENCE))
        seen += "".join(project.start(*PREPARE, variables=secret).communicate(timeout=PATIENCE))
        files = [path for folder in (server.folder, project.folder, kept) for path in folder.rglob("*")]
    assert SECRET not in seen, "it was printed"
    holding = [path.name for path in files if path.is_file() and SECRET.encode() in path.read_bytes()]
    assert not holding, f"it was written to {holding}"
    return Outcome()


def out_of_memory(bench: Bench, chance: Random) -> Outcome:
    """Limit the memory of the command to less than its network needs."""
    project = bench.fresh()
    (project.folder / "wide.py").write_text(_WIDE, encoding="utf-8")
    limited = ("prlimit", f"--as={chance.randrange(3_500, 6_000)}000000")
    options = ("--model", "wide:network", "--scheme", "constant", "--initial-lr", "0.01", "--epochs", "1")
    process = project.start(*limited, "python", "-m", "pipeline", "train", "--data", "digits", *options)
    line, seconds = ended(process, (1, 2), time.monotonic())
    assert "memory" in line or "OOM" in line, line
    return Outcome(seconds=seconds)


_WIDE = """
import keras
from keras import layers


def network(shape, outputs):
    inputs = keras.Input(shape)
    values = layers.Flatten()(inputs)
    for _ in range(3):
        values = layers.Dense(9000, activation="relu")(values)
    return keras.Model(inputs, layers.Dense(outputs, activation="softmax")(values))
"""

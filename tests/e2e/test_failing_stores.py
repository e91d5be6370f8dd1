"""Stores that are half made, deleted, full, unwritable or away: one line, soon, and what was done is kept."""

import os
import resource
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest
from mlflow.entities import Run

from tests.e2e.project import PATIENCE, Project, kill_tree

pytestmark = pytest.mark.slow

PREPARE = ("python", "-m", "pipeline", "prepare", "--data", "digits")
TRAIN = (
    *("python", "-m", "pipeline", "train", "--data", "digits", "--model", "mlp", "--epochs", "1", "--seeds", "1"),
    *("--scheme", "constant", "--initial-lr", "0.01"),
)


AS_OWNER = ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search")
"""Lets root write only what its owner may."""


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Give a project in which a command has been run."""
    project = Project.copied_to(tmp_path_factory.mktemp("used"))
    project.here("prepare")
    return project


@pytest.fixture
def fresh(tmp_path: Path) -> Project:
    """Give a project in which nothing has been run."""
    return Project.copied_to(tmp_path)


def refused(project: Project, *command: str, store: str = "") -> str:
    """Return the last line of a command that must be refused: soon, with code 2, and without a traceback.

    Without a command it is `prepare`, in this process.
    """
    begun = time.monotonic()
    ended = project.run(*command, code=2) if command else project.here("prepare", code=2, store=store)
    assert time.monotonic() - begun < 30
    assert "Traceback" not in ended.stdout + ended.stderr
    last = ended.stderr.splitlines()[-1]
    assert last.startswith("lr-pipeline: ")
    return last


def wait_until(there: Callable[[], bool]) -> None:
    """Wait for what a process started by the test is to do."""
    deadline = time.monotonic() + PATIENCE
    while not there():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_two_commands_at_once_in_a_fresh_folder(fresh: Project) -> None:
    """One sets the store up, the other waits for it."""
    both = [fresh.start(*PREPARE) for _ in range(2)]
    for process in both:
        _, err = process.communicate(timeout=PATIENCE)
        assert (process.returncode, err) == (0, "")
    assert [run.info.status for run in fresh.runs("prepare")] == ["FINISHED"] * 2


@pytest.mark.parametrize("seconds", [0.0, 0.5])
def test_sigkill_while_the_store_is_set_up(fresh: Project, seconds: float) -> None:
    """The same command works afterwards, and nothing but the store is left beside it."""
    before = {path.name for path in fresh.folder.iterdir()}
    process = fresh.start(*PREPARE)
    wait_until(lambda: any(fresh.folder.glob("*mlflow.db*")))
    time.sleep(seconds)
    kill_tree(process)
    fresh.here("prepare")
    assert {path.name for path in fresh.folder.iterdir()} - before == {"mlflow.db", "mlruns"}
    assert fresh.statuses() <= {"FINISHED", "KILLED"}


def test_deleted_experiment_is_refused_with_the_command_that_restores_it(used: Project) -> None:
    """It is not restored unasked: with it its runs would come back."""
    experiment = used.client.get_experiment_by_name("lr-pipeline")
    assert experiment is not None
    used.client.delete_experiment(experiment.experiment_id)
    try:
        line = refused(used)
        assert f"mlflow experiments restore --experiment-id {experiment.experiment_id}" in line
    finally:
        used.client.restore_experiment(experiment.experiment_id)


def test_folder_for_artifacts_that_is_a_file(fresh: Project) -> None:
    """It is seen before anything is computed."""
    (fresh.folder / "mlruns").write_text("", encoding="utf-8")
    assert "mlruns, which is no folder" in refused(fresh)


@pytest.mark.skipif(os.geteuid() == 0 and shutil.which("setpriv") is None, reason="root writes everywhere")
@pytest.mark.parametrize("protected", [".", "mlflow.db", "mlruns"])
def test_what_cannot_be_written_is_refused(used: Project, protected: str) -> None:
    """The line names it, before anything is computed."""
    path = used.folder / protected
    mode = path.stat().st_mode
    path.chmod(mode & ~0o222)
    try:
        line = refused(used, *(AS_OWNER if os.geteuid() == 0 else ()), *PREPARE, "--fresh")
    finally:
        path.chmod(mode)
    assert str(path) in line
    assert "written" in line or "permit that" in line


def test_full_disk(used: Project) -> None:
    """A limit on the size of files has the same effect as a disk without space."""
    limit = 4096  # a page of the database
    code = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {resource.RLIM_INFINITY}))"
    run = "import runpy; runpy.run_module('pipeline', run_name='__main__')"
    arguments = f"import sys; sys.argv[1:] = {[*PREPARE[3:], '--fresh']}"
    assert "the disk" in refused(used, "python", "-c", "\n".join((code, arguments, run)))


def test_server_that_is_not_there(fresh: Project) -> None:
    """Retries are seen, and end with what to do."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    line = refused(fresh, store=address)
    assert f"{address} does not answer: start it or correct MLFLOW_TRACKING_URI" in line


@pytest.fixture
def mute() -> Iterator[str]:
    """Give the address of a server that accepts connections and never answers."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def test_server_that_never_answers(fresh: Project, mute: str) -> None:
    """As one that is not there."""
    assert "does not answer" in refused(fresh, store=mute)


@pytest.mark.parametrize(
    ("status", "said", "asked"), [(503, "does not answer", 2), (403, "refuses: MlflowException: ", 0)]
)
def test_server_that_answers_with_an_error(fresh: Project, status: int, said: str, asked: int) -> None:
    """As a proxy does before a server that is down, and a server for a host or a user that it does not know."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(status)

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            ended = fresh.here("prepare", code=2, store=f"http://127.0.0.1:{server.server_port}")
        finally:
            server.shutdown()
    lines = ended.stderr.splitlines()
    assert len(lines) == asked + 1
    assert said in lines[-1]


def test_signal_ends_the_waiting_for_a_server(fresh: Project, mute: str) -> None:
    """At once, wherever in the request it arrives."""
    process = fresh.start(*PREPARE, variables={"MLFLOW_TRACKING_URI": mute, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "9"})
    assert process.stderr is not None
    assert "asked again" in process.stderr.readline()
    begun = time.monotonic()
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=PATIENCE)
    assert time.monotonic() - begun < 5
    assert process.returncode == 128 + signal.SIGTERM
    assert err == "lr-pipeline: interrupted; run the same command again to continue\n"


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("./mlruns", "mlflow migrate-filestore"),
        ("sqlite:///:memory:", "the path of a file"),
        ("postgresql://ada:opensesame@127.0.0.1:1/runs", "postgresql://***@127.0.0.1:1/runs cannot be opened"),
        ("gopher://127.0.0.1", "cannot be opened"),
    ],
)
def test_store_of_a_kind_that_cannot_be_used(fresh: Project, address: str, said: str) -> None:
    """The line names it, without the password in its address."""
    line = refused(fresh, store=address)
    assert said in line
    assert "opensesame" not in line


def test_folder_whose_name_a_uri_reads_otherwise(tmp_path: Path) -> None:
    """The chain runs in it, stages and the registered model included, and leaves nothing beside it."""
    folder, temporary = tmp_path / "c# {code}? 50%20%", tmp_path / "tmp"
    folder.mkdir()
    temporary.mkdir()
    project = Project.copied_to(folder)
    project.run(*TRAIN, variables={"TMPDIR": str(temporary)})
    assert {path.name for path in tmp_path.iterdir()} == {folder.name, temporary.name}
    assert list(temporary.iterdir()) == []
    assert {path.parent.name for path in folder.rglob("model.keras")} >= {"artifacts"}
    assert project.run(*TRAIN).stdout.count("reused") == 1


def test_stage_that_is_killed_is_told_by_its_parent(fresh: Project) -> None:
    """Which signal it was, and what it may mean; no run stays RUNNING."""
    process = fresh.start(*TRAIN)
    stage: list[psutil.Process] = []

    def at_work() -> bool:
        with suppress(psutil.NoSuchProcess):  # a shell that has just become the stage, or ended
            below = psutil.Process(process.pid).children(recursive=True)
            stage[:] = [one for one in below if "prepare" in one.cmdline()]
        return bool(stage)

    wait_until(at_work)
    stage[0].kill()
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    (line,) = err.splitlines()
    assert line.startswith("lr-pipeline: prepare: its process was ended by SIGKILL, as the system does where memory")
    assert fresh.statuses() == {"FAILED"}


def test_mlflow_run_that_is_killed_before_its_command_starts(used: Project) -> None:
    """The run that it began is ended by the next command."""
    known = {run.info.run_id for run in every_run(used)}
    process = used.start("mlflow", "run", ".", "-e", "prepare", "--env-manager", "local", "-P", "data=digits")
    wait_until(lambda: {run.info.run_id for run in every_run(used)} > known)
    kill_tree(process)
    (begun,) = (run for run in every_run(used) if run.info.run_id not in known)
    assert begun.info.status == "RUNNING"
    used.run(*PREPARE)
    assert used.client.get_run(begun.info.run_id).info.status == "KILLED"


def every_run(project: Project) -> list[Run]:
    """Return all runs, those without tags of the project too."""
    return list(project.client.search_runs([one.experiment_id for one in project.client.search_experiments()]))

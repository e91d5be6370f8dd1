"""A team's tracking server, on PostgreSQL where that is installed: its secrets are kept, and it may go away."""

import json
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import pytest
import sqlalchemy
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from pipeline import find
from tests.e2e.postgres import postgres, programs
from tests.e2e.project import PATIENCE, Project, command
from tests.e2e.server import Server
from tests.test_finding import X, Y, compiled
from tests.test_finding_tracked import QUICK, runs

pytestmark = pytest.mark.slow

SECRETS = tuple(f"opensesame-{number}" for number in range(1, 7))
TRAIN = ("python", "-m", "pipeline", "train", "--data", "digits", "--model", "mlp", "--scheme", "constant")
BRIEF = ("--initial-lr", "0.01", "--epochs", "1", "--seeds", "1")

TELLING = """
import os

def load():
    raise ValueError(os.environ["AWS_SECRET_ACCESS_KEY"] + os.environ["MLFLOW_TRACKING_TOKEN"])
"""
"""Data whose error holds secrets."""


Database = tuple[str, Path | None]
"""The URI and the folder of a PostgreSQL; "" and None where it is not installed."""


def as_ada(server: Server) -> Mapping[str, str]:
    """Return what a user sets who has a password for a server, and other secrets."""
    return {
        "MLFLOW_TRACKING_URI": server.address.replace("://", f"://ada:{SECRETS[0]}@"),
        "MY_API_TOKEN": SECRETS[1],
        "AWS_SECRET_ACCESS_KEY": SECRETS[3],
        "MLFLOW_TRACKING_TOKEN": SECRETS[4],
    }


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    """Give a PostgreSQL; where it is not installed, the server uses a SQLite file of its own."""
    found = programs()
    with postgres(found) if found else nullcontext(("", None)) as database:
        yield database


@pytest.fixture(scope="module")
def server(database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Give a server that answers."""
    server = Server(tmp_path_factory.mktemp("server"), database[0])
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Give a project whose git remote has a password too."""
    guarded = Project.copied_to(tmp_path_factory.mktemp("project"))
    remote = f"https://ada:{SECRETS[2]}@example.org/lr.git"
    for git in (
        ("init", "-q"),
        ("add", "MLproject"),
        ("-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-qm", "a"),
        ("remote", "add", "origin", remote),
    ):
        subprocess.run(("git", *git), cwd=guarded.folder, check=True)
    return guarded


def test_secrets_appear_nowhere(server: Server, database: Database, guarded: Project) -> None:
    """Neither on the screen, nor in anything that the server, its database or the project keeps."""
    ended = guarded.run(*TRAIN, *BRIEF, variables=as_ada(server))
    seen = ended.stdout + ended.stderr
    (guarded.folder / "telling.py").write_text(TELLING)
    for data in (f"s3://ada:{SECRETS[0]}@bucket", f"https://host/x.csv?token={SECRETS[5]}", "telling:load"):
        refused = guarded.run("python", "-m", "pipeline", "prepare", "--data", data, code=2, variables=as_ada(server))
        seen += refused.stdout + refused.stderr
    assert "test accuracy" in seen
    folders = [folder for folder in (server.folder, database[1], guarded.folder) if folder]
    kept = [path for folder in folders for path in folder.rglob("*")]
    files = [path for path in kept if path.is_file() and path != guarded.folder / ".git" / "config"]
    assert any(path.name == "model.keras" for path in files)
    for secret in SECRETS:
        assert secret not in seen
        assert [path for path in files if secret.encode() in path.read_bytes()] == []


def trainings(server: Server) -> list[Run]:
    """Return the finished trainings that the server has, and the runs that stand for them, as they ended."""
    client = MlflowClient(server.address)
    runs = client.search_runs([one.experiment_id for one in client.search_experiments()], max_results=1_000)
    found = [run for run in runs if "pipeline.role" in run.data.tags and run.info.status == "FINISHED"]
    return sorted(found, key=lambda run: int(run.info.end_time))


def waiting(guarded: Project) -> int:
    """Return how many trainings wait in the journal."""
    return len(list(guarded.folder.glob(".lr-pipeline/*/waiting/[0-9]*")))


def wait_until(there: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait for what a command is to do."""
    deadline = time.monotonic() + PATIENCE
    while not there():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.1)


@dataclass(frozen=True)
class Outage:
    """A search whose server fell silent for a while and then went away, and the same command once it was back.

    Attributes:
        out: what the search printed.
        err: what it printed as errors.
        code: its exit code.
        waited: how many trainings were in the journal at its end.
        seconds: how long it went on after its last training.
        again: the second command.

    """

    out: str
    err: str
    code: int
    waited: int
    seconds: float
    again: subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def outage(server: Server, guarded: Project) -> Outage:
    """Search on a server that fails, then on one that does not."""
    guarded.here("range_test", store=server.address, refine="off", epochs=10)
    asked = command("search", refine="off", epochs=10, trials=5)
    uri = {"MLFLOW_TRACKING_URI": server.address}
    before = len(trainings(server))
    process = guarded.start(*asked, variables=uri)
    wait_until(lambda: len(trainings(server)) > before, process)
    server.silence(True)
    wait_until(lambda: waiting(guarded) >= 2, process)
    server.silence(False)
    wait_until(lambda: waiting(guarded) == 0, process)
    server.kill()
    out, err = process.communicate(timeout=PATIENCE)
    made = (path.stat().st_mtime for path in guarded.folder.glob(".lr-pipeline/*/claims/*"))
    seconds, waited = time.time() - max(made), waiting(guarded)
    server.start()
    return Outage(out, err, process.returncode, waited, seconds, guarded.run(*asked, variables=uri))


def test_training_goes_on_without_a_server(outage: Outage) -> None:
    """That it is away and that it is back is said."""
    lines = [line.strip() for line in outage.out.splitlines()]
    said = [line for line in lines if "tracking store" in line]
    assert "does not answer: trainings go on" in said[0]
    assert said[1].startswith("the tracking store is back: trainings that waited are logged")
    assert "does not answer: trainings go on" in said[2]
    assert len(said) == 3


def test_search_whose_server_is_gone_ends_soon_with_its_answer(outage: Outage, guarded: Project) -> None:
    """And with what waits where."""
    assert outage.code == 2
    assert outage.seconds < 30
    assert "lr=" in outage.out.splitlines()[-1]
    (line,) = outage.err.splitlines()
    assert f"trainings wait in {guarded.folder / '.lr-pipeline'}" in line
    assert f"to be logged ({outage.waited})" in line
    assert "run the same command again" in line


def test_next_command_logs_what_waited_and_repeats_no_training(
    outage: Outage, server: Server, guarded: Project
) -> None:
    """Each training is in the store once, in the order in which they were made."""
    assert (
        f"trainings that waited in the journal are logged ({outage.waited} of {outage.waited})" in outage.again.stderr
    )
    assert waiting(guarded) == 0
    made = [run for run in trainings(server) if "pipeline.cached" not in run.data.tags]
    keys = [run.data.tags["pipeline.fingerprint"] for run in made]
    assert len(keys) == len(set(keys))
    searched = [run.data.tags["pipeline.role"] for run in made if run.data.tags["pipeline.stage"] == "trial"]
    assert searched == ["sweep", *["trial"] * 5, *["confirmation"] * 8]


def test_signal_ends_a_command_whose_server_is_silent(server: Server, guarded: Project) -> None:
    """With its stages, soon."""
    guarded.here("range_test", store=server.address, refine="off", epochs=10, seed=1)
    before = len(trainings(server))
    process = guarded.start(*command("main", refine="off", epochs=10, seed=1), variables=as_ada(server))
    wait_until(lambda: len(trainings(server)) > before, process)
    server.silence(True)
    try:
        time.sleep(1)
        begun = time.monotonic()
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=PATIENCE)
        assert time.monotonic() - begun < 20  # the client would wait for minutes
    finally:
        server.silence(False)
    assert process.returncode == 128 + signal.SIGTERM
    assert err.splitlines()[-1] == "lr-pipeline: interrupted; run the same command again to continue"
    assert "Traceback" not in err


def test_find_logs_to_it(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Range test and search with their trainings and artifacts, and the answer is the one without runs."""
    monkeypatch.chdir(tmp_path)
    model = compiled()
    tracked, untracked = (find(model, (X, Y), track=track, **QUICK) for track in (server.address, None))
    assert tracked.leaderboard.equals(untracked.leaderboard)
    client = MlflowClient(server.address)
    experiment = client.get_experiment_by_name("lr-pipeline")
    (own,) = client.search_runs([experiment.experiment_id], "tags.`pipeline.stage` = 'find'")
    assert own.info.status == "FINISHED"
    (search,) = runs(server.address, own.info.run_id)["search"]
    assert {"result.json", "leaderboard.csv"} <= {file.path for file in client.list_artifacts(search.info.run_id)}
    assert len(runs(server.address, search.info.run_id)["trial"]) >= tracked.search.trials


def test_what_is_known_is_in_postgresql(server: Server, database: Database) -> None:
    """All of the above holds for it: the server has no other database."""
    if not database[0]:
        pytest.skip("PostgreSQL is not installed, so the server kept its runs in SQLite")
    with sqlalchemy.create_engine(database[0]).connect() as connection:
        runs = set(connection.execute(sqlalchemy.text("SELECT run_uuid FROM runs")).scalars())
    assert runs >= {run.info.run_id for run in trainings(server)}
    assert not list(server.folder.rglob("*.db"))


ON_ITS_WAY = 2_000
"""Milliseconds after its end in which a training may not be in the store yet, beside as long as it took itself.

The second part grows with the load of the machine.
"""


def test_two_users_share_what_either_has_trained(server: Server, tmp_path: Path) -> None:
    """Searches at once, in two folders: none repeats what the other one had finished, and each adds up."""
    Project(tmp_path).here("range_test", store=server.address, refine="off", epochs=20, seed=2)
    before, uri = {run.info.run_id for run in trainings(server)}, {"MLFLOW_TRACKING_URI": server.address}

    def search(name: str, seeds: int) -> subprocess.Popen[str]:
        folder = tmp_path / name
        folder.mkdir()
        asked = command("search", refine="off", epochs=20, seed=2, trials=5, confirm_seeds=seeds)
        return Project.copied_to(folder).start(*asked, variables=uri)

    ada = search("ada", 2)
    wait_until(lambda: len(trainings(server)) > len(before), ada)
    bob = search("bob", 3)
    for process in (ada, bob):
        _, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, err
        assert "Traceback" not in err
    new = [run for run in trainings(server) if run.info.run_id not in before]
    made, stand_ins = dict[str, Run](), [run for run in new if "pipeline.cached" in run.data.tags]
    for run in new:
        if run not in stand_ins:
            first = made.setdefault(run.data.tags["pipeline.fingerprint"], run)
            took = first.info.end_time - first.info.start_time
            assert run.info.start_time < first.info.end_time + took + ON_ITS_WAY
    assert stand_ins
    client = MlflowClient(server.address)
    found = client.search_runs([new[0].info.experiment_id], "tags.`pipeline.stage` = 'search'", max_results=2)
    for run in found:
        shown = [one for one in new if one.data.tags["mlflow.parentRunId"] == run.info.run_id]
        assert Counter(one.data.tags["pipeline.role"] for one in shown)["trial"] == 5
        result = client.download_artifacts(run.info.run_id, "result.json", str(tmp_path))
        for row in json.loads(Path(result).read_text(encoding="utf-8"))["leaderboard"]:
            losses = [one.data.metrics["val_loss"] for one in shown if _confirms(one, row)]
            assert row["val_loss"]["mean"] == pytest.approx(mean(losses))


def _confirms(run: Run, row: Mapping[str, object]) -> bool:
    asked = [run.data.params[name] for name in ("scheme", "optimizer", "initial_lr")]
    return run.data.tags["pipeline.role"] == "confirmation" and asked == [
        *(row[name] for name in ("scheme", "optimizer")),
        repr(row["initial_lr"]),
    ]

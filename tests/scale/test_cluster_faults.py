"""What happens to a search when parts of a Dask cluster are killed, hang, join, leave, or differ."""

import shutil
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline import cluster, datasets
from pipeline.cluster import connection, executor
from pipeline.cluster.connection import connected
from pipeline.cluster.executor import Workers
from pipeline.config import RangeTestOptions
from pipeline.errors import InputError, OutsideError
from pipeline.evaluation import Candidate, Evaluation, answers
from pipeline.training import InProcess, executor_for
from tests.scale.processes import ROOT, Processes, processes
from tests.scale.test_workers import same

pytestmark = pytest.mark.slow

OPTIONS = RangeTestOptions(data="digits", model="fragile_network:network", epochs=20, precision="float32")
COSINE = Candidate(scheme="cosine", initial_lr=0.05, optimizer="sgd", batch_size=50, params={})
ASKED = Evaluation(COSINE, 20, seed=0).spread(range(6), splits=1)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[InProcess, Path]:
    """Return an executor of this process, and the file with its data."""
    # As the workers find it: pytest's own names of modules exist only here.
    sys.path.insert(0, str(Path(__file__).parent))
    splits = datasets.split(datasets.load(**OPTIONS.source, limit=2**30, task="auto"), OPTIONS.seed)
    path = tmp_path_factory.mktemp("prepared") / "data.npz"
    datasets.save(splits, path)
    return executor_for(OPTIONS, splits), path


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Processes]:
    """Return a scheduler without workers."""
    with processes(tmp_path) as made:
        yield made


def executor_on(
    started: Processes,
    prepared: tuple[InProcess, Path],
    said: list[str],
    limit: float | None = None,
    grace: float = 300,
    data: Path | None = None,
) -> Workers:
    """Return what trains on a cluster."""
    here, path = prepared
    job = cluster.job_for(OPTIONS, data or path, here)
    options = OPTIONS.model_copy(update={"scheduler": str(started.file)})
    return Workers(connected(options, said.append), job, said.append, limit, grace)


def test_workers_join_are_killed_and_hang(
    started: Processes, prepared: tuple[InProcess, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each training is in the result once, with the numbers of this process; the data are sent where they are not."""
    monkeypatch.setattr(executor, "_TIMES", 3.0)
    said: list[str] = []
    with prepared[1].open("rb") as file:
        there = executor_on(started, prepared, said, grace=10, data=Path(f"/proc/self/fd/{file.fileno()}"))
        started.start_worker()
        found = []
        for number, (evaluation, training) in enumerate(there.ask(ASKED)):
            found.append((evaluation, training))
            if number == 0:
                started.start_worker()
            if number == 1:
                started.signal_worker(0, signal.SIGKILL)
            if number == 2:
                (started.folder / "hang").touch()
    assert sorted(evaluation.seed for evaluation, _ in found) == [evaluation.seed for evaluation in ASKED]
    here = answers(prepared[0].ask, [evaluation for evaluation, _ in found])
    assert all(same(one, other) for one, (_, other) in zip(here, found, strict=True))
    assert any(" hangs: cosine lr=0.05 seed=" in line for line in said)


def test_a_first_training_that_takes_too_long_runs_again(
    started: Processes, prepared: tuple[InProcess, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A given limit holds although nothing is known yet of how long trainings take, as a worker died with its answer.

    No dashboard is named where there is none.
    """
    said: list[str] = []
    there = executor_on(started, prepared, said, limit=10)
    assert not any("dashboard" in line for line in said)
    started.start_worker()
    fetched = there._has_answered

    def lost(asked: executor._Asked) -> bool:
        monkeypatch.undo()
        (started.folder / "hang").touch()
        started.signal_worker(0, signal.SIGKILL)
        return fetched(asked)

    monkeypatch.setattr(there, "_has_answered", lost)
    (training,) = answers(there.ask, ASKED[:1])
    assert same(training, *answers(prepared[0].ask, ASKED[:1]))
    assert [line.partition(" hangs: ")[2] for line in said if " hangs: " in line] == [
        f"{ASKED[0].name} runs elsewhere after 10 s"
    ]


def test_a_training_that_no_worker_survives_is_given_up(prepared: tuple[InProcess, Path], tmp_path: Path) -> None:
    """It counts as diverged, with the reason; the others go on."""
    said: list[str] = []
    with processes(tmp_path, DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES="1") as started:
        there = executor_on(started, prepared, said)
        started.start_worker()
        poison = ASKED[0].trying(initial_lr=1e6)
        failed, fine = answers(there.ask, [poison, ASKED[1]])
    assert failed.diverged == "given up: it ended the process of 2 workers"
    assert fine.val_loss < 1
    assert f"{poison.name}: {failed.diverged}" in said


def test_a_killed_scheduler_is_said_in_a_line(started: Processes, prepared: tuple[InProcess, Path]) -> None:
    """The same question goes on with another one."""
    said: list[str] = []
    there = executor_on(started, prepared, said)
    started.start_worker()
    asked = there.ask([ASKED[0], *(replace(one, epochs=2_000) for one in ASKED[1:])])
    next(asked)
    started.scheduler.kill()
    begun = time.monotonic()
    with pytest.raises(OutsideError, match=r"the Dask scheduler at tcp://.* is gone; .* run the same command again"):
        next(asked)
    assert time.monotonic() - begun < 5


def test_workers_that_would_train_otherwise_are_refused(
    started: Processes, prepared: tuple[InProcess, Path], tmp_path: Path
) -> None:
    """By a line that names the worker and what is different."""
    there = executor_on(started, prepared, [])
    started.start_worker(TF_ENABLE_ONEDNN_OPTS="0")
    refused = r"worker tcp://[\d.:]+: arithmetic: received 'TF_ENABLE_ONEDNN_OPTS=0'; accepted: '', as where"
    with pytest.raises(InputError, match=refused):
        answers(there.ask, ASKED[:1])
    started.workers[0].terminate()
    started.workers[0].wait()
    shutil.copytree(ROOT / "pipeline", tmp_path / "pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / "pipeline" / "training" / "engine.py").open("a", encoding="utf-8") as file:
        file.write("# another version\n")
    started.start_worker(project=tmp_path)
    with pytest.raises(InputError, match=r"worker tcp://[\d.:]+: lr-pipeline: received 'code \w+'; accepted: 'code"):
        answers(there.ask, ASKED[:1])


def test_a_scheduler_that_is_not_there_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its address and by its file."""
    monkeypatch.setattr(connection, "_TIMEOUT", 1.0)
    for given in ("tcp://127.0.0.1:9", str(tmp_path / "none.json")):
        with pytest.raises(InputError, match=r"scheduler: received .*; accepted: the address of a Dask scheduler"):
            connected(OPTIONS.model_copy(update={"scheduler": given}), print)

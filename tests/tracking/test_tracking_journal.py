"""Trainings on disk before they are logged: late, once and in order, whole or not at all, and made by one process."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from pipeline.errors import InputError
from pipeline.tracking import Label, StageRun, Store, TrainingLog, checks, delivery, journal
from pipeline.tracking.delivery import Delivery, store_in_order
from pipeline.tracking.journal import Journal, Record
from pipeline.tracking.patience import USUAL
from tests.tracking.conftest import QUESTION, draw, make_log, make_training

QUESTIONS = [QUESTION.trying(initial_lr=0.01 * rate) for rate in range(1, 5)]


@pytest.fixture
def parent(store: Store) -> Iterator[StageRun]:
    """Return the run of a search at work."""
    with store.stage_run("search", "search", {}) as run:
        yield run


@pytest.fixture
def away(store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Let a server that refuses connections be the store; undoing it brings the store back."""
    with socket.socket() as free, pytest.MonkeyPatch.context() as patch:
        free.bind(("127.0.0.1", 0))
        patch.setattr(store, "client", MlflowClient(f"http://127.0.0.1:{free.getsockname()[1]}"))
        monkeypatch.setattr(delivery, "_FIRST_PAUSE", 0.0)
        monkeypatch.setattr(delivery, "_PATIENCE", 0.0)
        yield patch
    for entry in store.journal.entries():
        store.journal.remove(entry)


def label(name: str) -> Label:
    """Return a label of a trial."""
    return Label("trial", name, "trial")


def shown(store: Store, parent: StageRun) -> list[Run]:
    """Return the runs below a stage's, whatever became of them, in the order in which they were made."""
    runs = store.pages(f"tags.`mlflow.parentRunId` = '{parent.run_id}'")
    return sorted(runs, key=lambda run: int(run.info.end_time or 0))


def test_what_a_store_that_is_away_did_not_take_is_logged_when_it_is_back(
    store: Store, parent: StageRun, fingerprint: str, away: pytest.MonkeyPatch
) -> None:
    """In order, each once; that it is away and that it is back is said, and how many wait can be asked."""
    said: list[str] = []
    log = TrainingLog(store, parent, fingerprint, draw, said.append)
    for at, question in enumerate(QUESTIONS[:3]):
        log.log(question, make_training(30), label(f"training {at}"))
        assert log.waiting == at + 1
    assert len(said) == 1
    assert "does not answer: trainings go on" in said[0]
    away.undo()
    log.log(QUESTIONS[3], make_training(30), label("training 3"))
    assert said[1] == "the tracking store is back: trainings that waited are logged (4)"
    runs = shown(store, parent)
    assert [(run.info.run_name, run.info.status) for run in runs] == [(f"training {at}", "FINISHED") for at in range(4)]
    assert (log.waiting, store.journal.entries()) == (0, [])
    log.finish("done")


def test_stage_whose_store_stays_away_says_its_answer_and_where_its_trainings_are(
    store: Store, parent: StageRun, fingerprint: str, away: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The next command logs them, and finds them again."""
    said: list[str] = []
    log = TrainingLog(store, parent, fingerprint, draw, said.append)
    log.log(QUESTION, make_training(30), label("late"))
    with pytest.raises(InputError, match=r"trainings wait in .* to be logged \(1\): .* run the same command again"):
        log.finish("cosine lr=0.1")
    assert said[-1] == "cosine lr=0.1"
    away.undo()
    (found,) = checks.waiting_trainings(store)
    assert found.text.startswith("1 finished trainings wait in ")
    store_in_order("lr-pipeline")
    assert list(checks.waiting_trainings(store)) == []
    assert capsys.readouterr().err == "lr-pipeline: trainings that waited in the journal are logged (1 of 1)\n"
    assert [run.info.run_name for run in shown(store, parent)] == ["late"]
    log.look_up()
    assert log.recall(QUESTION) is not None


def test_what_was_logged_in_part_is_completed(store: Store, parent: StageRun, fingerprint: str) -> None:
    """There is one run of it, with every metric once."""
    log = make_log(store, parent, fingerprint)
    training = make_training(300)

    def fail(run_id: str, folder: str) -> None:
        raise ConnectionResetError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store.client, "log_artifacts", fail)
        log.log(QUESTION, training, label("in part"))
    (begun,) = shown(store, parent)
    assert begun.info.status != "FINISHED"
    Delivery(store, print).attempt()
    (run,) = shown(store, parent)
    assert (run.info.run_id, run.info.status) == (begun.info.run_id, "FINISHED")
    assert len(store.client.get_metric_history(run.info.run_id, "lr")) == 150
    assert store.intact(run.info.run_id) is not None


@pytest.mark.parametrize("file", ["lr_curve.csv", "result.json", "weights.npz", "manifest.json", "../record.json"])
@pytest.mark.parametrize("damage", ["gone", "cut short"])
def test_damaged_training_in_the_journal_is_made_again(
    file: str, damage: str, store: Store, parent: StageRun, fingerprint: str, away: pytest.MonkeyPatch
) -> None:
    """It is neither recalled nor logged, and a line says so."""
    said: list[str] = []
    log = TrainingLog(store, parent, fingerprint, draw, said.append)
    log.log(QUESTION, replace(make_training(30), weights=[np.ones(300, np.float32)]), label("damaged"))
    away.undo()
    log.look_up()
    (entry,) = store.journal.entries()
    path = entry.artifacts / file
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert log.recall(QUESTION) is None
    assert said[-1] == f"training {QUESTION.name} is damaged: made again"
    assert store.journal.entries() == []
    Delivery(store, print).attempt()
    assert shown(store, parent) == []


def test_damaged_training_in_the_store_is_made_again(store: Store, fingerprint: str) -> None:
    """A line says so, and the stage that it belongs to is not taken for finished."""
    said: list[str] = []
    with store.stage_run("search", "first", {}) as first:
        store.set_fingerprint(first, fingerprint)
        TrainingLog(store, first, fingerprint, draw, said.append).log(QUESTION, make_training(30), label("one"))
    assert store.find("search", fingerprint) is not None
    (run,) = shown(store, first)
    (store.folder(run.info.run_id) / "lr_curve.csv").unlink()
    assert store.find("search", fingerprint) is None
    with store.stage_run("search", "second", {}) as second:
        log = TrainingLog(store, second, fingerprint, draw, said.append)
        log.look_up()
        assert log.recall(QUESTION) is None
    assert said == [f"training {QUESTION.name} is damaged: made again"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a folder on a disk of 256 kB."""
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", tmp_path], capture_output=True)
    if mounted.returncode:
        pytest.skip("disks cannot be mounted here")
    yield tmp_path
    subprocess.run(["umount", tmp_path], check=True)


def test_disk_that_fills_up_loses_nothing_that_was_finished(small_disk: Path) -> None:
    """What no longer fits is not there at all, and fits once there is space."""
    own = Journal(small_disk)
    record = Record("training", "key", "parent", "0", {}, 0.0)
    added = []
    with pytest.raises(OSError, match="No space left"):  # noqa: PT012
        while True:
            added.append(own.add(record, lambda folder: (folder / "result.json").write_bytes(bytes(20_000))))
    assert len(added) > 2
    assert own.entries() == added
    assert [entry.read() for entry in added] == [record] * len(added)
    assert sorted(own.waiting.iterdir()) == [entry.folder for entry in added]
    own.remove(added[0])
    own.add(record, lambda folder: (folder / "result.json").write_bytes(bytes(20_000)))


ROOT = Path(__file__).resolve().parents[2]
CLAIM = """
import sys, time
from pathlib import Path
from pipeline.tracking.journal import Journal

claim = Journal(Path(sys.argv[1])).claim("key")
print("claimed" if claim else "refused", flush=True)
time.sleep(600)
"""


def test_claim_ends_with_its_process(tmp_path: Path) -> None:
    """Even if that is killed."""
    own = Journal(tmp_path)
    process = subprocess.Popen(
        [sys.executable, "-c", CLAIM, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "claimed\n"
    assert own.claim("key") is None
    assert own.claim("another key") is not None
    process.kill()
    process.communicate()
    claim = own.claim("key")
    assert claim is not None
    assert claim.made == 0


def test_training_is_made_by_one_of_two_commands(store: Store, fingerprint: str) -> None:
    """Whoever comes second waits for the first, or takes what it has made meanwhile."""
    with store.stage_run("main", "main", {}) as main:
        ids = [store.create_child(name, main, {"pipeline.stage": "search"}) for name in ("one", "two")]
        one, two = (make_log(store, StageRun(run_id, main.experiment_id, main.folder), fingerprint) for run_id in ids)
        for log in (one, two):
            log.look_up()
            assert log.recall(QUESTION) is None
        assert one.claim(QUESTION)
        assert not two.claim(QUESTION)
        one.log(QUESTION, make_training(30), label("made once"))
        two.await_other(QUESTION)
        assert not two.claim(QUESTION)
        assert two.recall(QUESTION) is not None
        (there,), (here,) = (store.children(run_id, "trial") for run_id in ids)
        assert here.data.tags["pipeline.cached"] == there.info.run_id
        for run_id in ids:
            store.client.set_terminated(run_id)


def test_training_that_is_logged_late_is_found_by_who_has_looked_before(
    store: Store, fingerprint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was neither in the store when that was searched, nor in the journal afterwards."""
    monkeypatch.setattr(journal, "_PATIENCE", 0.0)
    with store.stage_run("main", "main", {}) as main:
        ids = [store.create_child(name, main, {"pipeline.stage": "search"}) for name in ("one", "two")]
        first, second = (StageRun(run_id, main.experiment_id, main.folder) for run_id in ids)
        with store.journal.being_logged():
            make_log(store, first, fingerprint).log(QUESTION, make_training(30), label("late"))
        log = make_log(store, second, fingerprint)
        log.look_up()
        Delivery(store, print).attempt()
        assert not log.claim(QUESTION)
        assert log.recall(QUESTION) is not None
        for run_id in ids:
            store.client.set_terminated(run_id)


def test_patience_that_the_user_has_set_stays(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Opening a store changes it for the first request only."""
    for name, value in USUAL.items():
        monkeypatch.setenv(name, f"{value}1")
    store_in_order("lr-pipeline")
    assert {name: os.environ[name] for name in USUAL} == {name: f"{value}1" for name, value in USUAL.items()}

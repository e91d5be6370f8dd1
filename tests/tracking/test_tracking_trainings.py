"""Training runs: what is logged, what is read back, and what survives an interruption."""

import json
import shutil
import threading
from collections.abc import Iterator
from copy import copy
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from pipeline.evaluation import Evaluation, Training
from pipeline.reporting.training_figures import lr_curve
from pipeline.tracking import Label, StageRun, Store, TrainingLog
from pipeline.tracking.journal import Journal
from pipeline.tracking.trainings import read_evaluation, read_training
from tests.tracking.conftest import QUESTION, TRIAL, logged, make_log, make_training

OTHER = QUESTION.trying(initial_lr=0.04)


@pytest.fixture
def parent(store: Store) -> Iterator[StageRun]:
    """Return the run of a search at work."""
    with store.stage_run("search", "search", {}) as run:
        yield run


def assert_same(left: Training, right: Training) -> None:
    """Compare every field to the last bit; NaN equals NaN."""
    for field in fields(Training):
        before, after = getattr(left, field.name), getattr(right, field.name)
        if field.name == "weights" and before is not None:
            np.testing.assert_array_equal(after, before)
        elif isinstance(before, np.ndarray):
            assert after.dtype == before.dtype == np.float32
            np.testing.assert_array_equal(after, before)
        else:
            assert repr(after) == repr(before)


def test_a_training_that_was_given_up_is_tried_again(store: Store, fingerprint: str) -> None:
    """By the next stage that asks for it. No worker survived an update of it, so its curve is empty."""
    nothing = np.empty(0, np.float32)
    given_up = Training(nothing, nothing, {}, 22, 22, "given up: it ended the process of 3 workers", 0.0, 0)
    with store.stage_run("search", "search", {}) as run:
        TrainingLog(store, run, fingerprint, lr_curve).log(QUESTION, given_up, TRIAL)
        later = TrainingLog(store, run, fingerprint, lr_curve)
        later.look_up()
        assert_same(recalled(later, QUESTION), given_up)
    with store.stage_run("search", "search", {}) as run:
        log = TrainingLog(store, run, fingerprint, lr_curve)
        log.look_up()
        assert log.recall(QUESTION) is None
        assert log.claim(QUESTION)
        log.log(QUESTION, make_training(), TRIAL)
        log.look_up()
        assert not recalled(log, QUESTION).given_up


def test_training_is_logged_as_the_contract_says(store: Store, parent: StageRun, fingerprint: str) -> None:
    """It has its name, tags, parameters and metrics, and nothing else of ours."""
    training = make_training()
    log = make_log(store, parent, fingerprint)
    run = store.client.get_run(logged(store, log, replace(training, test={"loss": 0.5})))
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "step lr=0.03 drop_rate=0.5,drops=2 seed=10000"
    ours = {key: value for key, value in run.data.tags.items() if key.startswith("pipeline.")}
    del ours["pipeline.process"]
    assert ours == {
        "pipeline.stage": "trial",
        "pipeline.fingerprint": f"{fingerprint}-{QUESTION.digest}",
        "pipeline.scheme": "step",
        "pipeline.optimizer": "sgd",
        "pipeline.batch_size": "50",
        "pipeline.role": "trial",
    }
    assert run.data.tags["mlflow.parentRunId"] == parent.run_id
    assert run.data.params == {
        **{
            "optimizer": "sgd",
            "scheme": "step",
            "initial_lr": "0.03",
            "batch_size": "50",
            "epochs": "3",
            "seed": "10000",
            "split": "0",
        },
        **{"scheme.drop_rate": "0.5", "scheme.drops": "2"},
    }
    assert run.data.metrics == pytest.approx(
        {
            "lr": float(training.rates[-1]),
            "loss": float(training.losses[-1]),
            "epoch": 1199 / 400,
            **{"accuracy": 0.9, "val_loss": 0.45, "val_accuracy": 0.83},
            **{"best_val_loss": 0.4, "best_val_accuracy": 0.85, "test_loss": 0.5},
            **{"train_seconds": 2.5, "examples_per_second": 2_000.0},
        }
    )
    assert abs(run.info.end_time - run.info.start_time - 2_500) < 5_000


def test_metrics_keep_apart_whatever_they_are_called(store: Store, parent: StageRun, fingerprint: str) -> None:
    """Keras allows any name, MLflow does not: `top@2` becomes `top_2`, and only one of several can be called that."""
    names = ("top@2", "top_2", "top#2", "F1 (macro)", "a//b", "../up", "lr", "x" * 300, "größe")
    history = {name: [float(at)] for at, name in enumerate(names)}
    training = replace(make_training(), history=history, test={"top@2": 100.0})
    log = make_log(store, parent, fingerprint)
    kept = store.client.get_run(logged(store, log, training)).data.metrics
    assert {kept[name] for name in ("top_2", "top_2_", "top_2__")} == {0.0, 1.0, 2.0}
    assert (kept["top_2"], kept["test_top_2"], kept["lr_metric"]) == (1.0, 100.0, 6.0)
    assert kept["lr"] == float(training.rates[-1])
    assert {float(at) for at in range(len(names))} <= {*kept.values()}


@pytest.mark.parametrize("updates", [3, 300, 1_200])
def test_metrics_are_thinned_but_the_file_is_whole(
    updates: int, store: Store, parent: StageRun, fingerprint: str
) -> None:
    """At most 150 points include the first and last update; validations are at the update before them."""
    training = make_training(updates)
    run_id = logged(store, make_log(store, parent, fingerprint), training)
    for metric, values in (("lr", training.rates), ("loss", training.losses)):
        points = store.client.get_metric_history(run_id, metric)
        steps = [point.step for point in points]
        assert len(steps) == len(set(steps)) == min(updates, 150)
        assert {0, updates - 1} <= set(steps)
        assert all(point.value == float(values[point.step]) for point in points)
    part = updates // 3
    validations = [(point.step, point.value) for point in store.client.get_metric_history(run_id, "val_loss")]
    assert sorted(validations) == [(part - 1, 1.0), (2 * part - 1, 0.4), (3 * part - 1, 0.45)]
    frame = pd.read_csv(store.folder(run_id) / "lr_curve.csv")
    assert list(frame.columns) == ["step", "epoch", "lr", "loss"]
    assert list(frame["step"]) == list(range(updates))
    np.testing.assert_allclose(frame["epoch"], np.arange(updates) / part)


def test_training_is_read_back_to_the_last_bit(store: Store, parent: StageRun, fingerprint: str) -> None:
    """Any float32, from smallest to largest, survives the text file, and so does the question."""
    training = make_training()
    folder = store.folder(logged(store, make_log(store, parent, fingerprint), training))
    assert_same(read_training(folder), training)
    assert read_evaluation(folder) == QUESTION
    assert read_evaluation(folder).digest == QUESTION.digest
    assert (folder / "lr_curve.png").stat().st_size > 0


def test_diverged_training_is_logged_and_read_back(store: Store, parent: StageRun, fingerprint: str) -> None:
    """NaN losses survive, the reason is a tag, and Python can read the result."""
    training = make_training(30, diverged="loss is nan at update 29")
    run_id = logged(store, make_log(store, parent, fingerprint), training)
    run = store.client.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert run.data.tags["pipeline.diverged"] == "loss is nan at update 29"
    assert np.isnan(run.data.metrics["loss"])
    assert run.data.metrics["best_val_loss"] == 0.4
    folder = store.folder(run_id)
    assert_same(read_training(folder), training)
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    assert result["diverged"] == "loss is nan at update 29"
    assert np.isnan(result["history"]["val_loss"][2])


def test_points_are_sent_in_few_calls(
    store: Store, parent: StageRun, fingerprint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There are no more calls than the limit of 1,000 points requires, and none for a single metric."""
    sent: list[int] = []
    log_batch = store.client.log_batch

    def counted(run_id: str, metrics: list[object], *others: object) -> None:
        sent.append(len(metrics))
        log_batch(run_id, metrics, *others)

    monkeypatch.setattr(store.client, "log_batch", counted)
    make_log(store, parent, fingerprint).log(QUESTION, make_training(), TRIAL)
    assert sent == [3 * 150 + 3 * 3 + 4]  # with the parameters and tags


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_interrupted_writing_leaves_nothing(
    error: type[BaseException], store: Store, parent: StageRun, fingerprint: str
) -> None:
    """There is neither a run, nor a training in the journal that is not whole."""

    def fail(evaluation: Evaluation, training: Training) -> Figure:
        raise error

    with pytest.raises(error):
        TrainingLog(store, parent, fingerprint, fail).log(QUESTION, make_training(3), TRIAL)
    below = f"tags.`mlflow.parentRunId` = '{parent.run_id}'"
    assert store.client.search_runs([parent.experiment_id], below) == []
    assert list(store.journal.waiting.iterdir()) == []


def recalled(log: TrainingLog, evaluation: Evaluation) -> Training:
    """Return the training that the log recalls."""
    training = log.recall(evaluation)
    assert training is not None
    return training


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, None])
def test_a_stand_in_is_shown_for_a_training_of_another_run(
    error: type[BaseException] | None, store: Store, fingerprint: str
) -> None:
    """The training stays with its run, interrupted or finished, and the stand-in names what it stands for.

    It has the same name, tags, metrics and files, and the question is answered with the same training.
    """
    training = make_training(30)
    try:
        with store.stage_run("search", "first", {}) as first:
            label = Label("trial", "first", "trial")
            original = logged(store, make_log(store, first, fingerprint), training, label)
            if error is not None:
                raise error
    except (KeyboardInterrupt, RuntimeError):
        assert error is not None
    with store.stage_run("search", "search", {}) as parent:
        log = make_log(store, parent, fingerprint)
        assert log.recall(QUESTION) is None
        log.look_up()
        assert_same(recalled(log, QUESTION), training)
        assert log.recall(OTHER) is None
        (there,) = store.children(first.run_id, "trial")
        (here,) = store.children(parent.run_id, "trial")
    assert there.info.run_id == original
    assert here.data.tags["pipeline.cached"] == original
    assert here.info.run_name == there.info.run_name == "first"
    assert here.data.metrics == there.data.metrics
    assert here.data.params == there.data.params
    for name in ("pipeline.role", "pipeline.stage", "pipeline.scheme", "pipeline.fingerprint"):
        assert here.data.tags[name] == there.data.tags[name]
    files = [{f.name: f.read_bytes() for f in store.folder(run.info.run_id).iterdir()} for run in (here, there)]
    assert files[0] == files[1]


def test_two_at_once_both_show_an_orphaned_training(store: Store, fingerprint: str) -> None:
    """Both show it, whichever recalls it first."""
    with pytest.raises(KeyboardInterrupt), store.stage_run("search", "interrupted", {}) as interrupted:  # noqa: PT012
        make_log(store, interrupted, fingerprint).log(QUESTION, make_training(30), TRIAL)
        raise KeyboardInterrupt
    with store.stage_run("main", "main", {}) as main:
        ids = [store.create_child(name, main, {"pipeline.stage": "search"}) for name in ("one", "two")]
        parents = [StageRun(run_id, main.experiment_id, main.folder) for run_id in ids]
        logs = [make_log(store, parent, fingerprint) for parent in parents]
        for log in logs:
            log.look_up()
        threads = [threading.Thread(target=log.recall, args=(QUESTION,)) for log in logs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for run_id in ids:
            assert len(store.children(run_id, "trial")) == 1
            store.client.set_terminated(run_id)


def test_what_a_command_elsewhere_has_made_is_not_made_again(store: Store, fingerprint: str, tmp_path: Path) -> None:
    """Although its journal is another one: the store is asked once more before a training begins."""
    elsewhere = copy(store)
    elsewhere.journal = Journal(tmp_path, is_only=False)
    with store.stage_run("search", "here", {}) as here:
        ids = [here.run_id, store.create_child("there", here, {"pipeline.stage": "search"})]
        own, other = (
            make_log(one, StageRun(run_id, here.experiment_id, here.folder), fingerprint)
            for one, run_id in zip((elsewhere, store), ids, strict=True)
        )
        own.look_up()
        assert own.recall(QUESTION) is None
        other.log(QUESTION, make_training(30), TRIAL)
        assert not own.claim(QUESTION)
        own.await_other(QUESTION)
        assert_same(recalled(own, QUESTION), make_training(30))
        assert own.claim(OTHER)
        # One that is damaged is made again.
        shutil.rmtree(store.folder(store.children(ids[1], "trial")[0].info.run_id))
        assert own.recall(QUESTION) is None
        assert own.claim(QUESTION)
        store.client.set_terminated(ids[1])


@pytest.mark.parametrize("damage", ["lr_curve.csv", "lr_curve.png", "result.json", "weights.npz", "cut short", "all"])
def test_training_that_lost_artifacts_is_not_known(damage: str, store: Store, fingerprint: str) -> None:
    """It counts as unknown, to be trained again; an older intact one is still found."""
    training = replace(make_training(30), weights=[np.ones(3, np.float32)])
    with store.stage_run("search", "first", {}) as first:
        log = make_log(store, first, fingerprint)
        runs = [logged(store, log, training) for _ in range(2)]
    left = [True, False]
    with store.stage_run("search", "search", {}) as parent:
        for run_id, whole in zip(reversed(runs), left, strict=True):
            folder = store.folder(run_id)
            if damage == "all":
                shutil.rmtree(folder)
            elif damage == "cut short":
                curve = folder / "lr_curve.csv"
                curve.write_bytes(curve.read_bytes()[:200])
            else:
                (folder / damage).unlink()
            log = make_log(store, parent, fingerprint)
            log.look_up()
            assert (log.recall(QUESTION) is not None) is whole


def test_answer_that_holds_less_than_is_asked_for_is_not_known(store: Store, fingerprint: str) -> None:
    """A trial has neither test scores nor weights; a final training answers a trial's question too."""
    bare = make_training(30)
    whole = replace(bare, test={"loss": 0.5, "accuracy": 0.9}, weights=[np.arange(6, dtype=np.float32).reshape(2, 3)])
    with store.stage_run("search", "search", {}) as parent:
        log = make_log(store, parent, fingerprint)
        log.log(QUESTION, bare, TRIAL)
        log.log(OTHER, whole, TRIAL)
        log.look_up()
        assert log.recall(QUESTION) is not None
        assert log.recall(replace(QUESTION, test=True)) is None
        assert log.recall(replace(QUESTION, weights=True)) is None
        assert log.recall(OTHER) is not None
        final = recalled(log, replace(OTHER, test=True, weights=True))
    assert final.test == whole.test
    assert final.weights is not None
    np.testing.assert_array_equal(final.weights[0], np.arange(6).reshape(2, 3))


def test_training_of_another_context_is_not_known(store: Store, fingerprint: str) -> None:
    """The same question about other data is a different one."""
    with store.stage_run("search", "finished", {}) as finished:
        make_log(store, finished, "e" * 64).log(QUESTION, make_training(3), TRIAL)
    with store.stage_run("search", "search", {}) as parent:
        log = make_log(store, parent, fingerprint)
        log.look_up()
        assert log.recall(QUESTION) is None


def test_training_is_shown_on_its_stage_too(store: Store, parent: StageRun, fingerprint: str) -> None:
    """The stage's own run gets the metrics, curve and tags of the training it keeps."""
    training = make_training(30)
    make_log(store, parent, fingerprint).log_onto(parent, QUESTION, training, {"test_loss": 0.5})
    run = store.client.get_run(parent.run_id)
    assert run.data.metrics["test_loss"] == 0.5
    assert run.data.metrics["lr"] == float(training.rates[-1])
    assert run.data.tags["pipeline.scheme"] == "step"
    assert run.data.tags["pipeline.optimizer"] == "sgd"
    assert run.data.tags["pipeline.batch_size"] == "50"
    assert {path.name for path in Path(parent.folder).iterdir()} == {"lr_curve.csv", "lr_curve.png"}

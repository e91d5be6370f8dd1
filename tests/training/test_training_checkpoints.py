"""A training that goes on from its checkpoint, in a new engine, is to the last bit the one that was never stopped."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from pipeline.datasets import Splits
from pipeline.evaluation import Candidate, Evaluation, answers
from pipeline.schedules import rewriter
from pipeline.training import Checkpoints, InProcess, Problem, Trainer
from tests.training.networks import BATCH, STEPS, digest, digits, plain, trainer
from tests.training.test_training_disk import mapped, streamed

EPOCHS, STOPPED = 6, 3
CURVE = np.geomspace(0.1, 0.01, EPOCHS * STEPS)
CANDIDATE = Candidate(scheme="cosine", initial_lr=0.05, optimizer="sgd", batch_size=BATCH, params={})
ASKED = Evaluation(CANDIDATE, EPOCHS, seed=3, test=True, weights=True)
PLATEAU = {"patience": 1, "min_delta": 0.9}

WAYS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "momentum": ("constant", "sgd", {}),
    "adam, dropout, BatchNormalization, patience, best weights": ("rich", "adam", {"patience": 2, "keep_best": True}),
    "averaged weights": ("rich", "schedule_free_adamw", {"patience": 2, "keep_best": True}),
    "an estimated rate": ("plain", "prodigy", {}),
    "plateau, draws from the global generator": ("noisy", "sgd", {"rewrite": rewriter("reduce_on_plateau", PLATEAU)}),
}
"""What is trained: the network, the optimizer, and arguments of `Trainer.train`."""


class Stop(keras.callbacks.Callback):  # type: ignore[misc]
    """Callback that interrupts a training in the midst of an epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.began: list[int] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.began.append(epoch)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self.began[-1] == STOPPED:
            raise KeyboardInterrupt


class Lines(list[str]):
    """What was told."""

    def checkpoints(self, folder: Path, seconds: float = 0.0) -> Checkpoints:
        """Return checkpoints in a folder, by default after each epoch."""
        return Checkpoints(folder, "context", seconds, self.append)


def fresh(network: str, optimizer: str) -> Trainer:
    """Return an engine that has trained nothing."""
    made: Trainer = trainer.__wrapped__(network, optimizer)
    return made


def interrupted(folder: Path, network: str, optimizer: str, **options: Any) -> Lines:
    """Train until the interruption, and return the lines that go on to be told."""
    lines = Lines()
    checkpoint = lines.checkpoints(folder).of(ASKED)
    with pytest.raises(KeyboardInterrupt):
        trainer(network, optimizer).train(
            CURVE, 3, validations=EPOCHS, callbacks=[Stop()], checkpoint=checkpoint, **options
        )
    return lines


@pytest.mark.parametrize("way", WAYS)
def test_nothing_shows_that_it_was_interrupted(way: str, tmp_path: Path) -> None:
    """Rates, losses, history, weights, statistics, dropout seeds and optimizer; only the epochs left are trained."""
    network, optimizer, options = WAYS[way]
    whole = trainer(network, optimizer)
    expected = digest(whole, whole.train(CURVE, 3, validations=EPOCHS, **options))
    lines = interrupted(tmp_path, network, optimizer, **options)
    engine = fresh(network, optimizer)
    epochs: list[int] = []
    began = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: epochs.append(epoch))
    checkpoint = lines.checkpoints(tmp_path).of(ASKED)
    training = engine.train(CURVE, 3, validations=EPOCHS, callbacks=[began], checkpoint=checkpoint, **options)
    assert digest(engine, training) == expected
    assert epochs[0] == STOPPED
    assert lines == ["cosine lr=0.05 seed=3: goes on from its checkpoint, 50% done"]


class TestDamage:
    @pytest.mark.parametrize(
        "damage", [lambda content: content[:-9], lambda content: content[:99] + b"?" * 9, lambda _: b""]
    )
    def test_a_damaged_checkpoint_is_not_used(self, damage: Any, tmp_path: Path) -> None:
        """It is said, and the training starts again."""
        engine = trainer("plain", "sgd")
        expected = digest(engine, engine.train(CURVE, 3, validations=EPOCHS))
        lines = interrupted(tmp_path, "plain", "sgd")
        [file] = tmp_path.iterdir()
        file.write_bytes(damage(file.read_bytes()))
        checkpoint = lines.checkpoints(tmp_path).of(ASKED)
        assert digest(engine, engine.train(CURVE, 3, validations=EPOCHS, checkpoint=checkpoint)) == expected
        assert lines == ["cosine lr=0.05 seed=3: its checkpoint is damaged: it starts again"]

    def test_a_checkpoint_that_cannot_be_written_stops_nothing(self, tmp_path: Path) -> None:
        """It is said each time, and the training is what it is without."""
        (tmp_path / "file").touch()
        engine, lines = trainer("plain", "sgd"), Lines()
        expected = digest(engine, engine.train(CURVE, 3, validations=EPOCHS))
        checkpoint = lines.checkpoints(tmp_path / "file").of(ASKED)
        assert digest(engine, engine.train(CURVE, 3, validations=EPOCHS, checkpoint=checkpoint)) == expected
        assert len(lines) == EPOCHS - 1
        assert "no checkpoint could be written" in lines[0]


class TestWhen:
    def executor(self, splits: Splits) -> InProcess:
        """Return an executor for these data."""
        return InProcess(Problem(plain, splits, momentum=0.9, precision="float32"))

    def test_short_trainings_write_none(self, tmp_path: Path) -> None:
        """A checkpoint is due only after its time."""
        answers(
            lambda asked: self.executor(digits()).ask(asked, checkpoints=Lines().checkpoints(tmp_path, 60)), [ASKED]
        )
        assert list(tmp_path.iterdir()) == []

    def test_they_stay_until_they_are_removed(self, tmp_path: Path) -> None:
        """Data on disk have checkpoints as well; the one who asks removes them once the training is recorded."""
        checkpoints = Lines().checkpoints(tmp_path / "checkpoints")
        executor = self.executor(mapped(digits(), tmp_path))
        for evaluation, _ in executor.ask([ASKED], checkpoints=checkpoints):
            assert checkpoints.of(evaluation).path.is_file()
            checkpoints.of(evaluation).remove()
        assert list(checkpoints.folder.iterdir()) == []

    def test_streams_have_none(self, tmp_path: Path) -> None:
        """Read again, they may come in another order."""
        executor = self.executor(streamed(digits()))
        answers(lambda asked: executor.ask(asked, checkpoints=Lines().checkpoints(tmp_path)), [ASKED])
        assert executor.streamed
        assert list(tmp_path.iterdir()) == []

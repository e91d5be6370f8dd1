"""Trainings on data that are not held in memory."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.datasets import Rows, Splits, Stream
from pipeline.datasets.streams import Reader
from pipeline.errors import InputError
from pipeline.training import Trainer, engine, examples
from pipeline.training.examples import Examples
from pipeline.training.feed import BatchOrder
from tests.training.networks import BATCH, STEPS, digest, digits, rich, trainer

CURVE = np.geomspace(0.05, 0.001, 3 * STEPS)


class Listed(Reader):
    """A data set of 40 batches of five examples that counts the passes over it."""

    def __init__(self, x: NDArray[Any], y: NDArray[Any]) -> None:
        self.data, self.batched, self.passes = "listed", True, 0
        self._x, self._y = x, y

    def move(self) -> None:
        """Change the order."""
        self._x, self._y = self._x[::-1], self._y[::-1]

    def __iter__(self) -> Iterator[tuple[NDArray[Any], ...]]:
        self.passes += 1
        for first in range(0, len(self._y), 5):
            yield self._x[first : first + 5], self._y[first : first + 5]


def mapped(splits: Splits, folder: Path) -> Splits:
    """Return the same splits, their inputs in files."""
    rows: dict[str, Any] = {}
    for name in ("x_train", "x_val", "x_test"):
        x, order = getattr(splits, name), np.random.default_rng(0).permutation(100)
        order = np.concatenate([order, np.arange(100, len(x))])
        np.save(folder / f"{name}.npy", x[np.argsort(order)])
        rows[name] = Rows(np.load(folder / f"{name}.npy", mmap_mode="r"), x.dtype, order)
    return dataclasses.replace(splits, **rows)


def streamed(splits: Splits) -> Splits:
    """Return the same splits, their inputs read in passes."""
    streams: dict[str, Any] = {}
    for name in ("train", "val", "test"):
        x, y = getattr(splits, f"x_{name}"), getattr(splits, f"y_{name}")
        streams[f"x_{name}"] = Stream(Listed(x, y), y, x.shape[1:], x.dtype)
    return dataclasses.replace(splits, **streams)


def on(splits: Splits) -> Trainer:
    """Return an engine for a network with everything in it, on these data."""
    return engine(rich, splits, optimizer="sgd", momentum=0.9, batch_size=BATCH, precision="float32")


def test_no_data_set_is_tuned(tmp_path: Path) -> None:
    """The end of an iterator would at times wait seconds for TensorFlow's tuner, and one ends every epoch."""
    for splits in (digits(), mapped(digits(), tmp_path), streamed(digits())):
        examples = Examples(splits)
        training = examples.feed(BatchOrder(200, BATCH)).dataset(STEPS)
        tuned = [data.options().autotune.enabled for data in (training, examples.validation, examples.test)]
        assert tuned == [False] * 3


class TestMapped:
    def test_only_where_the_inputs_are_differs(self, tmp_path: Path) -> None:
        """Losses, weights, history and test scores are those of memory, to the last bit, with one program."""
        ours, theirs = on(mapped(digits(), tmp_path)), trainer("rich")
        for seed in (1, 2):
            expected = theirs.train(CURVE, seed, validations=3, test=True)
            found = ours.train(CURVE, seed, validations=3, test=True)
            assert digest(ours, found) == digest(theirs, expected)
            assert found.test == expected.test
        assert ours.traces() == 1


class TestStream:
    def test_a_training_is_repeatable_and_learns(self) -> None:
        """With one program; after another seed and a training that diverged, the same question has the same answer."""
        ours = on(streamed(digits()))
        training = ours.train(CURVE, 1, validations=3, test=True)
        first = digest(ours, training)
        assert digest(ours, ours.train(CURVE, 2, validations=3)) != first
        assert ours.train(np.full(60, 1e8), 3, validations=0).diverged
        assert digest(ours, ours.train(CURVE, 1, validations=3)) == first
        assert ours.traces() == 1
        assert training.examples == 600
        assert training.losses[-STEPS:].mean() < training.losses[:STEPS].mean() / 1.2
        reference = trainer("rich").train(CURVE, 1, validations=3, test=True)
        assert training.test is not None
        assert reference.test is not None
        assert training.test["loss"] == pytest.approx(reference.test["loss"], rel=0.3)

    def test_data_that_change_are_reported_in_one_line(self) -> None:
        """Also where TensorFlow notices it."""
        splits = streamed(digits())
        splits.x_train.reader.move()
        with pytest.raises(InputError, match="data set of listed differs between passes: received other") as raised:
            on(splits).train(CURVE, 1, validations=3)
        assert str(raised.value).startswith("data set of listed")
        assert "\n" not in str(raised.value)

    def test_evaluations_see_every_example_once(self) -> None:
        """The same weights measure the same, from passes or from memory."""
        trained = trainer("rich")
        trained.train(CURVE, 1, validations=0)
        ours, theirs = (
            trained.model.evaluate(Examples(splits).test, verbose=0, return_dict=True)
            for splits in (streamed(digits()), digits())
        )
        assert ours == pytest.approx(theirs, rel=1e-6)

    @pytest.mark.parametrize("window", [1, 70, 1000])
    def test_every_epoch_is_one_pass_with_every_example_once(
        self, window: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Full batches and a short last one, in an order of seed and epoch, shuffled no further than the window."""
        monkeypatch.setattr(examples, "WINDOW_BYTES", 64 * window)
        numbered = np.arange(200, dtype=np.int32)
        splits = dataclasses.replace(streamed(dataclasses.replace(digits(), y_train=numbered)), y_train=numbered)
        feed = Examples(splits).feed(BatchOrder(200, BATCH))

        def labels(seed: int, start: int, stop: int) -> list[list[int]]:
            feed.arrange(seed, start, stop)
            return [batch[1].tolist() for batch in feed.dataset(stop - start).as_numpy_iterator()]

        whole = labels(1, 0, 2 * STEPS)
        assert [len(batch) for batch in whole] == [*[BATCH] * 6, 8] * 2
        epochs = [np.concatenate(whole[:STEPS]), np.concatenate(whole[STEPS:])]
        for epoch in epochs:
            assert sorted(epoch) == numbered.tolist()
            assert np.abs(epoch - numbered).max() <= 2 * max(window, BATCH)
        assert (epochs[0] != epochs[1]).any()
        assert labels(2, 0, STEPS) != whole[:STEPS]
        before = splits.x_train.reader.passes
        assert labels(1, 0, 5) + labels(1, 5, 2 * STEPS) == whole
        assert splits.x_train.reader.passes == before + 2
        assert labels(1, 9, 12) == whole[9:12]

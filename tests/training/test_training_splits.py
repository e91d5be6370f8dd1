"""Trainings on several splits of the data, by one program on one copy of the data."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.datasets import Splits, load, resplit, split, with_scaled_labels
from pipeline.evaluation import Candidate, Evaluation, Training, answers
from pipeline.models import Builder
from pipeline.training import InProcess, Problem, engine
from pipeline.training.executor import train
from tests.training.networks import BATCH, constant, digits, digits_table, rich, table_mlp

Data = Callable[[Path], Splits]


def in_memory(folder: Path) -> Splits:
    """Return images in memory, with weights."""
    w = np.linspace(0.5, 2, 300).astype(np.float32)
    return dataclasses.replace(digits(), w_train=w[:200], w_val=w[200:])


def on_disk(folder: Path) -> Splits:
    """Return images in files."""
    raw = load("digits")
    np.save(folder / "x_train.npy", raw.x_train[:400])
    np.save(folder / "y_train.npy", raw.y_train[:400])
    return split(load(str(folder), limit=0), seed=0)


def asked(number: int) -> Evaluation:
    """Ask for two passes on this split, with scores and weights."""
    candidate = Candidate(scheme="cosine", initial_lr=0.05, optimizer="sgd", batch_size=BATCH, params={})
    return Evaluation(candidate, 2, seed=3, split=number, test=True, weights=True)


def content(training: Training) -> tuple[object, ...]:
    """Return all numbers of a training."""
    assert training.weights is not None
    return training.losses.tobytes(), training.history, training.test, [part.tobytes() for part in training.weights]


@pytest.mark.parametrize(("build", "data"), [(rich, in_memory), (constant, on_disk)])
def test_answers_are_those_of_an_engine_on_that_split_alone(build: Builder, data: Data, tmp_path: Path) -> None:
    """To the last digit, in any order, also back on the prepared split, without tracing again."""
    splits = data(tmp_path)
    made = InProcess(Problem(build, splits, momentum=0.9, precision="float32"))
    numbers = (2, 0, 1, 0)
    found = [content(one) for number in numbers for one in answers(made.ask, [asked(number)])]
    assert made._engine(asked(0).candidate).traces() == 1
    assert found[1] == found[3]
    alone = engine(build, resplit(splits, 2), optimizer="sgd", momentum=0.9, batch_size=BATCH, precision="float32")
    assert found[0] == content(train(alone, asked(2)))
    assert len({str(history) for _, history, *_ in found}) == 3


def test_losses_on_scaled_labels_have_one_unit() -> None:
    """That of the labels, scaled as on the prepared split."""
    splits = with_scaled_labels(digits_table())
    made = InProcess(Problem(table_mlp, splits, momentum=0.9, precision="float32"))
    [training] = answers(made.ask, [asked(1)])
    alone = engine(table_mlp, resplit(splits, 1), optimizer="sgd", momentum=0.9, batch_size=BATCH, precision="float32")
    assert splits.label_scaling is not None
    expected = np.array(train(alone, asked(1)).history["val_loss"]) * splits.label_scaling.scale[0] ** 2
    np.testing.assert_allclose(training.history["val_loss"], expected, rtol=1e-12)

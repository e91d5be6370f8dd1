"""BatchNormalization's statistics in trainings that are too short for its moving averages."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers
from numpy.typing import NDArray

from pipeline.evaluation import Candidate, Evaluation, answers
from pipeline.training import Trainer, engine
from pipeline.training.feed import BatchOrder
from pipeline.training.own_model import OwnModel, model_kept
from tests.training.networks import BATCH, STEPS, digits, trainer

SEED = 3
CURVE = np.geomspace(0.05, 0.01, 3 * STEPS)


def normalised(*, momentum: float = 0.99, frozen: bool = False, nested: bool = False) -> keras.Model:
    """Return two dense layers with normalisation between them, which XLA compiles where the batches are small."""
    normalisation = layers.BatchNormalization(momentum=momentum)
    inner: keras.layers.Layer = normalisation
    if nested:
        inner = keras.Sequential([keras.Input((16,)), normalisation])
    normalisation.trainable = not frozen
    ends = layers.Dense(10, activation="softmax")
    return keras.Sequential([keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(16, "relu"), inner, ends])


def made(build: Callable[[], keras.Model] = normalised, **options: Any) -> Trainer:
    """Return an engine of its own for a network."""
    settings = {"optimizer": "sgd", "momentum": 0.9, "batch_size": BATCH, "precision": "float32", **options}
    return engine(build, digits(), **settings)


def statistics(model: keras.Model) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the mean and the variance that the second last layer normalises with."""
    layer = model.layers[-2]
    return layer.moving_mean.numpy(), layer.moving_variance.numpy()


def expected(model: keras.Model, batch_size: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return mean and variance of what is normalised, averaged over examples: all, or those of 50 batches."""
    order = BatchOrder(200, batch_size)
    rows, ends = order.indices(0, 0, min(50, order.steps_per_epoch))
    weights, bias = model.layers[1].get_weights()
    hidden = np.maximum((digits().x_train.reshape(200, -1) / 16) @ weights + bias, 0.0)
    batches = [hidden[rows[first:stop]] for first, stop in pairwise(ends)]
    sizes = [len(batch) for batch in batches]
    means, variances = [batch.mean(0) for batch in batches], [batch.var(0) for batch in batches]
    return np.average(means, 0, sizes), np.average(variances, 0, sizes)


@pytest.mark.parametrize("batch_size", [BATCH, 4])
def test_they_are_those_of_training_batches_with_the_final_weights(batch_size: int) -> None:
    """With a short last batch, and with batches of 4, whose updates XLA compiles as one program."""
    trained = made(batch_size=batch_size)
    training = trained.train(np.full(60, 0.05), SEED, validations=1)
    assert training.recomputed
    for found, wanted in zip(statistics(trained.model), expected(trained.model, batch_size), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


def test_nothing_else_changes() -> None:
    """Losses, weights and dropout seeds are the same to the last bit, also after a validation on the way."""
    ours, theirs = trainer("rich"), trainer("rich", recompute=False)
    mine, other = ours.train(CURVE, SEED, validations=3), theirs.train(CURVE, SEED, validations=3)
    np.testing.assert_array_equal(mine.losses, other.losses)
    moved = []
    for variable, same in zip(ours.model.variables, theirs.model.variables, strict=True):
        if not np.array_equal(variable.numpy(), same.numpy()):
            moved.append(variable.name)
    assert moved == ["moving_mean", "moving_variance"]
    assert (mine.recomputed, other.recomputed) == (True, False)
    assert ours.traces() == 1


def test_the_validation_loss_shows_what_was_learnt() -> None:
    """With Keras' averages it is far above what it is here, and its accuracy too."""
    curve = np.geomspace(0.3, 0.01, 4 * STEPS)
    mine = made().train(curve, SEED, validations=1)
    other = made(recompute=False).train(curve, SEED, validations=1)
    assert mine.val_loss < mine.losses[0] / 3
    assert other.val_loss > 3 * mine.val_loss
    assert mine.history["val_accuracy"][0] > other.history["val_accuracy"][0] + 0.2


@pytest.mark.parametrize(("momentum", "recomputed"), [(0.8, True), (0.79, False)])
def test_moving_averages_that_have_arrived_are_left(momentum: float, recomputed: bool) -> None:
    """After 20 updates, 1% of the initial value is left at a momentum of 0.794."""
    trained = made(lambda: normalised(momentum=momentum))
    assert trained.train(np.full(20, 0.01), SEED, validations=1).recomputed == recomputed


def test_layers_that_are_frozen_keep_theirs() -> None:
    """They normalise with them while training."""
    trained = made(lambda: normalised(frozen=True))
    assert not trained.train(CURVE, SEED, validations=3).recomputed
    mean, variance = statistics(trained.model)
    assert (set(mean), set(variance)) == ({0.0}, {1.0})


def test_nested_models_and_answers_are_covered() -> None:
    """The weights given with a training, and its test scores, have the statistics too."""
    trained = made(lambda: normalised(nested=True))
    training = trained.train(CURVE, SEED, validations=1, test=True, weights=True)
    assert training.recomputed
    assert training.weights is not None
    mean, variance = training.weights[4:6]
    assert np.median(mean) > 0.1
    assert training.test is not None
    assert training.test["loss"] == pytest.approx(training.val_loss, rel=0.2)
    assert (variance < 0.999).any()


def test_sweeps_need_none() -> None:
    """They are read by their training losses."""
    assert not trainer("rich").train(CURVE, SEED, validations=0).recomputed


def test_averaged_weights_get_statistics_of_their_own() -> None:
    """Keras puts the averages in place of the weights when the training has ended."""

    def averaging() -> keras.Model:
        model = normalised()
        optimizer = keras.optimizers.SGD(0.1, momentum=0.9, use_ema=True, ema_momentum=0.9)
        model.compile(optimizer, "sparse_categorical_crossentropy")
        return model

    trained = made(averaging)
    trained.train(CURVE, SEED, validations=1)
    for found, wanted in zip(statistics(trained.model), expected(trained.model, BATCH), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("eager", [False, True])
def test_a_users_own_model_is_judged_by_them_and_left_as_it_was(eager: bool) -> None:
    """Also one that runs eagerly."""
    keras.utils.set_random_seed(1)
    model, splits = normalised(), digits()
    model.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=eager)
    data = (splits.x_train / np.float32(16), splits.y_train)
    before = [variable.numpy() for variable in model.variables]
    candidate = Candidate(scheme="constant", initial_lr=0.3, optimizer="sgd", batch_size=BATCH, params={})
    with model_kept(model):
        executor = OwnModel(model, data, batch_size=BATCH, validation_data=data, reinitialize=False)
        (training,) = answers(executor.ask, [Evaluation(candidate, 3, SEED, validations=1)])
    assert training.recomputed
    assert training.val_loss < 1.5 * training.losses[-STEPS:].mean()
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)

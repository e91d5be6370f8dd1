"""Schedule-Free optimizers in the engine: gradients at one point, everything else with the averaged weights."""

import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.evaluation import Candidate, Evaluation, answers
from pipeline.optimizers import averaging
from pipeline.training import InProcess, Problem, Trainer
from tests.training.networks import BATCH, STEPS, digits, plain, trainer
from tests.training.test_training_batch_statistics import expected, made, normalised, statistics

SEED, EPOCHS = 3, 4
CURVE = np.full(EPOCHS * STEPS, 0.02)
FREE = "schedule_free_adamw"


def averages(trained: Trainer) -> list[Any]:
    """Return the averages that the optimizer holds."""
    optimizer = averaging(trained.model.optimizer)
    assert optimizer is not None
    return [variable.numpy() for variable in optimizer.variables if variable.name.endswith("average")]


@pytest.mark.parametrize("optimizer", ["schedule_free_sgd", FREE])
def test_validations_disturb_nothing(optimizer: str) -> None:
    """With one or four of them the losses of all batches are the same bits, as are the weights at the end."""
    ours = trainer("plain", optimizer)
    once = ours.train(CURVE, SEED, validations=1, weights=True)
    often = ours.train(CURVE, SEED, validations=EPOCHS, weights=True)
    np.testing.assert_array_equal(often.losses, once.losses)
    for one, other in zip(once.weights or (), often.weights or (), strict=True):
        np.testing.assert_array_equal(one, other)
    assert once.val_loss == often.val_loss


def test_each_validation_is_that_of_a_training_that_ends_there() -> None:
    """At a constant rate, since the average is not one over the weights to come."""
    ours = trainer("plain", FREE)
    whole = ours.train(CURVE, SEED, validations=EPOCHS)
    half = ours.train(CURVE[: 2 * STEPS], SEED, validations=2)
    assert half.history["val_loss"] == whole.history["val_loss"][:2]
    assert half.history["val_loss"][1] < half.history["val_loss"][0]


def test_what_is_left_is_the_average() -> None:
    """Final weights and test scores are of the average, which differs from where gradients were taken."""
    ours = trainer("plain", FREE)
    training = ours.train(CURVE, SEED, validations=EPOCHS, test=True, weights=True)
    for weight, average in zip(ours.model.trainable_variables, averages(ours), strict=True):
        np.testing.assert_array_equal(weight, average)
    x, y = digits().x_test / np.float32(16), digits().y_test
    assert training.test is not None
    assert ours.model.evaluate(x, y, verbose=0)[0] == pytest.approx(training.test["loss"], rel=1e-5)
    optimizer = averaging(ours.model.optimizer)
    assert optimizer is not None
    optimizer.hold_training_weights(ours.model.trainable_variables)
    assert ours.model.evaluate(x, y, verbose=0)[0] != pytest.approx(training.test["loss"], rel=1e-3)


def test_the_best_weights_are_averages_too() -> None:
    """Early stopping puts back those that were validated: evaluated again, they give the best loss."""
    ours = trainer("plain", FREE)
    rising = np.geomspace(0.003, 3.0, len(CURVE))
    training = ours.train(rising, SEED, validations=EPOCHS, patience=1, keep_best=True, weights=True)
    best = min(training.history["val_loss"])
    assert best < training.history["val_loss"][-1]
    x, y = digits().x_val / np.float32(16), digits().y_val
    assert ours.model.evaluate(x, y, verbose=0)[0] == pytest.approx(best, rel=1e-5)


def test_statistics_of_batch_normalization_are_those_of_the_average() -> None:
    """Even those whose moving averages have arrived: these belong to the weights of training."""
    ours = made(lambda: normalised(momentum=0.5), optimizer=FREE)
    training = ours.train(CURVE, SEED, validations=EPOCHS)
    assert training.recomputed
    for found, wanted in zip(statistics(ours.model), expected(ours.model, BATCH), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    kept = made(lambda: normalised(momentum=0.5), optimizer=FREE, recompute=False)
    assert not kept.train(CURVE, SEED, validations=EPOCHS).recomputed
    assert kept.lags(len(CURVE))


def test_the_validation_loss_of_a_sweep_is_the_averages() -> None:
    """It is measured between updates, after which training goes on as if nothing had been."""
    ours = trainer("table", FREE)
    curve = np.full(100, 0.02)
    swept = ours.train(curve, SEED, validations=0, validate_every=50)
    np.testing.assert_array_equal(swept.losses, ours.train(curve, SEED, validations=1).losses)
    short = ours.train(curve[:50], SEED, validations=1)
    assert swept.history["val_loss"][0] == pytest.approx(short.val_loss, rel=1e-6)


def test_the_served_model_predicts_with_averages_and_knows_no_optimizer(tmp_path: Path) -> None:
    """Its file loads without this project, and predicts what the averaged weights do."""
    executor = InProcess(Problem(plain, digits(), momentum=0.9, precision="float32"))
    candidate = Candidate(scheme="constant", initial_lr=0.02, optimizer=FREE, batch_size=BATCH, params={"warmup": 0.1})
    (training,) = answers(executor.ask, [Evaluation(candidate, EPOCHS, SEED, test=True, weights=True)])
    path = tmp_path / "model.keras"
    executor.served(training).save(path)
    with zipfile.ZipFile(path) as archive:
        assert "lr_pipeline" not in archive.read("config.json").decode()
    outputs = keras.saving.load_model(path).predict(digits().x_test, verbose=0)
    likelihoods = outputs[np.arange(len(outputs)), digits().y_test]
    assert training.test is not None
    assert -np.log(likelihoods).mean() == pytest.approx(training.test["loss"], rel=1e-4)


def test_a_second_average_is_refused() -> None:
    """A model compiled with Keras' moving average of weights cannot be trained by an optimizer with its own."""

    def averaged() -> keras.Model:
        model: keras.Model = plain()
        model.compile(keras.optimizers.SGD(0.1, use_ema=True), "sparse_categorical_crossentropy")
        return model

    with pytest.raises(InputError, match="compiled with use_ema=True"):
        made(averaged, optimizer=FREE)

"""What users write that training does not expect: seeds of their own, layers that exit, metrics of many numbers."""

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from pipeline.datasets.scaling import scalings
from pipeline.errors import InputError
from pipeline.training import InProcess, Problem, Trainer, engine
from pipeline.training.network import Network
from tests.training.networks import constant, digits, noisy, plain


def seeding(seed: Callable[[int], None], build: Callable[[], keras.Model] = plain) -> Callable[[], keras.Model]:
    """Return a function that sets a seed before it builds its network."""

    def seeded() -> keras.Model:
        seed(42)
        return build()

    return seeded


@pytest.mark.parametrize("seed", [keras.utils.set_random_seed, random.seed])
def test_a_function_that_sets_the_seed_of_its_weights_is_refused(seed: Callable[[int], None]) -> None:
    """All seeds would give the same training, and an interval over them would have no width."""
    with pytest.raises(InputError, match=r"a function that sets a random seed.*: one that sets none"):
        Network(seeding(seed), "float32")


@pytest.mark.parametrize("seed", [np.random.seed, tf.random.set_seed])
def test_seeds_that_leave_the_weights_to_keras_are_accepted(seed: Callable[[int], None]) -> None:
    """Keras draws its own from Python's generator alone, so that seeds still differ."""
    network = Network(seeding(seed), "float32")
    assert not network.same_start
    assert not np.array_equal(network.initial_state(1)[0], network.initial_state(2)[0])


@pytest.mark.parametrize(("build", "said"), [(constant, True), (plain, False), (noisy, False)])
def test_weights_that_are_the_same_for_all_seeds_are_said(build: Callable[[], keras.Model], said: bool) -> None:
    """As of pretrained ones, or of initializers with seeds of their own; dropout's own state does not count."""
    remarks = InProcess(Problem(build, digits(), momentum=0.9, precision="float32")).remarks
    assert any("every seed starts from the same weights" in line for line in remarks) == said


@pytest.mark.parametrize(("way", "said"), [("auto", True), ("none", False)])
def test_a_network_that_scales_its_inputs_itself_is_told_from_others(way: str, said: bool) -> None:
    """Else they would be scaled twice without a word, as those of many pretrained networks."""

    def rescaling() -> keras.Model:
        return keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Rescaling(1 / 16), plain()])

    splits = replace(digits(), scaling=scalings(digits().x_train, way))
    remarks = InProcess(Problem(rescaling, splits, momentum=0.9, precision="float32")).remarks
    assert any("has a Rescaling layer" in line for line in remarks) == said


class Leaving(keras.layers.Layer):  # type: ignore[misc]
    """A layer that ends the process when it is trained."""

    def call(self, inputs: Any, training: bool = False) -> Any:
        if training:
            raise SystemExit(0)
        return inputs


def test_a_layer_that_exits_is_refused() -> None:
    """Without an exit code of 2 and a line, the command would seem to have succeeded."""

    def build() -> keras.Model:
        return keras.Sequential([keras.Input((8, 8, 1)), Leaving(), plain()])

    trained = engine(build, digits(), optimizer="sgd", momentum=0.9, batch_size=32, precision="float32")
    with pytest.raises(
        InputError, match=r"received SystemExit: 0 \(test_training_user_code.py, line \d+\) in training"
    ):
        trained.train(np.full(3, 0.1), 0, validations=1)


class Shares(keras.metrics.Metric):  # type: ignore[misc]
    """A metric of several numbers: the mean probability of each class, and as many zeros as asked for."""

    def __init__(self, padding: int = 0, **options: Any) -> None:
        super().__init__(**options)
        self.sums, self.padding = self.add_weight(shape=(10,), initializer="zeros"), padding

    def update_state(self, labels: Any, outputs: Any, sample_weight: Any = None) -> None:
        self.sums.assign_add(keras.ops.sum(outputs, axis=0))

    def result(self) -> Any:
        return keras.ops.pad(self.sums / keras.ops.sum(self.sums), (0, self.padding))


def measuring(metric: keras.metrics.Metric) -> Trainer:
    """Return an engine with a network that was compiled with this metric."""

    def build() -> keras.Model:
        model = plain()
        model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy", metric])
        return model

    return engine(build, digits(), optimizer="sgd", momentum=0.9, batch_size=32, precision="float32")


def test_a_metric_of_several_numbers_becomes_several() -> None:
    """In the history and in the scores; it can be searched by under these names."""
    training = measuring(Shares(name="share")).train(np.full(4, 0.1), 0, validations=2, test=True)
    names = [f"share_{label}" for label in range(10)]
    assert training.test is not None
    assert {*training.history} == {"loss", "val_loss", "accuracy", "val_accuracy"}.union(
        names, (f"val_{name}" for name in names)
    )
    assert {*training.test} == {"loss", "accuracy", *names}
    assert sum(training.test[name] for name in names) == pytest.approx(1)
    for at in range(2):
        assert sum(training.history[f"val_{name}"][at] for name in names) == pytest.approx(1)


def test_a_metric_of_very_many_numbers_is_refused() -> None:
    """Before anything trains."""
    with pytest.raises(InputError, match="metric 'share': received 110 numbers; accepted: at most 100"):
        measuring(Shares(padding=100, name="share"))


class Applying(keras.layers.Layer):  # type: ignore[misc]
    """A layer that holds a function, and does not say how to save it."""

    def __init__(self, function: Callable[[Any], Any], **options: Any) -> None:
        super().__init__(**options)
        self.function = function

    def call(self, inputs: Any) -> Any:
        return self.function(inputs)


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (lambda: Applying(lambda inputs: inputs * 2.0), "NotImplementedError"),
        (lambda: keras.layers.Lambda(lambda inputs: inputs * 2.0), "arbitrary code execution"),
        (lambda: keras.layers.Rescaling(2.0), ""),
        (Leaving, ""),
    ],
)
def test_what_cannot_be_saved_is_known_before_training(layer: Callable[[], keras.layers.Layer], reason: str) -> None:
    """It saves and loads in safe mode, with the classes of the user's own module; else there is a reason in a line."""

    def build() -> keras.Model:
        return keras.Sequential([keras.Input((8, 8, 1)), layer(), plain()])

    executor = InProcess(Problem(build, digits(), momentum=0.9, precision="float32"))
    said = executor.unsavable({"Applying": Applying, "Leaving": Leaving})
    assert reason in said
    assert (said == "") == (reason == "")
    assert "\n" not in said

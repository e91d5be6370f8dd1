"""Layers with rates of their own, against updates written out by hand and optimizers at these rates."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from pipeline.config import SearchOptions
from pipeline.errors import InputError
from pipeline.lr_multipliers import factors, multipliers, with_lr_multipliers
from pipeline.optimizers import OPTIMIZERS, create
from pipeline.training import InProcess, Problem, Trainer, copies, engine, executor_for
from pipeline.training.feed import BatchOrder
from pipeline.training.network import Network
from pipeline.training.own_optimizer import fresh
from tests.training.networks import digits

Array = NDArray[Any]
SEED, DECAY = 5, 0.1
OWN = {"base": 0.1, "head": 2.0}
FACTORS = [0.1, 0.1, 2.0, 2.0]
"""Of kernel and bias of `base`, and of `head`."""


def network(lr_multipliers: Any = OWN) -> keras.Model:
    """Return a network with two layers, uncompiled."""
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Flatten(name="flat"),
            keras.layers.Dense(8, "tanh", name="base"),
            keras.layers.Dense(10, "softmax", name="head"),
        ]
    )
    model.lr_multipliers = lr_multipliers
    return model


def decaying() -> keras.Model:
    """Return the network, compiled by the user with decoupled weight decay."""
    model = network()
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9, weight_decay=DECAY), "sparse_categorical_crossentropy")
    return model


def trained(build: Callable[[], keras.Model], optimizer: str, batch_size: int) -> Trainer:
    """Return the engine of a network, for the examples of all tests."""
    settings: dict[str, Any] = {"momentum": 0.9, "batch_size": batch_size, "precision": "float32"}
    return engine(build, digits(), optimizer=optimizer, **settings)


def sgd(weight: Array, gradient: Array, state: list[Array], rate: float, number: int) -> Array:
    """Return a weight after an update of SGD with momentum and decoupled weight decay."""
    state[0] = 0.9 * state[0] - rate * gradient
    return weight - rate * DECAY * weight + state[0]


def adam(weight: Array, gradient: Array, state: list[Array], rate: float, number: int) -> Array:
    """Return a weight after an update of Adam."""
    state[:] = 0.9 * state[0] + 0.1 * gradient, 0.999 * state[1] + 0.001 * gradient**2
    root = np.sqrt(state[1] / (1 - 0.999**number)) + 1e-7 / np.sqrt(1 - 0.999**number)
    return np.asarray(weight - rate * state[0] / (1 - 0.9**number) / root)


@pytest.mark.parametrize(
    ("build", "optimizer", "update", "batch_size"),
    [(decaying, "sgd", sgd, 32), (network, "adam", adam, 4)],
    ids=["sgd with weight decay", "adam, compiled by XLA"],
)
def test_a_training_is_that_of_updates_by_hand(
    build: Callable[[], keras.Model], optimizer: str, update: Callable[..., Array], batch_size: int
) -> None:
    """Gradients are plain Keras', and each layer's update has its own rate; so has a second training."""
    order = BatchOrder(200, batch_size)
    curve = np.geomspace(0.02, 0.005, 2 * order.steps_per_epoch)
    ours = trained(build, optimizer, batch_size)
    ours.train(curve[:7], 1, validations=1)
    training = ours.train(curve, SEED, validations=2)
    keras.utils.set_random_seed(SEED)
    model = network()
    states: list[list[Array]] = [[np.zeros(one.shape), np.zeros(one.shape)] for one in model.weights]
    indices, ends = order.indices(SEED, 0, len(curve))
    losses = []
    for number, ((start, stop), rate) in enumerate(zip(pairwise(ends), curve, strict=True), 1):
        x, y = (part[indices[start:stop]] for part in (digits().x_train / np.float32(16), digits().y_train))
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(y, model(x)))
        gradients = [gradient.numpy() for gradient in tape.gradient(loss, model.trainable_variables)]
        losses.append(float(loss))
        each = zip(model.get_weights(), gradients, states, FACTORS, strict=True)
        model.set_weights([update(w, g, state, factor * rate, number) for w, g, state, factor in each])
    np.testing.assert_allclose(training.losses, losses, rtol=1e-4)
    for mine, by_hand in zip(ours.model.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(mine, by_hand, rtol=1e-4, atol=1e-5)
    assert losses[-1] < losses[0]
    assert ours.traces() == 1
    assert ours._program.fusible == (build is network)


class Falling(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """A rate that falls from update to update."""

    def __init__(self, initial: float) -> None:
        self.initial = initial

    def __call__(self, step: Any) -> Any:
        """Return the rate of an update."""
        return self.initial / (1.0 + tf.cast(step, tf.float32))


def moved(name: str, initial_lr: float, lr_multipliers: Any) -> list[Array]:
    """Return how far weights move in three updates by given gradients, with weight decay and a loss scaled up."""
    keras.utils.set_random_seed(SEED)
    model = network(lr_multipliers)
    default = create(name, initial_lr, 0.9)
    config = {**default.get_config(), "weight_decay": DECAY, "learning_rate": Falling(initial_lr), "clipnorm": 0.5}
    optimizer = keras.optimizers.LossScaleOptimizer(type(default).from_config(config), initial_scale=8.0)
    if lr_multipliers is not None:
        assert with_lr_multipliers(with_lr_multipliers(optimizer, model), model) is optimizer  # once, however often
    before, draw = model.get_weights(), np.random.default_rng(0)
    for _ in range(3):
        gradients = [tf.constant(draw.normal(size=one.shape) * 8, tf.float32) for one in model.trainable_variables]
        optimizer.apply(gradients, model.trainable_variables)
    assert float(optimizer.learning_rate) == pytest.approx(initial_lr / 4)
    return [after - start for after, start in zip(model.get_weights(), before, strict=True)]


@pytest.mark.parametrize("name", sorted(OPTIMIZERS.keys() - {"prodigy"}))
def test_a_layer_moves_as_by_an_optimizer_at_its_own_rate(name: str) -> None:
    """Whatever the optimizer does with its rate; a factor of 1 changes no digit, and at 0 nothing moves."""
    plain, slow = moved(name, 0.01, None), moved(name, 0.001, None)
    scaled, kept = moved(name, 0.01, {"base": 0.1}), moved(name, 0.01, {"base": 0, "head": 1})
    for at in (0, 1):
        np.testing.assert_allclose(scaled[at], slow[at], rtol=1e-3, atol=1e-7)
        assert np.abs(plain[at]).max() > 2 * np.abs(scaled[at]).max() > 0
        assert np.abs(kept[at]).max() <= (1e-7 if "free" in name else 0)  # which adds shares up to 1
    for at in (2, 3):
        np.testing.assert_array_equal(scaled[at], plain[at])
        np.testing.assert_array_equal(kept[at], plain[at])


def test_factors_of_one_change_no_number() -> None:
    """To the last digit, in the engine too."""
    found = []
    for given in (None, {"*": 1}):
        ours = trained(lambda given=given: network(given), "adam", 32)  # type: ignore[misc]
        losses = ours.train(np.full(14, 0.01), SEED, validations=2).losses
        found.append(b"".join([losses.tobytes(), *(weight.tobytes() for weight in ours.model.get_weights())]))
    assert found[0] == found[1]


def nested(lr_multipliers: Any) -> keras.Model:
    """Return a model within a model."""
    inner = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(3, name="block1"), keras.layers.Dense(3, name="block2")], name="base"
    )
    model = keras.Sequential([keras.Input((4,)), inner, keras.layers.Dense(2, name="head")])
    model.lr_multipliers = lr_multipliers
    return model


@pytest.mark.parametrize(
    ("given", "expected", "shown"),
    [
        (None, [1, 1, 1], {}),
        ({"base": 0.1}, [0.1, 0.1, 1], {"base": 0.1}),
        ({"base": 0.1, "block2": 0.3}, [0.1, 0.3, 1], {"base": 0.1, "block2": 0.3}),
        ({"block2": 0.3, "base": 0.1}, [0.1, 0.1, 1], {"block2": 0.3, "base": 0.1}),
        ({"*": 0, "head": np.float32(2)}, [0, 0, 2], {"*": 0.0, "head": 2.0}),
        ({"block[1]": 2}, [2, 1, 1], {"block[1]": 2.0}),
        (lambda layer: 0.5 if layer.name == "base" else 1, [0.5, 0.5, 1], {"base": 0.5}),
    ],
)
def test_what_a_name_a_pattern_or_a_function_means(given: Any, expected: list[float], shown: dict[str, float]) -> None:
    """All weights within a layer; the last of several counts."""
    model = nested(given)
    assert factors(model) == [one for factor in expected for one in (factor, factor)]
    assert multipliers(model) == shown


def half(layer: keras.layers.Layer) -> float:
    """Return half a factor for a layer, but fail."""
    raise KeyError(layer.name)


@pytest.mark.parametrize(
    ("given", "received", "accepted"),
    [
        ({"bass": 0.1}, "'bass', which no layer is named", "one of 'base', 'block1', 'block2', 'head'"),
        ({"base": -1}, "-1 for 'base'", "a number of at least 0"),
        ({"base": float("nan")}, "nan for 'base'", "a number of at least 0"),
        ({"base": float("inf")}, "inf for 'base'", "a number of at least 0"),
        ({"base": True}, "True for 'base'", "a number of at least 0"),
        ({"base": "slow"}, "'slow' for 'base'", "a number of at least 0"),
        ({"*": 0}, "0 for every weight", "one above 0"),
        (0.1, "float", "a dictionary from the names of layers to factors, or a function of a layer"),
        (lambda layer: None, "None for 'base'", "a number of at least 0"),
        (half, "a function that fails with KeyError: 'base'", "a factor for 'base'"),
    ],
)
def test_factors_that_cannot_be_used_are_refused(given: Any, received: str, accepted: str) -> None:
    """In one line, before anything is trained."""
    with pytest.raises(InputError) as refused:
        Network(lambda: nested(given), "float32")
    said = str(refused.value)
    assert said.startswith(f"model: lr_multipliers: received {received}")
    assert said.endswith(f"expected {accepted}")
    assert "\n" not in said


@pytest.mark.parametrize("built", [True, False])
def test_a_model_without_factors_or_weights_is_refused(built: bool) -> None:
    """Where users call for them by themselves: its layers would all train at one rate, without a word."""
    model = network(None) if built else keras.Sequential([keras.layers.Dense(2, name="base")])
    if not built:
        model.lr_multipliers = {"base": 0.1}
    with pytest.raises(ValueError, match="received a model without them or without weights, expected one with both"):
        with_lr_multipliers(keras.optimizers.SGD(), model)


@pytest.mark.parametrize("options", [{"optimizer": "prodigy"}, {"rivals": "prodigy"}], ids=str)
def test_prodigy_is_refused_before_anything_is_trained(options: dict[str, str]) -> None:
    """It estimates one step size for all weights; its authors refuse rates that differ too."""
    with pytest.raises(InputError, match="optimizer: received prodigy for a model with lr_multipliers"):
        executor_for(SearchOptions.model_validate(options), digits(), network)
    with pytest.raises(ValueError, match="received Prodigy, which estimates one step size"):
        with_lr_multipliers(create("prodigy", 1.0, 0.9), network())
    executor_for(SearchOptions.model_validate(options), digits(), lambda: network(None))


@pytest.mark.skipif(not hasattr(keras.optimizers, "MultiOptimizer"), reason="this version of Keras has none")
def test_optimizers_of_which_each_has_its_own_rate_are_refused() -> None:
    """Keras' way to rates that differ: one of them would train all layers, without a word."""
    model = network(None)
    several = keras.optimizers.OptimizerMap(keras.optimizers.SGD(), {"base/.*": keras.optimizers.SGD()})
    model.compile(keras.optimizers.MultiOptimizer(several), "sparse_categorical_crossentropy")
    for use in (lambda: trained(lambda: model, "sgd", 32), lambda: fresh(model, 0.1, model)):
        with pytest.raises(InputError, match=r"compiled with MultiOptimizer; accepted: .*model\.lr_multipliers"):
            use()


def test_factors_are_part_of_what_a_training_is_known_by() -> None:
    """Two networks of one source, whose factors come from elsewhere, share no training; and users are told."""
    found = [InProcess(Problem(lambda given=given: network(given), digits(), 0.9, "float32")) for given in (None, OWN)]  # type: ignore[misc]
    assert found[0].conditions() != found[1].conditions()
    said = "layers train at multiples of the rate: base=0.1,head=2.0"
    assert [said in one.remarks for one in found] == [False, True]
    assert [one.params for one in found] == [{}, {"lr_multipliers": "base=0.1,head=2.0"}]


def test_a_copy_of_a_model_keeps_them() -> None:
    """As `find` trains copies of the model that it is given."""
    assert factors(copies.copying(network())()) == FACTORS

"""Inputs that a network looks up, token ids and categories, reach it as they are; all others are scaled."""

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from pipeline.datasets import Raw, Splits, described, load_splits, save, split
from pipeline.errors import InputError
from pipeline.evaluation import Candidate, Evaluation, answers
from pipeline.models import Builder
from pipeline.training import InProcess, Problem

Array = np.ndarray[Any, np.dtype[Any]]

RNG = np.random.default_rng(0)
Y = RNG.integers(0, 2, 400)
TOKENS = 2 * RNG.integers(1, 100, (400, 6)) - Y[:, None]
"""Odd tokens for one class and even ones for the other: standardised, they say nothing."""

MEASURED = RNG.normal(50, 20, (400, 3)).astype(np.float32)


def model(inputs: Any, features: Any) -> keras.Model:
    """Return a network that classifies by these features."""
    return keras.Model(inputs, layers.Dense(2, activation="softmax")(features))


def pooled(tokens: Any, words: int = 200) -> Any:
    """Return the mean of the tokens' vectors."""
    return layers.GlobalAveragePooling1D()(layers.Embedding(words, 4)(tokens))


class Positioned(layers.Layer):  # type: ignore[misc]
    """A layer of a user's own that looks up tokens and their positions."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.places = layers.Embedding(200, 4), layers.Embedding(6, 4)

    def call(self, tokens: Any) -> Any:
        return self.words(tokens) + self.places(ops.arange(6))


class Subclassed(keras.Model):  # type: ignore[misc]
    """A network that says nothing of its inputs before it is called."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.out = layers.Embedding(200, 4), layers.Dense(2, activation="softmax")

    def call(self, tokens: Any) -> Any:
        return self.out(ops.mean(self.words(tokens), axis=1))


def own_layer() -> keras.Model:
    """Return a network whose embedding lies within a layer of the user's own."""
    tokens = keras.Input((6,))
    return model(tokens, layers.GlobalAveragePooling1D()(Positioned()(tokens)))


def integers() -> keras.Model:
    """Return a network that declares integers, and looks nothing up."""
    tokens = keras.Input((6,), dtype="int32")
    return model(tokens, layers.Flatten()(ops.one_hot(tokens, 200)))


def embedding() -> keras.Model:
    """Return the plainest network for text."""
    tokens = keras.Input((6,))
    return model(tokens, pooled(tokens))


def mixed() -> keras.Model:
    """Return a network for a table of three numbers and six categories."""
    table = keras.Input((9,))
    return model(table, layers.concatenate([table[:, :3], pooled(table[:, 3:])]))


def two_inputs() -> keras.Model:
    """Return a network with tokens and numbers as inputs of their own."""
    inputs = {"tokens": keras.Input((6,), name="tokens"), "measured": keras.Input((3,), name="measured")}
    return model(inputs, layers.concatenate([pooled(inputs["tokens"]), inputs["measured"]]))


def data(x: Any = TOKENS, scale: str = "auto") -> Splits:
    """Return the inputs split, with the class that the tokens tell."""
    return split(Raw(x, Y), seed=0, scale=scale)


def executor(build: Builder, splits: Splits) -> InProcess:
    """Return what trains the network on the data."""
    return InProcess(Problem(build, splits, momentum=0.9, precision="auto"))


@pytest.mark.parametrize("build", [embedding, own_layer, integers, Subclassed])
def test_codes_are_passed_on_as_they_are(build: Builder) -> None:
    """However the network looks them up."""
    made = executor(build, data())
    assert described(made.scaling) == ["codes for the network, passed on as they are"]
    x, _ = next(iter(made._examples.validation))
    np.testing.assert_array_equal(x, data().x_val)


def test_a_network_learns_from_codes() -> None:
    """Odd and even tokens are told apart by validation and test, and by the served model from the raw tokens."""
    made = executor(embedding, data())
    candidate = Candidate(scheme="constant", initial_lr=0.05, optimizer="adam", batch_size=20, params={})
    (training,) = answers(made.ask, [Evaluation(candidate, 10, seed=0, test=True, weights=True)])
    assert training.test is not None
    assert training.test["accuracy"] > 0.9
    served = made.served(training).predict(data().x_test, verbose=0)
    assert np.mean(served.argmax(axis=1) == data().y_test) == pytest.approx(training.test["accuracy"])


def test_of_a_table_only_the_categories_stay_as_they_are() -> None:
    """Each feature is looked at by itself."""
    splits = data(np.hstack([MEASURED, TOKENS]))
    scaling: Any = executor(mixed, splits).scaling
    assert scaling.codes == (3, 4, 5, 6, 7, 8)
    assert scaling.scale[:3] == splits.scaling.scale[:3]
    assert (scaling.offset[3:], scaling.scale[3:]) == ((0.0,) * 6, (1.0,) * 6)
    assert "but for the codes in features 3, 4, 5, 6, 7, 8" in described(scaling)[0]


def test_of_several_inputs_only_the_codes_stay_as_they_are() -> None:
    """And the line says it of each by its name."""
    splits = data({"tokens": TOKENS, "measured": MEASURED})
    assert described(executor(two_inputs, splits).scaling) == [
        "tokens: codes for the network, passed on as they are",
        "measured: standardised feature by feature",
    ]


def test_the_users_choice_comes_first() -> None:
    """A network may look up what its own layers make of standardised numbers."""
    for scale in ("none", "standard"):
        splits = data(scale=scale)
        assert executor(embedding, splits).scaling == splits.scaling
    splits = data({"tokens": TOKENS, "measured": MEASURED}, scale="measured=none")
    scaling: Any = executor(two_inputs, splits).scaling
    assert (scaling["tokens"].codes, scaling["measured"].kind) == (tuple(range(6)), "none")


def test_a_choice_is_kept_with_the_data(tmp_path: Path) -> None:
    """What `prepare` writes says whether the user chose."""
    save(data(scale="none"), tmp_path / "data.npz")
    assert load_splits(tmp_path / "data.npz").scaling == data(scale="none").scaling


def test_trainings_with_another_scaling_are_others() -> None:
    """The arrays are the same, so that digests of the data do not tell."""
    conditions = [executor(embedding, data(scale=scale)).conditions() for scale in ("auto", "none", "standard")]
    assert len({json.dumps(one) for one in conditions}) == 3


@pytest.mark.parametrize(
    ("x", "received"),
    [
        (TOKENS + 2, "codes from 3 to 200, expected numbers from 0 to 199"),
        (TOKENS - 100, "codes from -9"),
        (TOKENS + 0.5, "expected whole numbers from 0 to 199"),
    ],
)
def test_what_cannot_be_looked_up_is_refused(x: Array, received: str) -> None:
    """TensorFlow would fail in the middle of a training, or on GPUs not at all."""
    with pytest.raises(InputError, match=received):
        executor(embedding, data(x)).conditions()


def test_codes_that_float32_rounds_are_refused() -> None:
    """Arrays of integers are kept as float32."""

    def hashed() -> keras.Model:
        tokens = keras.Input((6,), dtype="int32")
        return model(tokens, pooled(layers.Hashing(100)(tokens)))

    with pytest.raises(InputError, match="numbers from 0 to 16777215, which the network can look up"):
        executor(hashed, data(TOKENS + 2**24)).conditions()


def test_a_precision_that_rounds_codes_is_refused() -> None:
    """bfloat16 holds no integer beyond 256 for sure; a layer between input and embedding casts to it."""

    def reshaped() -> keras.Model:
        tokens = keras.Input((6,))
        return model(tokens, pooled(layers.Reshape((6,))(tokens)))

    problem = Problem(reshaped, data(), momentum=0.9, precision="mixed_bfloat16")
    with pytest.raises(InputError, match=r"layer 'embedding.*' gets rounded codes, expected float32"):
        InProcess(problem).conditions()


def test_a_network_that_cannot_be_tried_is_refused() -> None:
    """Where a layer of the user's own fails on numbers that it does not know, only the user can tell."""

    class Table(layers.Layer):  # type: ignore[misc]
        def build(self, shape: Any) -> None:
            self.table = self.add_weight(shape=(200, 4))

        def call(self, tokens: Any) -> Any:
            return ops.take(self.table, ops.cast(tokens, "int32"), axis=0)

    def build() -> keras.Model:
        tokens = keras.Input((6,))
        both = layers.concatenate([Table()(tokens), layers.Embedding(200, 4)(tokens[:, :6])])
        return model(tokens, layers.GlobalAveragePooling1D()(both))

    with pytest.raises(InputError, match=r"scale: received auto for .*, expected none or standard"):
        executor(build, data()).conditions()


def test_a_network_without_lookups_is_left_alone() -> None:
    """Integers may be quantities."""

    def dense() -> keras.Model:
        return keras.Sequential([keras.Input((6,)), layers.Dense(2, activation="softmax")])

    assert executor(dense, data()).scaling == data().scaling

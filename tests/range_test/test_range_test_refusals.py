"""Models, options and data that are refused."""

from collections.abc import Callable
from typing import Any

import keras
import pytest
import tensorflow as tf
from keras import layers

from pipeline.errors import InputError
from pipeline.optimizers.prodigy import Prodigy
from pipeline.range_test import range_test
from pipeline.schedules import SCHEMES
from tests.range_test.networks import network


def unbuilt() -> keras.Model:
    """Return a model without an input shape, so without weights."""
    model = keras.Sequential([layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


def uncompiled() -> keras.Model:
    """Return a built model without optimizer and loss."""
    return keras.Sequential([keras.Input((64,)), layers.Dense(10)])


def training_itself() -> keras.Model:
    """Return a model with its own train_step, which the sweep would bypass."""

    class Own(keras.Sequential):  # type: ignore[misc]
        def train_step(self, data: Any) -> Any:
            return super().train_step(data)

    model = Own([keras.Input((64,)), layers.Dense(10, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


class TestRefusals:
    @pytest.mark.parametrize(
        ("make", "expected"),
        [
            (unbuilt, "expected a built one"),
            (uncompiled, "expected a compiled one"),
            (training_itself, "override compute_loss"),
            (lambda: "model", "expected a Keras model"),
            (lambda: network(Prodigy()), "received one with prodigy.* estimates its step size"),
            (lambda: network("adafactor"), "received one with adafactor.* no sweep shows where it diverges"),
        ],
    )
    def test_models_that_cannot_be_swept(self, make: Callable[[], Any], expected: str, digits: Any) -> None:
        """One line says what would be accepted."""
        with pytest.raises(InputError, match=expected):
            range_test(make(), digits)

    @pytest.mark.parametrize(
        ("options", "expected"),
        [({"seeds": 0}, "seeds"), ({"seeds": [-1]}, "seeds"), ({"batch_size": 0}, "batch_size"),
         ({"lr_min": 1.0, "lr_max": 0.1}, "lr_min"),
         ({"lr_min": 0.0}, "lr_min"), ({"updates": 1}, "updates"), ({"spacing": "cubic"}, "spacing"),
         ({"batch_norm": "off"}, "batch_norm: received 'off', expected auto or keras")],
    )  # fmt: skip
    def test_options_that_make_no_sense(self, options: dict[str, Any], expected: str, digits: Any) -> None:
        """Refused by name, before anything is trained."""
        with pytest.raises(InputError, match=expected):
            range_test(network(), digits, **options)

    @pytest.mark.parametrize(
        "options", [{"refine": "cosine"}, {"refine": "cosine", "epochs": 3}, {"refine": "no such scheme"}]
    )
    def test_refinement_needs_a_scheme_a_length_and_validation(self, options: dict[str, Any], digits: Any) -> None:
        """Without these there is nothing to train or to judge by."""
        with pytest.raises(InputError, match="refine"):
            range_test(network(), digits, **options)

    @pytest.mark.parametrize("scheme", [name for name, row in SCHEMES.items() if row.reactive])
    def test_a_scheme_that_waits_for_validations_cannot_refine(self, scheme: str, digits: Any) -> None:
        """The trainings are validated at their end only, so it would keep its first rate; the others are named."""
        with pytest.raises(InputError, match=rf"refine: received '{scheme}', expected one of constant, .*cosine"):
            range_test(network(), digits, refine=scheme, epochs=3, validation_data=digits)

    def test_data_that_do_not_fit(self, digits: Any) -> None:
        """Arrays of different lengths, and a data set without batches."""
        with pytest.raises(InputError, match="lengths"):
            range_test(network(), (digits[0], digits[1][:-1]))
        with pytest.raises(InputError, match="without batches"):
            range_test(network(), tf.data.Dataset.from_tensor_slices(digits).batch(32).take(0))

"""What no configuration of an optimizer holds: which weights are not decayed, and what scales its loss."""

from collections.abc import Callable
from typing import Any

import keras
import pytest
from keras import layers, ops

from pipeline.errors import InputError
from pipeline.optimizers import note
from pipeline.training.copies import copying
from pipeline.training.keras_internals import excludes_weights
from pipeline.training.own_optimizer import fresh, named


def network(units: int = 4) -> keras.Model:
    """Return a network of two layers, uncompiled, whose weights are all one."""
    hidden, last = (layers.Dense(count, bias_initializer="ones") for count in (units, 2))
    return keras.Sequential([keras.Input((3,)), hidden, last])


def compiled(exclude: Callable[[keras.Model], dict[str, Any]], *, scaled: bool = False) -> keras.Model:
    """Return the network with an optimizer that leaves some weights undecayed."""
    model, optimizer = network(), keras.optimizers.AdamW(0.1, weight_decay=0.25, beta_2=0.9)
    optimizer.exclude_from_weight_decay(**exclude(model))
    wrapped = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=8.0, dynamic_growth_steps=5)
    model.compile(wrapped if scaled else optimizer, "mean_squared_error")
    return model


def decayed(optimizer: keras.optimizers.Optimizer, model: keras.Model) -> list[bool]:
    """Return which weights change in an update without gradients."""
    weights = model.trainable_variables
    before = [weight.numpy() for weight in weights]
    optimizer.apply([ops.zeros_like(weight) for weight in weights], weights)
    return [bool((weight.numpy() != old).any()) for weight, old in zip(weights, before, strict=True)]


EXCLUDED: list[tuple[Callable[[keras.Model], dict[str, Any]], list[bool]]] = [
    (lambda model: {"var_names": ["bias"]}, [True, False, True, False]),
    (lambda model: {"var_list": [model.layers[1].kernel]}, [True, True, False, True]),
    (lambda model: {"var_list": [model.layers[0].kernel], "var_names": ["bias"]}, [False, False, True, False]),
    (lambda model: {}, [True] * 4),
]


@pytest.mark.parametrize(("exclude", "expected"), EXCLUDED, ids=["names", "list", "both", "none"])
def test_another_optimizer_decays_the_same_weights(
    exclude: Callable[[keras.Model], dict[str, Any]], expected: list[bool]
) -> None:
    """Anew for the same model, for another of the same weights, of another class, and in a copy of the model."""
    model, other = compiled(exclude), network()
    assert decayed(fresh(model, 0.1, other), other) == expected
    copy = copying(model)()
    assert decayed(copy.optimizer, copy) == expected
    assert decayed(fresh(model, 0.1, model), model) == expected
    assert decayed(named("adam", 0.1, 0.9, model), model) == expected
    assert decayed(named("adamw", 0.1, 0.9, model), model) == expected


def test_a_model_of_other_weights_is_refused() -> None:
    """Which of its weights correspond is not known; where all are decayed, nothing needs to."""
    excluding, all_alike = compiled(lambda model: {"var_names": ["bias"]}), compiled(lambda model: {})
    for other in (network(5), keras.Sequential([layers.Dense(2)])):
        with pytest.raises(InputError, match="excludes some from weight decay; accepted: one that has the same"):
            fresh(excluding, 0.1, other)
        assert fresh(all_alike, 0.1, other).weight_decay == 0.25


def test_a_loss_that_is_scaled_stays_scaled() -> None:
    """By the optimizer that wraps the model's own, whose settings are those of the one that it calls."""
    model = compiled(lambda model: {"var_names": ["bias"]}, scaled=True)
    for made, kind in [(fresh(model, 0.5, model), "AdamW"), (named("adam", 0.5, 0.9, model), "Adam")]:
        assert isinstance(made, keras.optimizers.LossScaleOptimizer)
        assert (made.initial_scale, made.dynamic_growth_steps) == (8.0, 5)
        own = made.inner_optimizer
        assert (type(own).__name__, own.weight_decay, float(own.learning_rate)) == (kind, 0.25, 0.5)
    given = model.optimizer
    assert named("adamw", 0.125, 0.9, model) is given
    assert float(given.inner_optimizer.learning_rate) == 0.125


def test_the_code_says_that_some_weights_are_not_decayed() -> None:
    """The call that makes the optimizer cannot."""
    said = "let your optimizer exclude them by `exclude_from_weight_decay`"
    for exclude, expected in EXCLUDED:
        optimizer = compiled(exclude).optimizer
        assert excludes_weights(optimizer) is not all(expected)
        assert (said in note(optimizer, undecayed=excludes_weights(optimizer))) is not all(expected)

"""Learning rates that differ between the layers of a Keras 3 model on TensorFlow.

This file needs Keras only, so that a copy of it works anywhere:

    model.lr_multipliers = {"backbone": 0.1, "block5_*": 0.3}
    model.compile(with_lr_multipliers(keras.optimizers.Adam(Schedule()), model), loss=...)

`model.lr_multipliers` is one of

- a dictionary from the names of layers, or patterns of names as of `fnmatch`, to factors. A name means all weights
  within the layer, which may be a model; of several that mean the same weight, the last one counts;
- a function that is given each of `model.layers`, and returns its factor.

Weights that none means train at the rate itself. A layer at 0 does not move; BatchNormalization's statistics still
follow the data, unless the layer has `trainable = False`.
"""

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from math import isfinite
from numbers import Real
from typing import Any

import keras

_SHOWN = 20
"""Most names of layers in a message."""


def with_lr_multipliers(optimizer: keras.optimizers.Optimizer, model: keras.Model) -> keras.optimizers.Optimizer:
    """Let an optimizer train each weight of a model at the rate times the weight's factor, and return the optimizer.

    A weight moves as if the rate were that for all: momentum, moments, trust ratios and limits of the rate work as they
    do at any rate, and decoupled weight decay, which is a share of the rate, gets the factor too. Norms by which
    gradients are clipped together stay common to all weights. `learning_rate` stays the rate without factors.

    Keras saves the optimizer as a plain one: after loading a model, set `lr_multipliers` and compile it again.

    Args:
        optimizer: any that updates each weight by `update_step`, as Keras' own do, also below a `LossScaleOptimizer`.
        model: built, with the attribute `lr_multipliers`.

    Raises:
        ValueError: if the factors cannot be used, the model has none or no weights yet, or the optimizer estimates one
            step size for all weights.

    """
    own = getattr(optimizer, "inner_optimizer", optimizer)
    if getattr(own, "estimates_step_size", False):
        raise ValueError(
            f"lr_multipliers: received {type(own).__name__}, which estimates one step size for all weights,"
            " expected another optimizer; to freeze a layer, set its trainable to False"
        )
    if getattr(model, "lr_multipliers", None) is None or not model.built:
        raise ValueError("lr_multipliers: received a model without them or without weights, expected one with both")
    weights = zip(model.trainable_variables, factors(model), strict=True)
    factor_of = {own._var_key(weight): factor for weight, factor in weights}
    kind, decaying = type(own), 1.0  # methods of the class: a second call replaces what the first one set

    def update_step(gradient: Any, variable: Any, learning_rate: Any) -> None:
        kind.update_step(own, gradient, variable, _times(learning_rate, factor_of[own._var_key(variable)]))

    def apply_weight_decay(variables: Any) -> None:
        nonlocal decaying
        try:
            for variable in variables:
                decaying = factor_of[own._var_key(variable)]
                kind._apply_weight_decay(own, [variable])
        finally:
            decaying = 1.0

    own.update_step, own._apply_weight_decay = update_step, apply_weight_decay
    own._get_current_learning_rate = lambda: _times(kind._get_current_learning_rate(own), decaying)
    return optimizer


def multipliers(model: keras.Model) -> dict[str, float]:
    """Return the factors as they were given, or those of a function that are not 1, by layer; empty without any.

    Raises:
        ValueError: if they cannot be used.

    """
    by_function = callable(getattr(model, "lr_multipliers", None))
    return {name: factor for name, factor, _ in _scaled(model) if not by_function or factor != 1}


def factors(model: keras.Model) -> list[float]:
    """Return the factor of each of `model.trainable_variables`.

    Raises:
        ValueError: if the factors cannot be used.

    """
    found = {id(weight): factor for _, factor, weights in _scaled(model) for weight in weights}
    in_order = [found.get(id(weight), 1.0) for weight in model.trainable_variables]
    if in_order and not any(in_order):
        raise ValueError("lr_multipliers: received 0 for every weight that can train, expected one above 0")
    return in_order


def _scaled(model: keras.Model) -> Iterator[tuple[str, float, list[Any]]]:
    """Yield name, factor and weights of what has a factor; a later one of the same weight counts."""
    given = getattr(model, "lr_multipliers", None)
    if given is None:
        return
    if callable(given):
        for layer in model.layers:
            try:
                factor = given(layer)
            except Exception as error:
                said = f"a function that fails with {type(error).__name__}: {error}"
                raise ValueError(f"lr_multipliers: received {said}, expected a factor for {layer.name!r}") from error
            yield layer.name, _checked(layer.name, factor), layer.trainable_variables
        return
    if not isinstance(given, Mapping):
        expected = "a dictionary from the names of layers to factors, or a function of a layer"
        raise ValueError(f"lr_multipliers: received {type(given).__name__}, expected {expected}")
    layers = list(model._flatten_layers(include_self=False))
    for pattern, factor in given.items():
        meant = [layer for layer in layers if fnmatchcase(layer.name, str(pattern))]
        if not meant:
            names = sorted({repr(layer.name) for layer in layers if layer.trainable_variables})
            known = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if names[_SHOWN:] else "")
            raise ValueError(f"lr_multipliers: received {pattern!r}, which no layer is named, expected one of {known}")
        yield str(pattern), _checked(pattern, factor), [one for layer in meant for one in layer.trainable_variables]


def _checked(name: Any, factor: Any) -> float:
    if isinstance(factor, bool) or not isinstance(factor, Real) or not isfinite(factor) or factor < 0:
        raise ValueError(f"lr_multipliers: received {factor!r} for {name!r}, expected a number of at least 0")
    return float(factor)


def _times(rate: Any, factor: float) -> Any:
    """Return a rate times a factor; times 1 it is the rate itself, to the last digit."""
    return rate if factor == 1 else rate * factor

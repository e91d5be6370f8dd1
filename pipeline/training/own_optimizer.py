"""Optimizers made from that of a model which the user compiled, with what no configuration of an optimizer holds."""

from typing import Any

import keras

from pipeline import optimizers
from pipeline.errors import refusal
from pipeline.optimizers import refuse_several, unwrapped
from pipeline.training import keras_internals


def fresh(compiled: keras.Model, learning_rate: Any, model: keras.Model) -> keras.optimizers.Optimizer:
    """Return an optimizer for a model, of the settings of a compiled one's, in its initial state, with another rate.

    Raises:
        InputError: if it consists of several, or leaves weights undecayed that the model does not have.

    """
    refuse_several(compiled.optimizer)
    own = unwrapped(compiled.optimizer)
    made = type(own).from_config({**own.get_config(), "learning_rate": learning_rate})
    return _settled(made, compiled, model)


def named(name: str, learning_rate: Any, momentum: float, compiled: keras.Model) -> keras.optimizers.Optimizer:
    """Return the optimizer of this name for a compiled model: its own, or another that decays the same weights.

    Raises:
        InputError: as `optimizers.create`.

    """
    made = optimizers.create(name, learning_rate, momentum, compiled.optimizer)
    return made if made is compiled.optimizer else _settled(made, compiled, compiled)


def _settled(made: keras.optimizers.Optimizer, compiled: keras.Model, model: keras.Model) -> keras.optimizers.Optimizer:
    """Return the optimizer made for a model, with what no configuration holds of a compiled model's optimizer.

    That is which weights are not decayed, here by their places in the model, and a `LossScaleOptimizer` around it.
    """
    given, theirs, ours = compiled.optimizer, compiled.trainable_variables, model.trainable_variables
    decayed = [keras_internals.decays(unwrapped(given), weight) for weight in theirs]
    if not all(decayed):
        if [weight.shape for weight in ours] != [weight.shape for weight in theirs]:
            received = "one with other weights than that whose optimizer excludes some from weight decay"
            raise refusal("model", received, "one that has the same weights, built")
        made.exclude_from_weight_decay([weight for weight, own in zip(ours, decayed, strict=True) if not own])
    if not isinstance(given, keras.optimizers.LossScaleOptimizer):
        return made
    scale, growth = given.initial_scale, given.dynamic_growth_steps
    return keras.optimizers.LossScaleOptimizer(made, initial_scale=scale, dynamic_growth_steps=growth)

"""Schedule-Free SGD and AdamW (Defazio et al. 2024, arXiv:2405.15682) for Keras 3 on TensorFlow.

They need no decay: the weights that count are an average of all iterates. Keras has a ScheduleFreeAdamW too, but that
of 3.15 leaves the weights at which gradients are taken in the model, and does not weigh the average by rates.

This file needs Keras only, so that a copy of it works anywhere:

    model.compile(optimizer=ScheduleFreeAdamW(0.0025), loss=...)
    model.fit(x, y, validation_data=..., callbacks=[AveragedWeights()])

While a model trains, it holds the weights at which gradients are taken. `fit` ends with the averaged ones. Validations
during `fit` see them if the callback `AveragedWeights` is given.
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

_PACKAGE = "lr_pipeline"


class ScheduleFree(keras.optimizers.Optimizer):  # type: ignore[misc]
    """What both optimizers share: three sequences of weights.

    With a step d at the rate lr, in the paper's notation (equations 3 to 5):

        z <- z - lr d                   the iterates
        x <- (1 - c) x + c z            their average, c = w / (sum of all w)
        y <- (1 - beta) z + beta x      where gradients are taken

    where w = step**r * (largest lr so far)**weight_lr_power.

    The optimizer keeps z and x, the model holds y. Any schedule may set the rate; a linear warm-up is recommended.

    Args:
        learning_rate: a rate, or a Keras schedule.
        beta: how near y is to the average, from 0 to below 1.
        weight_decay: added to the step, times y; None for none.
        warmup_steps: updates in which the rate rises linearly.
        r: power of the step number in the weights of the average.
        weight_lr_power: power of the largest rate so far in them.
        kwargs: `name` and the settings that all Keras optimizers share.

    Raises:
        ValueError: if beta is outside its range, or `use_ema` asks for a second average.

    """

    def __init__(
        self,
        learning_rate: Any,
        beta: float,
        weight_decay: float | None,
        warmup_steps: int,
        r: float,
        weight_lr_power: float,
        **kwargs: Any,
    ) -> None:
        if not 0 <= beta < 1:
            raise ValueError(f"momentum: received {beta}, expected 0 or more, below 1")
        if kwargs.get("use_ema"):
            raise ValueError("use_ema: received True, expected False: Schedule-Free averages the weights itself")
        super().__init__(learning_rate, weight_decay=weight_decay, **kwargs)
        self._beta = beta
        self.warmup_steps, self.r, self.weight_lr_power = warmup_steps, r, weight_lr_power

    def build(self, variables: Sequence[Any]) -> None:
        """Create z and x for each variable; they take its value at the first update."""
        if self.built:
            return
        super().build(variables)
        self._z, self._x = self.add_optimizer_variables(variables, ["iterate", "average"])
        self._largest, self._total, self._share = (
            self.add_variable((), name=name) for name in ("largest_rate", "sum_of_weights", "share")
        )

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Update z and x of a variable, and set it to y."""
        rate, share = ops.cast(learning_rate, variable.dtype), ops.cast(self._share, variable.dtype)
        at, begun = self._get_variable_index(variable), ops.greater(self.iterations, 0)
        z, x = (ops.where(begun, kept[at], variable) for kept in (self._z, self._x))
        step = self._step(ops.cast(_dense(gradient, variable), variable.dtype), variable)
        if self.weight_decay is not None and self._use_weight_decay(variable):
            step = step + self.weight_decay * variable
        z = z - rate * step
        if variable.constraint is not None:  # of a convex set, averages of its members are members too
            z = variable.constraint(z)
        x = x + share * (z - x)
        self.assign(self._z[at], z)
        self.assign(self._x[at], x)
        self.assign(variable, self._between(z, x))

    def hold_average(self, variables: Sequence[Any]) -> None:
        """Set the model's variables to the average, with which a model is evaluated, saved and used."""
        if int(self.iterations):
            for variable in variables:
                variable.assign(self._x[self._get_variable_index(variable)])

    def hold_training_weights(self, variables: Sequence[Any]) -> None:
        """Set the model's variables to where the next gradient is taken."""
        if int(self.iterations):
            for variable in variables:
                at = self._get_variable_index(variable)
                variable.assign(self._between(self._z[at].value, self._x[at].value))

    def finalize_variable_values(self, var_list: Sequence[Any]) -> None:
        """Set the model's variables to the average; Keras calls it at the end of `fit`."""
        self.hold_average(var_list)

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs."""
        own = {"warmup_steps": self.warmup_steps, "r": self.r, "weight_lr_power": self.weight_lr_power}
        return {**super().get_config(), **own}

    def _step(self, gradient: Any, variable: Any) -> Any:
        """Return the step of the underlying optimizer."""
        raise NotImplementedError

    def _between(self, z: Any, x: Any) -> Any:
        return (1 - self._beta) * z + self._beta * x

    def _backend_update_step(
        self, grads: Sequence[Any], trainable_variables: Sequence[Any], learning_rate: Any
    ) -> None:
        """Compute what all variables share, then update each."""
        number = ops.cast(self.iterations + 1, self._total.dtype)
        rate = ops.cast(learning_rate, self._total.dtype)
        if self.warmup_steps:
            rate = rate * ops.minimum(number / self.warmup_steps, 1.0)
        self.assign(self._largest, ops.maximum(self._largest, rate))
        weight = number**self.r * self._largest**self.weight_lr_power
        self.assign_add(self._total, weight)
        self.assign(self._share, ops.divide_no_nan(weight, self._total))
        for gradient, variable in zip(grads, trainable_variables, strict=True):
            self.update_step(gradient, variable, rate)

    def _apply_weight_decay(self, variables: Sequence[Any]) -> None:
        """Do nothing: the decay is part of the step, as z must feel it, not y."""


@keras.saving.register_keras_serializable(_PACKAGE)
class ScheduleFreeSGD(ScheduleFree):
    """Schedule-Free SGD; good rates are 10 to 50 times those of SGD with momentum. Arguments as of `ScheduleFree`."""

    def __init__(
        self,
        learning_rate: Any = 1.0,
        momentum: float = 0.9,
        weight_decay: float | None = None,
        warmup_steps: int = 0,
        r: float = 0.0,
        weight_lr_power: float = 2.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, momentum, weight_decay, warmup_steps, r, weight_lr_power, **kwargs)
        self.momentum = momentum

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs."""
        return {**super().get_config(), "momentum": self.momentum}

    def _step(self, gradient: Any, variable: Any) -> Any:
        return gradient


@keras.saving.register_keras_serializable(_PACKAGE)
class ScheduleFreeAdamW(ScheduleFree):
    """Schedule-Free AdamW; good rates are 1 to 10 times those of AdamW. `beta_1` is beta, others as of `ScheduleFree`.

    `beta_2` is the decay of the second moments, and `epsilon` is added to their root.
    """

    def __init__(
        self,
        learning_rate: Any = 0.0025,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        weight_decay: float | None = None,
        warmup_steps: int = 0,
        r: float = 0.0,
        weight_lr_power: float = 2.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, beta_1, weight_decay, warmup_steps, r, weight_lr_power, **kwargs)
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon

    def build(self, variables: Sequence[Any]) -> None:
        """Create the second moments too."""
        if not self.built:
            super().build(variables)
            self._squares = self.add_optimizer_variables(variables, "velocity")

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs."""
        own = {"beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon}
        return {**super().get_config(), **own}

    def _step(self, gradient: Any, variable: Any) -> Any:
        kept = self._squares[self._get_variable_index(variable)]
        squares = self.beta_2 * kept + (1 - self.beta_2) * ops.square(gradient)
        self.assign(kept, squares)
        unbiased = squares / (1 - self.beta_2 ** ops.cast(self.iterations + 1, variable.dtype))
        return gradient / (ops.sqrt(unbiased) + self.epsilon)


class AveragedWeights(keras.callbacks.Callback):  # type: ignore[misc]
    """Callback that lets validations, and what follows them in an epoch, see the averaged weights.

    Training goes on from where it was. Without it the validations of `fit` see the weights that gradients are taken at.
    Give it before callbacks that look at the weights, such as `ModelCheckpoint` and `EarlyStopping`.
    """

    def __init__(self, inputs: Any = None) -> None:
        """Store some 1,000 training inputs.

        They are for models with BatchNormalization, whose statistics belong to the weights of training: before each
        validation, and at the end of `fit`, they are replaced by those of `inputs` with the averaged weights.
        """
        super().__init__()
        self._inputs = inputs

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Put the weights for training in place."""
        if optimizer := averaging(self.model.optimizer):
            optimizer.hold_training_weights(self.model.trainable_variables)

    def on_test_begin(self, logs: Any = None) -> None:
        """Put the averaged weights in place."""
        if optimizer := averaging(self.model.optimizer):
            optimizer.hold_average(self.model.trainable_variables)
            self._recompute()

    def on_train_end(self, logs: Any = None) -> None:
        """Give the averaged weights, which Keras has put in place, their statistics."""
        if averaging(self.model.optimizer):
            self._recompute()

    def _recompute(self) -> None:
        if self._inputs is None:
            return
        layers = [layer for layer in _within(self.model) if isinstance(layer, keras.layers.BatchNormalization)]
        before = [layer.momentum for layer in layers]
        try:
            for layer in layers:
                layer.momentum = 0.0
            self.model(self._inputs, training=True)
        finally:
            for layer, momentum in zip(layers, before, strict=True):
                layer.momentum = momentum


def averaging(optimizer: Any) -> ScheduleFree | None:
    """Return the Schedule-Free optimizer that an optimizer is, or scales the loss for; None if it is another."""
    own = getattr(optimizer, "inner_optimizer", optimizer)
    return own if isinstance(own, ScheduleFree) else None


def _dense(gradient: Any, variable: Any) -> Any:
    """Return a gradient as a tensor; that of an embedding has only the rows that were looked up."""
    return ops.add(ops.zeros_like(variable), gradient) if hasattr(gradient, "indices") else gradient


def _within(layer: Any) -> list[Any]:
    return [layer, *(inner for one in getattr(layer, "layers", ()) for inner in _within(one))]

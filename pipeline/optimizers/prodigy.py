"""Prodigy (Mishchenko and Defazio 2023, arXiv:2306.06101) for Keras 3 on TensorFlow.

It is Adam that estimates its own step size. This file needs Keras only, so that a copy of it works anywhere:

    model.compile(optimizer=Prodigy(), loss=...)
"""

from collections.abc import Sequence
from math import inf
from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("lr_pipeline")
class Prodigy(keras.optimizers.Optimizer):  # type: ignore[misc]
    """Adam with the step size lr * d, where d grows as the gradients show how far the solution is at least.

    Algorithm 4 of the paper: with gradients g at weights that began at x0,

        numerator   <- beta_3 numerator + d**2 lr <g, x0 - x>
        s           <- beta_3 s         + d**2 lr g
        d           <- max(d, d_coef * numerator / (sum of |s|))

    and Adam's step on d g, without bias correction by default.

    Args:
        learning_rate: a factor of the estimate, or a Keras schedule of it; its authors leave it at 1, or let it decay
            along half a cosine.
        beta_1: decay of the first moments.
        beta_2: decay of the second moments.
        beta_3: decay of numerator and s; None for the square root of beta_2.
        epsilon: added to the root of the second moments, times d.
        weight_decay: share of the weights taken away at each step, times lr d; None for none.
        use_bias_correction: whether the step is corrected for moments that begin at 0, as in Adam.
        safeguard_warmup: whether the rate is left out of s, so that d is not overestimated during a warm-up.
        d0: the first estimate.
        d_coef: factor of the estimate; its authors' choice for tuning.
        growth_rate: the most that d may be multiplied by in one update.
        kwargs: `name` and the settings that all Keras optimizers share.

    """

    estimates_step_size = True
    """One for all weights, so that none of them can have a rate of its own."""

    def __init__(
        self,
        learning_rate: Any = 1.0,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        beta_3: float | None = None,
        epsilon: float = 1e-8,
        weight_decay: float | None = None,
        use_bias_correction: bool = False,
        safeguard_warmup: bool = False,
        d0: float = 1e-6,
        d_coef: float = 1.0,
        growth_rate: float = inf,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, weight_decay=weight_decay, **kwargs)
        self.beta_1, self.beta_2, self.beta_3 = beta_1, beta_2, beta_3
        self.epsilon, self.use_bias_correction, self.safeguard_warmup = epsilon, use_bias_correction, safeguard_warmup
        self.d0, self.d_coef, self.growth_rate = d0, d_coef, growth_rate

    def build(self, variables: Sequence[Any]) -> None:
        """Create the state; the first weights are taken at the first update."""
        if self.built:
            return
        super().build(variables)
        names = ["momentum", "velocity", "sum", "first"]
        self._momentums, self._velocities, self._sums, self._first = self.add_optimizer_variables(variables, names)
        self._grown, self._most = (self.add_variable((), "ones", name=name) for name in ("grown", "most"))
        self._numerator = self.add_variable((), name="numerator")

    @property
    def d(self) -> Any:
        """The estimate so far, a scalar."""
        return self.d0 * self._grown

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs."""
        own = (
            "beta_1", "beta_2", "beta_3", "epsilon", "use_bias_correction", "safeguard_warmup", "d0", "d_coef",
            "growth_rate",
        )  # fmt: skip
        return {**super().get_config(), **{name: getattr(self, name) for name in own}}

    def _backend_update_step(
        self, grads: Sequence[Any], trainable_variables: Sequence[Any], learning_rate: Any
    ) -> None:
        """Estimate d from all variables together, then update each."""
        grown = ops.convert_to_tensor(self._grown)  # d in units of d0: squares of small estimates vanish in float32
        d = self.d0 * grown
        size = d * ops.cast(learning_rate, d.dtype) * self._bias_correction()
        numerator, denominator = self._decay_3 * self._numerator, 0.0
        for gradient, variable in zip(grads, trainable_variables, strict=True):
            towards, sums = self._seen(gradient, variable, d, grown * (d if self.safeguard_warmup else size))
            numerator, denominator = numerator + grown * size * towards, denominator + sums
        self.assign(self._numerator, numerator)
        self._estimate(self.d_coef / self.d0 * ops.divide_no_nan(numerator, denominator))
        for variable in trainable_variables:
            self._move(variable, size)

    @property
    def _decay_3(self) -> float:
        return float(self.beta_2**0.5) if self.beta_3 is None else self.beta_3

    def _bias_correction(self) -> Any:
        if not self.use_bias_correction:
            return 1.0
        number = ops.cast(self.iterations + 1, self.d.dtype)
        return ops.sqrt(1 - self.beta_2**number) / (1 - self.beta_1**number)

    def _seen(self, gradient: Any, variable: Any, d: Any, weight: Any) -> tuple[Any, Any]:
        """Add a gradient to a variable's state, and return <g, x0 - x> and the sum of |s|."""
        at = self._get_variable_index(variable)
        if hasattr(gradient, "indices"):  # that of an embedding has only the rows that were looked up
            gradient = ops.add(ops.zeros_like(variable), gradient)
        gradient = ops.cast(gradient, variable.dtype)
        first = ops.where(ops.greater(self.iterations, 0), self._first[at], variable)
        self.assign(self._first[at], first)
        scaled = ops.cast(d, variable.dtype) * gradient
        momentum, velocity = self._momentums[at], self._velocities[at]
        self.assign(momentum, self.beta_1 * momentum + (1 - self.beta_1) * scaled)
        self.assign(velocity, self.beta_2 * velocity + (1 - self.beta_2) * ops.square(scaled))
        sums = self._decay_3 * self._sums[at] + ops.cast(weight, variable.dtype) * gradient
        self.assign(self._sums[at], sums)
        return tuple(ops.cast(ops.sum(each), d.dtype) for each in (gradient * (first - variable), ops.abs(sums)))

    def _estimate(self, found: Any) -> None:
        """Let d grow to what was found, in units of d0; while all gradients were zero that is nothing."""
        most = ops.maximum(self._most, found)
        self.assign(self._most, most)
        grown = ops.where(ops.equal(self._grown, 1.0), ops.maximum(found, 1.0), self._grown)
        self.assign(self._grown, ops.minimum(most, grown * self.growth_rate))

    def _move(self, variable: Any, size: Any) -> None:
        at, least = self._get_variable_index(variable), ops.cast(self.d * self.epsilon, variable.dtype)
        step = self._momentums[at] / (ops.sqrt(self._velocities[at]) + least)
        if self.weight_decay is not None and self._use_weight_decay(variable):
            step = step + self.weight_decay * variable
        self.assign_sub(variable, ops.cast(size, variable.dtype) * step)

    def _apply_weight_decay(self, variables: Sequence[Any]) -> None:
        """Do nothing: the decay is part of the step, whose size is the estimate's."""

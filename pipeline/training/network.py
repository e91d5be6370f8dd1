"""A network that can be built anew from any seed, in the precision that suits it, and served."""

import dataclasses
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from pipeline.datasets import Scaling, Scalings, Splits, input_shape, text_inputs
from pipeline.errors import InputError, refusal
from pipeline.lr_multipliers import factors, multipliers
from pipeline.models import Builder, symbolic
from pipeline.training import keras_internals
from pipeline.training.codes import scaling_for, takes_codes

AUTO, FLOAT32, BFLOAT16 = "auto", "float32", "mixed_bfloat16"

_CACHE_BYTES = 256 * 2**20
"""Most bytes of initial states to keep, so that trainings from the same seed do not build the network again."""

_CPU_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}
"""Linux' names for instructions that multiply bfloat16, on x86 and ARM."""

_GPU_CAPABILITY = (8, 0)
"""First compute capability of Nvidia GPUs with such instructions."""


class Network:
    """The user's network: the function that builds it, its dtype policy, and its initial state for each seed.

    `precision` is a Keras dtype policy, or `auto`, which picks one that suits network and hardware; `policy` is the
    one chosen. `same_start` says whether the seed leaves the initial weights as they are, as with pretrained ones.
    `lr_multipliers` are those of the network by layer, and `factors` those of its trainable weights.

    Raises:
        InputError: if the function sets a random seed itself, after which all seeds give the same training, or the
            network's `lr_multipliers` cannot be used.

    """

    def __init__(self, build: Builder, precision: str) -> None:
        self._build = build
        self.policy = FLOAT32 if precision == AUTO else precision
        first = self.fresh(seed=0)
        if precision == AUTO and automatic(first) != self.policy:
            self.policy = automatic(first)
            first = self.fresh(seed=0)
        self._initial = {0: [variable.numpy() for variable in first.variables]}
        self._unused: keras.Model | None = first
        try:
            self.lr_multipliers, self.factors = multipliers(first), factors(first)
        except ValueError as error:
            raise InputError(f"model: {error}") from error
        drawn, weights = self._drawn, self._initial[0]
        others = self.initial_state(seed=1)
        if self._drawn == drawn:
            received = "a function that sets a random seed, so that all seeds begin with the same weights"
            raise refusal("model", received, "one that sets none: each training sets its own seed before the call")
        floats = [(a, b) for a, b in zip(weights, others, strict=True) if a.dtype.kind == "f"]  # not dropout's seeds
        self.same_start = all(np.array_equal(a, b) for a, b in floats)

    def model(self) -> keras.Model:
        """Return a model that no earlier call has returned."""
        model, self._unused = self._unused or self.fresh(seed=0), None
        return model

    def sample(self) -> keras.Model:
        """Return the network to look at; nobody may change it."""
        return self._unused or self.fresh(seed=0)

    def fresh(self, seed: int) -> keras.Model:
        """Build the network anew with this seed."""
        with _dtype_policy(self.policy), _random_states_kept():
            keras.utils.set_random_seed(seed)
            model = self._build()
            self._drawn = random.getstate()  # Keras draws the seeds of layers from there
        if self.policy != FLOAT32:
            for layer in _last_layers(model):
                layer.dtype_policy = keras.DTypePolicy(FLOAT32)  # probabilities need more than 8 bits
        return model

    def adapted(self, splits: Splits) -> Splits:
        """Return the data with inputs that the network takes for codes left unscaled.

        Raises:
            InputError: where these codes cannot be looked up.

        """
        return dataclasses.replace(splits, scaling=scaling_for(self.sample(), splits))

    def initial_state(self, seed: int) -> list[NDArray[Any]]:
        """Return the values of the network's variables when it is built with this seed."""
        if seed not in self._initial:
            state = [variable.numpy() for variable in self.fresh(seed).variables]
            while self._initial and (len(self._initial) + 1) * sum(part.nbytes for part in state) > _CACHE_BYTES:
                del self._initial[next(iter(self._initial))]
            self._initial[seed] = state
        return self._initial[seed]

    def served(self, weights: Sequence[NDArray[Any]] | None, splits: Splits) -> keras.Model:
        """Return the network, uncompiled, between layers that scale raw inputs and undo the scaling of labels.

        Without weights it has those that it is built with.
        """
        network = _uncompiled(self.fresh(seed=0))
        if weights is not None:
            network.set_weights(weights)
        x, scaling = splits.x_train, splits.scaling
        raw = symbolic(input_shape(x), text_inputs(x))
        after = [] if splits.label_scaling is None else [_unscaling(splits.label_scaling)]
        if not isinstance(scaling, dict) and not splits.outputs:
            before = [] if scaling.kind == "text" else [_rescaling(scaling)]
            return keras.Sequential([raw, *before, network, *after])
        outputs = network(_rescaled(raw, scaling))
        if splits.outputs and not isinstance(outputs, dict):
            outputs = dict(zip(network.output_names, outputs, strict=True))
        for layer in after:
            outputs = layer(outputs)
        return keras.Model(raw, outputs)


def automatic(model: keras.Model) -> str:
    """Return `mixed_bfloat16` for a network with convolutions where the hardware computes it natively, else `float32`.

    `benchmarks/precision.py` shows the speed-up, and that the loss stays within noise. XLA speeds up dense networks. A
    network that looks up codes stays in float32: layers of the user's own would get the codes rounded to 8 bits.
    """
    convolutional = any(map(keras_internals.convolves, keras_internals.all_layers(model)))
    return BFLOAT16 if convolutional and not takes_codes(model) and native_bfloat16() else FLOAT32


@cache
def native_bfloat16() -> bool:
    """Return whether the first GPU, or without one the processor, multiplies bfloat16 natively; False if unknown."""
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        details = tf.config.experimental.get_device_details(gpus[0])
        return bool(details.get("compute_capability", (0, 0)) >= _GPU_CAPABILITY)
    described = Path("/proc/cpuinfo")
    return described.is_file() and not _CPU_FLAGS.isdisjoint(described.read_text(encoding="utf-8").split())


def device_kind() -> str:
    """Return what trainings run on: "GPU" or "CPU"."""
    return "GPU" if tf.config.list_physical_devices("GPU") else "CPU"


def _uncompiled(model: keras.Model) -> keras.Model:
    """Remove what compiling added, so that a saved file does not contain it, and return the model."""
    model.optimizer, model.compiled = None, False
    return model


def assign(variables: Any, values: Any) -> None:
    """Give each variable its value."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _last_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """Return the layers that produce the outputs, even inside a nested model."""
    if len(getattr(model, "outputs", ())) > 1:
        given = keras_internals.output_operations(model)
        return [_last_layer(one) for one in given if isinstance(one, keras.layers.Layer)]
    return [_last_layer(model)]


def _last_layer(model: keras.layers.Layer) -> keras.layers.Layer:
    layer = model
    while getattr(layer, "layers", None):
        layer = layer.layers[-1]
    return layer


@contextmanager
def _dtype_policy(name: str) -> Iterator[None]:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


@contextmanager
def _random_states_kept() -> Iterator[None]:
    """Restore on exit the global random states, which belong to the user and which setting a seed changes."""
    before = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])


def _rescaled(raw: Any, scaling: Scalings) -> Any:
    """Return symbolic raw inputs as the network takes them; texts as they are."""
    if isinstance(scaling, dict):
        return {name: _rescaled(raw[name], own) for name, own in scaling.items()}
    return raw if scaling.kind == "text" else _rescaling(scaling)(raw)


def _rescaling(scaling: Scaling) -> keras.layers.Layer:
    scale, offset = np.asarray(scaling.scale), np.asarray(scaling.offset)
    return keras.layers.Rescaling(_plain(1 / scale), _plain(-offset / scale), dtype="float32")


def _unscaling(scaling: Scaling) -> keras.layers.Layer:
    """Return a layer that turns outputs into labels as they were."""
    return keras.layers.Rescaling(
        _plain(np.asarray(scaling.scale)), _plain(np.asarray(scaling.offset)), dtype="float32"
    )


def _plain(values: NDArray[np.float64]) -> float | list[float]:
    """Return a single number, or several as a list: Keras can write both into a model file."""
    return float(values[0]) if len(values) == 1 else [float(value) for value in values]

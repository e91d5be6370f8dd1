"""Which inputs a network takes for codes: token ids and categories, which no scaling may touch."""

from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from pipeline.datasets import Inputs, Scaling, Scalings, Splits, blocks, input_shape, keeping_codes
from pipeline.errors import InputError, describe
from pipeline.training import keras_internals

_LOOKUPS = (
    keras.layers.Embedding, keras.layers.IntegerLookup, keras.layers.Hashing, keras.layers.CategoryEncoding,
)  # fmt: skip
"""Layers whose inputs are codes."""

_SCALING = (keras.layers.Rescaling, keras.layers.Normalization)

_FIRST = 2**20 + 1
"""First value of a probe: beyond positions, which networks look up too. All are odd; what bfloat16 rounds is even."""

_EXACT = 2**24
"""First integer that float32 may hold in place of its neighbour."""


def takes_codes(model: keras.Model) -> bool:
    """Return whether the network looks anything up, or declares an input of integers."""
    return bool(_lookups(model)) or any(map(_is_integer, _declared(model).values()))


def scaling_layer(model: keras.Model) -> str:
    """Return the kind of a layer by which the network scales its inputs itself; "" if it has none."""
    kinds = (type(layer) for layer in keras_internals.all_layers(model))
    return next((kind.__name__ for kind in kinds if issubclass(kind, _SCALING)), "")


def scaling_for(model: keras.Model, splits: Splits) -> Scalings:
    """Return the data's scaling, with codes left as they are unless the user chose how to scale them.

    Raises:
        InputError: where it cannot be told what are codes, or codes are not such that the network can look them up.

    """
    given: Any = splits.scaling
    scaling: dict[str, Scaling] = given if isinstance(given, dict) else {"": given}
    numeric = {name: own for name, own in scaling.items() if own.kind != "text"}
    if not takes_codes(model) or all(own.asked for own in numeric.values()):
        return splits.scaling  # type: ignore[no-any-return]
    known, limits = input_shape(splits.x_train), {}
    for name, limit in _limits(model, known if isinstance(known, dict) else {"": known}, numeric).items():
        if not scaling[name].asked and np.isfinite(limit).any():
            # Of images, all pixels share a scale: they are codes together.
            limits[name] = limit if len(limit) == len(scaling[name].scale) else limit.min(keepdims=True)
    for part in ("train", "val", "test"):
        _check(getattr(splits, f"x_{part}"), limits)
    kept = {
        name: keeping_codes(own, np.isfinite(limits[name])) if name in limits else own for name, own in scaling.items()
    }
    return kept if isinstance(given, dict) else kept[""]


def _limits(
    model: keras.Model, shapes: dict[str, tuple[int, ...]], numeric: Container[str]
) -> dict[str, NDArray[np.float64]]:
    """Return for each feature of each numeric input what its codes must stay below; infinite where it is no code.

    The network is called once with a probe whose values tell all features apart, to see which of them are looked up.
    """
    probes, texts, first = {}, {}, _FIRST
    for name, shape in shapes.items():
        if name not in numeric:
            texts[name] = tf.fill((1, *shape), "")
            continue
        size = int(np.prod(shape))
        probes[name] = np.arange(first, first + 2 * size, 2, dtype=np.float32).reshape(1, *shape)
        first += 2 * size
    limits = {name: np.full(probe.size, np.inf) for name, probe in probes.items()}
    for name, tensor in _declared(model).items():
        if _is_integer(tensor) and name in limits:
            limits[name][:] = _EXACT
    try:
        with _recorded(model) as seen:
            model(probes.get("", {**keras.tree.map_structure(tf.constant, probes), **texts}), training=False)
    except Exception as error:  # whatever code of the user's makes of the probe
        if not all(np.isfinite(limit).all() for limit in limits.values()):
            received = f"a network that looks up codes, and fails with {describe(error)} where these are tried"
            raise InputError(f"scale: received auto for {received}, expected none or standard") from error
        return limits
    known = np.concatenate([probe.ravel() for probe in probes.values()])
    for layer, values in seen:
        if not np.isin(values[values >= _FIRST / 2], known).all():
            raise InputError(
                f"precision: received one in which layer {layer.name!r} gets rounded codes,"
                " expected float32, or keras.Input(..., dtype='int32')"
            )
        own = min(_EXACT, layer.input_dim) if isinstance(layer, keras.layers.Embedding) else _EXACT
        for name, probe in probes.items():
            found = np.isin(probe.ravel(), values)
            limits[name][found] = np.minimum(limits[name][found], own)
    return limits


def _check(x: Inputs, limits: dict[str, NDArray[np.float64]]) -> None:
    """Check that all codes are whole numbers from 0 to below their limits."""
    for block in blocks(x):
        for name, limit in limits.items():
            values = block[name] if name else block
            codes = values.reshape(len(values), -1)
            codes = codes[:, np.isfinite(limit)] if len(limit) > 1 else codes
            bound = limit[np.isfinite(limit)]
            whole = np.equal(codes, np.floor(codes)).all()
            if whole and codes.min() >= 0 and (codes < bound).all():
                continue
            which = f"input {name!r}" if name else "data"
            received = f"codes from {codes.min():g} to {codes.max():g}"
            raise InputError(
                f"{which}: received {received}, expected {'' if whole else 'whole '}numbers from 0 to"
                f" {bound.min() - 1:.0f}, which the network can look up"
            )


@contextmanager
def _recorded(model: keras.Model) -> Iterator[list[tuple[keras.layers.Layer, NDArray[Any]]]]:
    """Record what each lookup gets, and let it look up code 0."""
    seen: list[tuple[keras.layers.Layer, NDArray[Any]]] = []

    def recording(layer: keras.layers.Layer, call: Callable[..., Any]) -> Callable[..., Any]:
        def recorded(inputs: Any, *args: Any, **kwargs: Any) -> Any:
            seen.append((layer, np.asarray(inputs).ravel()))
            return call(keras.ops.zeros_like(inputs), *args, **kwargs)

        return recorded

    layers = _lookups(model)
    for layer in layers:
        vars(layer)["call"] = recording(layer, layer.call)  # past Keras' tracking of attributes
    try:
        yield seen
    finally:
        for layer in layers:
            del vars(layer)["call"]


def _lookups(model: keras.Model) -> list[keras.layers.Layer]:
    return [layer for layer in keras_internals.all_layers(model) if isinstance(layer, _LOOKUPS)]


def _declared(model: keras.Model) -> dict[str, Any]:
    """Return the inputs that a functional or sequential model declares, by name where there are several."""
    declared = getattr(model, "input", None)
    return declared if isinstance(declared, dict) else {} if declared is None else {"": declared}


def _is_integer(tensor: Any) -> bool:
    return "int" in str(getattr(tensor, "dtype", ""))

"""Vocabularies of layers that take text: learnt from the training set if a network comes without, and copied."""

from collections.abc import Callable

import keras

from pipeline.datasets import Splits, text_inputs
from pipeline.errors import refusal
from pipeline.training import keras_internals

_LAYERS = (keras.layers.TextVectorization, keras.layers.StringLookup, keras.layers.IntegerLookup)


class Learning:
    """Builds a network whose `TextVectorization` gets its vocabulary from the training texts if it comes without.

    `learnt` is the name of this layer, once that has happened.
    """

    def __init__(self, build: Callable[[], keras.Model], splits: Splits) -> None:
        self._build, self._splits = build, splits
        self._vocabulary: list[str] = []
        self.learnt = ""

    def __call__(self) -> keras.Model:
        """Build the network anew.

        Raises:
            InputError: if a layer without vocabulary is not the first of a network that takes nothing but texts.

        """
        model = self._build()
        for layer in keras_internals.all_layers(model):
            if isinstance(layer, keras.layers.TextVectorization) and not _vocabulary(layer):
                declared = getattr(model, "inputs", None) or ()
                self._fill(layer, first=any(getattr(layer, "input", None) is one for one in declared))
        return model

    def _fill(self, layer: keras.layers.TextVectorization, *, first: bool) -> None:
        if not first or text_inputs(self._splits.x_train) != {""}:
            received = f"layer {layer.name!r} without vocabulary"
            raise refusal("model", received, "one that was given it, or has learnt it by adapt()")
        if self._vocabulary and layer.get_config()["output_mode"] != "tf_idf":
            layer.set_vocabulary(self._vocabulary)
            return
        layer.adapt(self._splits.x_train)
        self._vocabulary, self.learnt = _vocabulary(layer), layer.name


def copy_vocabularies(model: keras.Model, copy: keras.Model) -> None:
    """Give the layers of a copy the vocabularies that those of the model have learnt, which Keras does not copy."""
    pairs = zip(keras_internals.all_layers(model), keras_internals.all_layers(copy), strict=True)
    for layer, own in pairs:
        if type(layer) in _LAYERS and _vocabulary(layer) and not _vocabulary(own):
            own.set_vocabulary(_vocabulary(layer))


def _vocabulary(layer: keras.layers.Layer) -> list[str]:
    return layer.get_vocabulary(include_special_tokens=False)  # type: ignore[no-any-return]

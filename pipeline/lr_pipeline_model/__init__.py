"""How a trained model is stored and loaded, without pickle.

This package goes with every model that is logged, and MLflow loads the model by it wherever it is used. So it imports
nothing else of this project.
"""

import importlib
import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from inspect import isclass, isfunction
from pathlib import Path
from types import ModuleType
from typing import Any

from .columns import load_columns

_NETWORK, _DESCRIPTION, _COLUMNS = "model.keras", "model.json", "columns.skops"


@dataclass(frozen=True)
class Outputs:
    """What the outputs of a network are.

    Attributes:
        names: the class that each stands for; empty where outputs are predicted values.
        activation: the function of `keras.activations` that turns them into probabilities; "" if they are what is
            answered.

    """

    names: tuple[str, ...] = ()
    activation: str = ""


VALUES = Outputs()


class ServedModel:
    """A network of raw inputs that answers as users read it: a table with a probability for each class, or values."""

    def __init__(self, network: Any, outputs: Outputs | Mapping[str, Outputs], columns: Any = None) -> None:
        """Store the network, what its outputs are, and what turns a table as it was given into the network's inputs."""
        self._network, self._outputs, self._columns = network, outputs, columns

    def predict(self, data: Any) -> Any:
        """Return a DataFrame with a column for each class, or an array of values where there are none.

        Of several outputs it is a DataFrame, with columns such as `digit=3` for a class of `digit`, `ink` for a value.
        """
        import numpy as np
        import pandas as pd

        index = data.index if isinstance(data, pd.DataFrame) else None
        if self._columns is not None:
            data = np.asarray(self._columns.transform(data), np.float32)
        values = self._network.predict(tensors(data), verbose=0)
        if isinstance(self._outputs, Outputs):
            answers = _answers(values, self._outputs)
            return pd.DataFrame(answers, index, list(self._outputs.names)) if self._outputs.names else answers
        answers = [_answers(values[name], own) for name, own in self._outputs.items()]
        columns = [
            f"{name}={part}" if own.names or one.shape[1] > 1 else name
            for one, (name, own) in zip(answers, self._outputs.items(), strict=True)
            for part in own.names or range(one.shape[1])
        ]
        return pd.DataFrame(np.concatenate(answers, axis=1), index, columns)

    def get_raw_model(self) -> Any:
        """Return the Keras model, as MLflow's `get_raw_model` does."""
        return self._network


def _answers(values: Any, outputs: Outputs) -> Any:
    """Return the probability of each class, or values as they are."""
    import keras
    import numpy as np

    if outputs.activation:
        values = np.asarray(getattr(keras.activations, outputs.activation)(values))
    if len(outputs.names) == 2 and values.shape[1] == 1:  # one unit gives the probability of the second class
        values = np.concatenate([1 - values, values], axis=1)
    return values


def tensors(data: Any) -> Any:
    """Return texts as tensors, the only form in which Keras takes them, and all other inputs as they are."""
    import numpy as np
    import tensorflow as tf

    if isinstance(data, Mapping):
        return {name: tensors(values) for name, values in data.items()}
    texts = isinstance(data, np.ndarray) and data.dtype.kind in "OSU"
    return tf.constant(data.astype(object)) if texts else data


def definitions(modules: Iterable[ModuleType]) -> dict[str, Any]:
    """Return the classes and functions that modules define, by the names that Keras looks for."""
    return {
        name: value
        for module in modules
        for name, value in vars(module).items()
        if (isclass(value) or isfunction(value)) and value.__module__ == module.__name__
    }


def save(
    folder: Path,
    network: Any,
    outputs: Outputs | Mapping[str, Outputs],
    modules: Iterable[str] = (),
    columns: Path | None = None,
) -> None:
    """Write a Keras model.

    Args:
        folder: where.
        network: takes raw inputs, or those that `columns` makes of them.
        outputs: what its outputs are, by name if there are several.
        modules: the names of those whose classes and functions it needs.
        columns: what `Columns.save` wrote.

    """
    network.save(folder / _NETWORK)
    if isinstance(outputs, Outputs):
        answered = asdict(outputs)
    else:
        answered = {"outputs": {name: asdict(one) for name, one in outputs.items()}}
    described = {**answered, "modules": list(modules)}
    (folder / _DESCRIPTION).write_text(json.dumps(described, indent=2), encoding="utf-8")
    if columns is not None:
        shutil.copyfile(columns, folder / _COLUMNS)


def load(folder: Path) -> ServedModel:
    """Load a model. The user's modules are imported, and no pickle is opened."""
    import keras

    described = json.loads((folder / _DESCRIPTION).read_text(encoding="utf-8"))
    own = definitions(importlib.import_module(name) for name in described["modules"])
    network = keras.saving.load_model(folder / _NETWORK, custom_objects=own, compile=False, safe_mode=True)
    columns = None
    if (file := folder / _COLUMNS).is_file():
        columns = load_columns(file)
    outputs = {name: _outputs(one) for name, one in described.get("outputs", {}).items()} or _outputs(described)
    return ServedModel(network, outputs, columns)


def _outputs(described: Mapping[str, Any]) -> Outputs:
    return Outputs(tuple(described["names"]), described["activation"])


def _load_pyfunc(path: str) -> ServedModel:
    """Load a model, as MLflow asks for it."""
    return load(Path(path))

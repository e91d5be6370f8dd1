"""Checkpoints: the whole state of a training at the end of an epoch, from which a killed one goes on."""

import hashlib
import io
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import describe
from pipeline.evaluation import Evaluation
from pipeline.files import whole_file
from pipeline.training.batch_statistics import Recompute
from pipeline.training.callbacks import Rewriter, Watch
from pipeline.training.network import assign

_STATES: Mapping[type[keras.callbacks.Callback], Sequence[str]] = {
    Watch: ("updates", "_judged", "_start"),
    Rewriter: ("_curve", "_val_losses"),
    Recompute: ("applied",),
    keras.callbacks.EarlyStopping: ("wait", "best", "best_epoch", "best_weights"),
}
"""The attributes in which callbacks keep what they have seen of a training."""

_FORGOTTEN = 30 * 86_400.0
"""Seconds after which the checkpoint of a training that was never continued is removed."""

_DIGEST = hashlib.sha256().digest_size


@dataclass(frozen=True)
class Checkpoints:
    """Where the checkpoints of trainings are, and how often one is written.

    Attributes:
        folder: has a file for each training that is at work, or was when its process was killed.
        context: the key of everything that affects the trainings besides the evaluations.
        seconds: the time from the start of a training to its first checkpoint, and between checkpoints.
        tell: is given a line where a training goes on from a checkpoint, or one cannot be used or written.

    """

    folder: Path
    context: str
    seconds: float
    tell: Callable[[str], object]

    def of(self, evaluation: Evaluation) -> "Checkpoint":
        """Return the place of a training's checkpoint."""
        path = self.folder / f"{self.context}-{evaluation.digest}"
        return Checkpoint(path, self.seconds, lambda line: self.tell(f"{evaluation.name}: {line}"))


@dataclass(frozen=True)
class Checkpoint:
    """The file of one training: a SHA-256, then an `.npz` with the arrays and, as JSON, all else."""

    path: Path
    seconds: float
    tell: Callable[[str], object]

    def read(self) -> dict[str, Any] | None:
        """Return the state that was written last; None if there is none, or with a line if it is damaged."""
        if not self.path.is_file():
            return None
        try:
            content = memoryview(self.path.read_bytes())
        except OSError as error:
            self.tell(f"its checkpoint cannot be read ({describe(error)}): it starts again")
            return None
        if hashlib.sha256(content[_DIGEST:]).digest() != content[:_DIGEST]:
            self.tell("its checkpoint is damaged: it starts again")
            return None
        with np.load(io.BytesIO(content[_DIGEST:]), allow_pickle=False) as arrays:

            def restored(value: dict[str, Any]) -> Any:
                return arrays[value["__array__"]].view(value["dtype"]) if "__array__" in value else value

            state: dict[str, Any] = json.loads(arrays["state"].tobytes(), object_hook=restored)
        return state

    def write(self, state: Mapping[str, Any]) -> None:
        """Replace the file, so that a crash leaves the old state or the new one; where that fails, say so."""
        arrays: dict[str, NDArray[Any]] = {}

        def kept(value: Any) -> dict[str, str]:
            array = np.asarray(value)
            arrays[name := str(len(arrays))] = array
            return {"__array__": name, "dtype": array.dtype.name}  # .npz forgets bfloat16

        text = json.dumps(state, default=kept)
        payload = io.BytesIO()
        np.savez(payload, allow_pickle=False, state=np.frombuffer(text.encode(), np.uint8), **arrays)
        try:
            with whole_file(self.path) as file:
                file.write(hashlib.sha256(payload.getbuffer()).digest())
                file.write(payload.getbuffer())
        except OSError as error:
            self.tell(f"no checkpoint could be written ({describe(error)}); it trains on")

    def remove(self) -> None:
        """Remove the file with what a killed process left half written, and files that have been forgotten."""
        if not self.path.parent.is_dir():
            return
        for file in self.path.parent.iterdir():
            if file.name.lstrip(".").startswith(self.path.name) or file.stat().st_mtime < time.time() - _FORGOTTEN:
                file.unlink(missing_ok=True)


class Resume(keras.callbacks.Callback):  # type: ignore[misc]
    """Callback that continues a training from its checkpoint, and writes checkpoints; must be the last one.

    Attributes:
        first: the epoch to begin with, in Keras' sense: the time between two validations.
        seconds: the time that the training had taken by then.

    """

    def __init__(self, checkpoint: Checkpoint, epochs: int, variables: Sequence[Any], callbacks: Sequence[Any]) -> None:
        """Read the checkpoint, if there is one.

        Args:
            checkpoint: the training's.
            epochs: the length of the whole training.
            variables: all that the training changes.
            callbacks: those whose states belong to the training.

        """
        super().__init__()
        self._checkpoint, self._epochs, self._variables = checkpoint, epochs, variables
        self._callbacks = [
            (one, names) for one in callbacks for kind, names in _STATES.items() if isinstance(one, kind)
        ]
        self._state = checkpoint.read()
        self.first = self._state["epoch"] if self._state else 0
        self.seconds = self._state["seconds"] if self._state else 0.0

    def on_train_begin(self, logs: Any = None) -> None:
        """Restore variables, callbacks and history, after Keras has reset them."""
        self._began = self._written = time.perf_counter()
        if self._state is None:
            return
        assign(self._variables, self._state["variables"])
        for (one, _), values in zip(self._callbacks, self._state["callbacks"], strict=True):
            vars(one).update(values)
        self.model.history.history.update(self._state["history"])
        self._checkpoint.tell(f"goes on from its checkpoint, {self.first / self._epochs:.0%} done")
        self._state = None

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Write a checkpoint if one is due and the training goes on."""
        now = time.perf_counter()
        due = now - self._written >= self._checkpoint.seconds
        if not due or self.model.stop_training or epoch + 1 == self._epochs:
            return
        seen = self.model.history.history  # Keras adds this epoch afterwards
        state = {
            "epoch": epoch + 1,
            "seconds": self.seconds + now - self._began,
            "variables": [variable.numpy() for variable in self._variables],
            "callbacks": [{name: getattr(one, name) for name in names} for one, names in self._callbacks],
            "history": {name: [*seen.get(name, ()), value] for name, value in (logs or {}).items()},
        }
        self._checkpoint.write(state)
        self._written = time.perf_counter()

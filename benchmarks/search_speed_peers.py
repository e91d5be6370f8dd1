"""One search as a user of KerasTuner or Optuna writes it, in a process of its own, that ends at the target.

    python -m benchmarks.search_speed_peers hyperband --seed 0 --target 0.086 --log log.jsonl

A fresh model a trial, trained by a plain `fit`; the decay scheme is a categorical choice and the initial rate
log-uniform from 1e-5 to 1. After every epoch a line of the log gives the time of day and the validation loss.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from numpy.typing import NDArray

from pipeline import datasets, schedules
from pipeline.config import SearchOptions
from pipeline.models import builder

LOW, HIGH = 1e-5, 1.0
"""The blind prior of the initial rate."""

SCHEMES = list(SearchOptions().scheme_names())
"""All schemes that our search may choose from, with their default parameters."""

_WITHOUT_END = 10_000


class Rates(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """A scheme's rates, looked up as an exported `schedule.py` does; after the last the rate stays."""

    def __init__(self, rates: NDArray[np.float64]) -> None:
        self.rates = rates.astype("float32")

    def __call__(self, step: Any) -> Any:
        """The rate of this update."""
        update = keras.ops.minimum(keras.ops.cast(step, "int32"), len(self.rates) - 1)
        return keras.ops.take(keras.ops.convert_to_tensor(self.rates), update)


class UntilTarget(keras.callbacks.Callback):  # type: ignore[misc]
    """Logs every epoch's validation loss, and ends the process at the target."""

    def __init__(self, log: Path, target: float) -> None:
        super().__init__()
        self._log, self._target = log, target

    def on_train_begin(self, logs: Any = None) -> None:
        """A line without a loss begins a trial."""
        self._write({"time": time.time()})

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """SystemExit passes through the tuners, which catch exceptions."""
        val_loss = float((logs or {})["val_loss"])
        self._write({"time": time.time(), "val_loss": val_loss})
        if val_loss <= self._target:
            sys.exit()

    def _write(self, line: dict[str, float]) -> None:
        with self._log.open("a") as file:
            file.write(json.dumps(line) + "\n")


@dataclass(frozen=True)
class Task:
    """The data, the network and how long one training is."""

    splits: datasets.Splits
    options: argparse.Namespace

    def model(self, scheme: str, rate: float) -> keras.Model:
        """A fresh compiled network."""
        splits, options = self.splits, self.options
        steps_per_epoch = -(-len(splits.x_train) // options.batch_size)
        steps = options.epochs * steps_per_epoch
        rates = schedules.curve(scheme, steps=steps, steps_per_epoch=steps_per_epoch, initial_lr=rate)
        model = builder(options.model, splits.x_train.shape[1:], splits.num_outputs, splits.task)()
        model.compile(
            keras.optimizers.SGD(Rates(rates), momentum=0.9),
            loss="sparse_categorical_crossentropy",
            metrics=["accuracy"],
        )
        return model

    @property
    def fit_arguments(self) -> dict[str, Any]:
        """What `fit` takes, whoever calls it."""
        splits, options = self.splits, self.options
        offset, scale = (np.asarray(part, np.float32) for part in (splits.scaling.offset, splits.scaling.scale))
        return {
            "x": (splits.x_train - offset) / scale,
            "y": splits.y_train,
            "validation_data": ((splits.x_val - offset) / scale, splits.y_val),
            "batch_size": options.batch_size,
            "epochs": options.epochs,
            "verbose": 0,
        }


def hyperband(task: Task, seed: int, watch: UntilTarget) -> None:
    """KerasTuner's Hyperband, as often over as it takes."""
    import keras_tuner

    limits = {"max_epochs": task.options.epochs, "hyperband_iterations": _WITHOUT_END}
    _keras_tuner(keras_tuner.Hyperband, task, seed, watch, **limits)


def random_search(task: Task, seed: int, watch: UntilTarget) -> None:
    """KerasTuner's RandomSearch."""
    import keras_tuner

    _keras_tuner(keras_tuner.RandomSearch, task, seed, watch, max_trials=_WITHOUT_END)


def _keras_tuner(tuner: Callable[..., Any], task: Task, seed: int, watch: UntilTarget, **limits: int) -> None:
    def build(hp: Any) -> keras.Model:
        return task.model(hp.Choice("scheme", SCHEMES), hp.Float("initial_lr", LOW, HIGH, sampling="log"))

    with tempfile.TemporaryDirectory() as folder:
        # Its default ends a search at the third diverged trial in a row; a blind prior needs more.
        search = tuner(
            build, "val_loss", seed=seed, directory=folder, max_consecutive_failed_trials=_WITHOUT_END, **limits
        )
        search.search(**task.fit_arguments, callbacks=[watch])


def optuna_tpe(task: Task, seed: int, watch: UntilTarget) -> None:
    """Optuna's TPE with a MedianPruner that sees every epoch."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)

    def objective(trial: optuna.Trial) -> float:
        keras.backend.clear_session()
        scheme = trial.suggest_categorical("scheme", SCHEMES)
        model = task.model(scheme, trial.suggest_float("initial_lr", LOW, HIGH, log=True))

        def report(epoch: int, logs: dict[str, float]) -> None:
            trial.report(logs["val_loss"], epoch)
            if trial.should_prune():
                raise optuna.TrialPruned

        reporting = keras.callbacks.LambdaCallback(on_epoch_end=report)
        history = model.fit(**task.fit_arguments, callbacks=[watch, reporting])
        return float(history.history["val_loss"][-1])

    sampler, pruner = optuna.samplers.TPESampler(seed=seed), optuna.pruners.MedianPruner()
    optuna.create_study(sampler=sampler, pruner=pruner).optimize(objective, n_trials=_WITHOUT_END)


TOOLS: dict[str, Callable[[Task, int, UntilTarget], None]] = {
    "hyperband": hyperband,
    "random_search": random_search,
    "optuna_tpe": optuna_tpe,
}


def main() -> None:
    """Search until the target is reached."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("tool", choices=TOOLS)
    parser.add_argument("--data", default="mnist-5k")
    parser.add_argument("--model", default="cnn")
    parser.add_argument("--batch-size", type=int, default=50)
    parser.add_argument("--epochs", type=int, default=9)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--target", type=float, required=True, help="validation loss")
    parser.add_argument("--log", type=Path, required=True)
    options = parser.parse_args()
    keras.utils.set_random_seed(options.seed)
    task = Task(datasets.split(datasets.load(options.data), options.seed), options)
    TOOLS[options.tool](task, options.seed, UntilTarget(options.log, options.target))


if __name__ == "__main__":
    main()

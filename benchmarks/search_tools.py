"""One search by one tool, in a separate process that ends at the target.

    python -m benchmarks.search_tools hyperband --seed 0 --target 0.086 --log log.jsonl

`ours` is the range test and the search of the pipeline, without stages or a tracking store; `python -m pipeline search`
adds the processes of the stages and their logging. The others are searches as a user of KerasTuner or Optuna writes
them: a fresh model for each trial, trained by a plain `fit`; the decay scheme is a categorical choice and the initial
rate log-uniform from 1e-5 to 1.

Each line of the log gives the time of day: without a loss where a training begins, with the validation loss after every
epoch of a peer, and with the best validation loss after every training of ours.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import optuna
from numpy.typing import NDArray

from pipeline import datasets, range_test, schedules, search
from pipeline.config import REFINE_OFF, SearchOptions
from pipeline.datasets import Splits
from pipeline.evaluation import Ask, Evaluation, Training
from pipeline.models import Builder, builder
from pipeline.results import SearchResult
from pipeline.training import InProcess, Problem

LOW, HIGH = 1e-5, 1.0
"""The peers' uninformed prior for the initial rate."""

SCHEMES = SearchOptions().scheme_names()
"""All schemes that our search may choose from; the peers use their default parameters."""

WITHOUT_END = 10_000
"""A limit of KerasTuner that is never reached."""


def find(
    options: SearchOptions, steps_per_epoch: int, ask: Ask, validation_examples: int = 1, at_once: int = 1
) -> SearchResult:
    """Return the results of the range test and of the search; `ask` runs the trainings, so many at once."""
    found = range_test.conduct(range_test.planned(options, lambda size: steps_per_epoch), ask).result
    plan = search.planned(options, [found], lambda size: steps_per_epoch, validation_examples, at_once)
    return search.conduct(plan, ask)[0]


class Log:
    """A file with the times at which trainings begin and the losses they reach; ends the process at the target."""

    def __init__(self, path: Path, target: float) -> None:
        self._path, self._target = path, target

    def began(self) -> None:
        """Record that a training begins."""
        self._write({"time": time.time()})

    def reached(self, val_loss: float) -> None:
        """Record a validation loss, and exit at the target: the tuners catch exceptions, but not SystemExit."""
        self._write({"time": time.time(), "val_loss": val_loss})
        if val_loss <= self._target:
            sys.exit()

    def _write(self, line: dict[str, float]) -> None:
        with self._path.open("a") as file:
            file.write(json.dumps(line) + "\n")


class Rates(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """The rates of a scheme, looked up as an exported `schedule.py` does; after the last one the rate stays."""

    def __init__(self, rates: NDArray[np.float64]) -> None:
        self.rates = rates.astype("float32")

    def __call__(self, step: Any) -> Any:
        """Return the rate of this update."""
        update = keras.ops.minimum(keras.ops.cast(step, "int32"), len(self.rates) - 1)
        return keras.ops.take(keras.ops.convert_to_tensor(self.rates), update)


class Watch(keras.callbacks.Callback):  # type: ignore[misc]
    """A callback that logs the validation loss of every epoch."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log

    def on_train_begin(self, logs: Any = None) -> None:
        """Log the beginning of a trial."""
        self._log.began()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Log the validation loss of the epoch."""
        self._log.reached(float((logs or {})["val_loss"]))


@dataclass(frozen=True)
class Task:
    """The data, the network, how long one training is, and where to log."""

    splits: Splits
    options: SearchOptions
    log: Log

    @property
    def build(self) -> Builder:
        """The function that builds the network."""
        splits = self.splits
        return builder(self.options.model, splits.x_train.shape[1:], splits.num_outputs, splits.task)

    @property
    def steps_per_epoch(self) -> int:
        """Updates in a pass over the training set."""
        return -(-len(self.splits.x_train) // self.options.batch_sizes[0])

    def model(self, scheme: str, rate: float) -> keras.Model:
        """Return a fresh compiled network."""
        steps = self.options.epochs * self.steps_per_epoch
        rates = schedules.curve(scheme, steps=steps, steps_per_epoch=self.steps_per_epoch, initial_lr=rate)
        model = self.build()
        model.compile(
            keras.optimizers.SGD(Rates(rates), momentum=self.options.momentum),
            loss="sparse_categorical_crossentropy",
            metrics=["accuracy"],
        )
        return model

    @property
    def fit_arguments(self) -> dict[str, Any]:
        """The arguments of `fit`."""
        splits = self.splits
        offset, scale = (np.asarray(part, np.float32) for part in (splits.scaling.offset, splits.scaling.scale))
        return {
            "x": (splits.x_train - offset) / scale,
            "y": splits.y_train,
            "validation_data": ((splits.x_val - offset) / scale, splits.y_val),
            "batch_size": self.options.batch_sizes[0],
            "epochs": self.options.epochs,
            "verbose": 0,
        }


def ours(task: Task) -> None:
    """Run range test and search, with the engine and the precision of the stages."""
    options = task.options
    executor = InProcess(Problem(task.build, task.splits, options.momentum, options.precision))

    def began(evaluation: Evaluation) -> None:
        if not evaluation.is_sweep:
            task.log.began()

    def ask(evaluations: Sequence[Evaluation]) -> Iterator[tuple[Evaluation, Training]]:
        for evaluation, training in executor.ask(evaluations, began):
            best = training.best("val_loss")
            if best is not None:
                task.log.reached(best)
            yield evaluation, training

    find(options, task.steps_per_epoch, ask)


def hyperband(task: Task) -> None:
    """Run KerasTuner's Hyperband, again and again until the target is reached."""
    import keras_tuner

    limits = {"max_epochs": task.options.epochs, "hyperband_iterations": WITHOUT_END}
    _keras_tuner(keras_tuner.Hyperband, task, **limits)


def random_search(task: Task) -> None:
    """Run KerasTuner's RandomSearch."""
    import keras_tuner

    _keras_tuner(keras_tuner.RandomSearch, task, max_trials=WITHOUT_END)


def _keras_tuner(tuner: Callable[..., Any], task: Task, **limits: int) -> None:
    def build(hp: Any) -> keras.Model:
        return task.model(hp.Choice("scheme", list(SCHEMES)), hp.Float("initial_lr", LOW, HIGH, sampling="log"))

    with tempfile.TemporaryDirectory() as folder:
        # By default a search ends at the third diverged trial in a row; an uninformed prior needs more.
        limits["max_consecutive_failed_trials"] = WITHOUT_END
        tuned = tuner(build, "val_loss", seed=task.options.seed, directory=folder, **limits)
        tuned.search(**task.fit_arguments, callbacks=[Watch(task.log)])


def optuna_tpe(task: Task) -> None:
    """Run Optuna's TPE with a MedianPruner that sees every epoch."""
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
        history = model.fit(**task.fit_arguments, callbacks=[Watch(task.log), reporting])
        return float(history.history["val_loss"][-1])

    sampler, pruner = optuna.samplers.TPESampler(seed=task.options.seed), optuna.pruners.MedianPruner()
    optuna.create_study(sampler=sampler, pruner=pruner).optimize(objective, n_trials=WITHOUT_END)


TOOLS: dict[str, Callable[[Task], None]] = {
    "ours": ours,
    "hyperband": hyperband,
    "random_search": random_search,
    "optuna_tpe": optuna_tpe,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Search until the target is reached, or until our search has ended."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("tool", choices=TOOLS)
    parser.add_argument("--data", default="mnist-5k")
    parser.add_argument("--model", default="cnn")
    parser.add_argument("--batch-size", type=int, default=50)
    parser.add_argument("--epochs", type=int, default=9)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--refine", default=REFINE_OFF, help="of ours: scheme of the range test's trainings, or off")
    parser.add_argument("--seeds", type=int, default=3, help="of ours: sweeps of the range test")
    parser.add_argument("--target", type=float, required=True, help="validation loss")
    parser.add_argument("--log", type=Path, required=True)
    given = vars(parser.parse_args(arguments))
    tool, log = given.pop("tool"), Log(given.pop("log"), given.pop("target"))
    options = SearchOptions.model_validate(given)
    keras.utils.set_random_seed(options.seed)
    TOOLS[tool](Task(datasets.split(datasets.load(options.data), options.seed), options, log))


if __name__ == "__main__":
    main()

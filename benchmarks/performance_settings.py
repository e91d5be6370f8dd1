"""Gains and costs of settings of TensorFlow and of the engine, each measured in a separate process.

    python -m benchmarks.performance_settings [--rounds 3] [--updates 2000 150] [SETTING ...]

Every round starts a process for each setting. The table has the milliseconds of an update of article A's network at
batch 32 and of article B's at batch 250, both on mnist-5k, and of an evaluation of 1,000 images by the latter.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

from benchmarks.performance_forms import description, network
from pipeline import datasets
from pipeline.keras_settings import DETERMINISTIC
from pipeline.training import Trainer, examples, feed
from pipeline.training.engine import shared_engine
from pipeline.training.examples import Examples
from pipeline.training.network import Network

UPDATES = {"mlp": 2_000, "cnn": 150}
BATCH = {"mlp": 32, "cnn": 250}


class Passing(feed.MemoryFeed):
    """Batches gathered by `tf.data` and passed on one by one, as Keras' `steps_per_execution` does."""

    steps_per_execution = feed.UPDATES_PER_CALL

    def dataset(self, updates: int) -> tf.data.Dataset:
        """Return the next `updates` batches."""
        return feed.untuned(tf.data.Dataset.range(updates).map(self._batch).prefetch(feed.AHEAD))

    def step_for(self, updates: feed.Updates) -> feed.Step:
        """Return the step of one update."""
        return updates.recorded_update


def _set(module: Any, name: str, value: Any) -> None:
    getattr(module, name)  # a name that is gone would change nothing
    setattr(module, name, value)


def _updates_per_call(count: int) -> None:
    _set(feed, "UPDATES_PER_CALL", count)
    _set(examples, "MemoryFeed", partial(feed.MemoryFeed, updates_per_call=count))


threads = tf.config.threading
SETTINGS: dict[str, Callable[[], Any]] = {
    "as it is": lambda: None,
    "TF_ENABLE_ONEDNN_OPTS=0": lambda: None,  # set before TensorFlow is loaded
    "deterministic=true": lambda: None,  # likewise
    "intra-op threads 1": partial(threads.set_intra_op_parallelism_threads, 1),
    "inter-op threads 1": partial(threads.set_inter_op_parallelism_threads, 1),
    "without XLA": partial(_set, feed, "FUSED_FROM", 10**9),
    "batches through tf.data, steps_per_execution=50": partial(_set, examples, "MemoryFeed", Passing),
    "with tf.data's tuner": partial(_set, feed, "untuned", lambda batches: batches),
    "10 updates a call": partial(_updates_per_call, 10),
    "250 updates a call": partial(_updates_per_call, 250),
    "evaluation batch 100": partial(_set, feed, "_EVALUATION_BATCH", 100),
    "evaluation batch 250": partial(_set, feed, "_EVALUATION_BATCH", 250),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure in turn and print one table, or be the process for one setting."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("settings", nargs="*", metavar="SETTING", help=f"some of {', '.join(SETTINGS)}; default all")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--updates", type=int, nargs=2, default=list(UPDATES.values()), metavar=("MLP", "CNN"))
    parser.add_argument("--child", choices=SETTINGS, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.child:
        SETTINGS[options.child]()
        print(json.dumps(measured(dict(zip(UPDATES, options.updates, strict=True)))))
        return
    names = ["as it is", *[name for name in options.settings or SETTINGS if name != "as it is"]]
    found: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for _ in range(options.rounds):
        for name in names:
            found[name].append(_child(name, options.updates))
    print(f"{description()}; {options.rounds} rounds; milliseconds, and times as fast as it is\n")
    print("| setting | mlp, an update | cnn, an update | cnn, an evaluation |\n| --- | --- | --- | --- |")
    for name in names:
        cells = [_cell(found, name, column) for column in ("mlp", "cnn", "evaluation")]
        print(f"| {name} | {' | '.join(cells)} |")


def _child(name: str, updates: Sequence[int]) -> dict[str, float]:
    given = DETERMINISTIC if name == "deterministic=true" else dict([name.split("=")]) if name.startswith("TF_") else {}
    command = [sys.executable, "-m", "benchmarks.performance_settings", "--child", name]
    command += ["--updates", *map(str, updates)]
    run = subprocess.run(command, env={**os.environ, **given}, stdout=subprocess.PIPE, text=True, check=True)
    return dict(json.loads(run.stdout.splitlines()[-1]))


def _cell(found: dict[str, list[dict[str, float]]], name: str, column: str) -> str:
    ours = np.array([row[column] for row in found[name]])
    ratios = np.array([row[column] for row in found["as it is"]]) / ours
    return f"{np.median(ours):.2f}, {np.median(ratios):.2f} ({ratios.min():.2f} to {ratios.max():.2f})"


def measured(updates: dict[str, int]) -> dict[str, float]:
    """Return the milliseconds of an update of each network, and of an evaluation."""
    splits = Examples(datasets.split(datasets.load("mnist-5k"), seed=0))
    trainers = {model: _trainer(model, splits) for model in updates}
    seconds = {model: _update(trainers[model], count) for model, count in updates.items()}
    seconds["evaluation"] = min(_evaluation(trainers["cnn"], splits) for _ in range(5))
    return {name: 1e3 * value for name, value in seconds.items()}


def _trainer(model: str, data: Examples) -> Trainer:
    built = Network(network(model, data.splits), "float32")
    return shared_engine(built, data, optimizer="sgd", momentum=0.0, batch_size=BATCH[model])


def _update(trainer: Trainer, count: int) -> float:
    curve = np.full(count, 0.01)
    trainer.train(curve[:1], 0, validations=0)  # traces
    return trainer.train(curve, 0, validations=0).seconds / count


def _evaluation(trainer: Trainer, data: Examples) -> float:
    started = time.perf_counter()
    trainer.model.evaluate(data.test, verbose=0)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()

"""What logging adds to a training, on MLflow's own SQLite store.

    python -m benchmarks.tracking [--data mnist-5k] [--model cnn] [--epochs 2] [--pairs 10]

The same trainings are done with and without logging in turn, as a trial of the search has them. Nothing is logged while
a training runs, so what it costs is the difference of the whole.
"""

import argparse
import os
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import gc

import numpy as np

from pipeline import datasets
from pipeline.evaluation import Evaluation
from pipeline.models import builder
from pipeline.reporting.training_figures import lr_curve
from pipeline.tracking import Store, TrainingLog
from pipeline.training import Trainer


def main() -> None:
    """Train in pairs and print what the logged one took longer."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", default="mnist-5k")
    parser.add_argument("--model", default="cnn")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=50)
    parser.add_argument("--pairs", type=int, default=10)
    options = parser.parse_args()
    splits = datasets.split(datasets.load(options.data), seed=0)
    build = builder(options.model, splits.x_train.shape[1:], splits.num_outputs, splits.task)
    settings = {"optimizer": "sgd", "momentum": 0.9, "batch_size": options.batch_size, "precision": "float32"}
    trainer = Trainer(build, splits, **settings)
    os.chdir(tempfile.mkdtemp())  # the store is made in the working directory
    store = Store("benchmark")
    gc.freeze()  # as `quick_imports` does for a stage
    alone, logged, logging = [], [], []
    with store.stage_run("search", "benchmark", {}) as run:
        log = TrainingLog(store, run, "benchmark", lr_curve)
        for seed in range(-1, options.pairs):  # the first pair is a warm-up: it traces
            evaluation = Evaluation("sgd", "cosine", 0.05, {}, options.epochs, max(seed, 0), options.batch_size)
            curve = evaluation.curve(trainer.steps_per_epoch)
            started = time.perf_counter()
            trainer.train(curve, evaluation.seed, validations=options.epochs)
            between = time.perf_counter()
            training = trainer.train(curve, evaluation.seed, validations=options.epochs)
            trained = time.perf_counter()
            log.log("trial", evaluation, training)
            ended = time.perf_counter()
            if seed >= 0:
                alone.append(between - started)
                logged.append(ended - between)
                logging.append(ended - trained)
    added = np.array(logged) - np.array(alone)
    print(
        f"{options.model} on {options.data}, batch {options.batch_size}, {options.epochs} epochs, {options.pairs} pairs"
    )
    print(f"  without logging {np.median(alone):.2f} s, with it {np.median(logged):.2f} s")
    print(f"  added: median {np.median(added):+.3f} s, {added.min():+.3f} to {added.max():+.3f}")
    print(f"  of which in the logging call: median {np.median(logging):.3f} s, at most {max(logging):.3f} s")
    print(f"  share of a training: {np.median(np.array(logging) / np.array(alone)):.1%}")


if __name__ == "__main__":
    main()

"""Validation losses of five candidates on scikit-learn's digits with very many seeds: noise as it really is.

They are remembered in a file, so that the statistics can be repeated on them as often as one likes.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline import datasets
from pipeline.evaluation import Evaluation
from pipeline.models import builder
from pipeline.training import Trainer

EPOCHS = 6
BATCH_SIZE = 32
FIRST_SEED = 50_000

FINALISTS = {
    "cosine": Evaluation("sgd", "cosine", 0.1, {}, EPOCHS, 0, BATCH_SIZE),
    "linear": Evaluation("sgd", "linear", 0.1, {}, EPOCHS, 0, BATCH_SIZE),
    "constant": Evaluation("sgd", "constant", 0.05, {}, EPOCHS, 0, BATCH_SIZE),
}
BASELINES = {
    "Adam at 0.001": Evaluation("adam", "constant", 0.001, {}, EPOCHS, 0, BATCH_SIZE),
    "SGD at 0.01": Evaluation("sgd", "constant", 0.01, {}, EPOCHS, 0, BATCH_SIZE),
}
CANDIDATES = FINALISTS | BASELINES


def losses(path: Path, seeds: int) -> dict[str, NDArray[np.float64]]:
    """Give each candidate's validation losses on the same `seeds` seeds, training where `path` has none yet."""
    if path.exists():
        with np.load(path) as kept:
            found = {name: kept[name] for name in CANDIDATES}
        if all(len(values) >= seeds for values in found.values()):
            return {name: values[:seeds] for name, values in found.items()}
    splits = datasets.split(datasets.load("digits"), seed=0)
    build = builder("mlp", splits.x_train.shape[1:], splits.num_outputs, splits.task)
    trainers = {
        optimizer: Trainer(build, splits, optimizer=optimizer, momentum=0.9, batch_size=BATCH_SIZE, precision="float32")
        for optimizer in ("sgd", "adam")
    }
    found = {name: np.empty(seeds) for name in CANDIDATES}
    for at in range(seeds):
        for name, candidate in CANDIDATES.items():
            trainer = trainers[candidate.optimizer]
            curve = candidate.curve(trainer.steps_per_epoch)
            training = trainer.train(curve, FIRST_SEED + at, validations=1)
            found[name][at] = training.history["val_loss"][-1]
    np.savez(path, **found)
    return found

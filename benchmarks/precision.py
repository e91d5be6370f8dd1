"""Cost in validation loss and gain in time of `mixed_bfloat16` over `float32`, on paired seeds.

    python -m benchmarks.precision [--data mnist-5k] [--model cnn] [--batch-size 50] [--epochs 5] [--seeds 10]

Both precisions train from the same initial weights on the same batches, in turn, so that a machine whose speed drifts
slows both. `auto` may mean bfloat16 only as long as the interval of the loss difference includes zero.
"""

import argparse
import os
from collections.abc import Sequence

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from pipeline import datasets, statistics
from pipeline.evaluation import Candidate, Evaluation, Training, answers
from pipeline.models import builder
from pipeline.training import InProcess, Problem

PRECISIONS = ("float32", "mixed_bfloat16")


def main(arguments: Sequence[str] | None = None) -> None:
    """Train in pairs, and print the paired difference and the ratio of the times."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", default="mnist-5k")
    parser.add_argument("--model", default="cnn")
    parser.add_argument("--optimizer", default="sgd")
    parser.add_argument("--initial-lr", type=float, default=0.05)
    parser.add_argument("--batch-size", type=int, default=50)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=10)
    options = parser.parse_args(arguments)
    print(
        f"{options.model} on {options.data}, {options.optimizer}, batch {options.batch_size}, {options.epochs} epochs,"
        f" {options.seeds} pairs"
    )
    trainings = in_pairs(options)
    losses = {name: [training.val_loss for training in made] for name, made in trainings.items()}
    seconds = {name: np.array([training.seconds for training in made]) for name, made in trainings.items()}
    for name in PRECISIONS:
        mean, noise = np.mean(losses[name]), np.std(losses[name], ddof=1)
        print(f"  {name:15} val_loss {mean:.4f}, seed noise {noise:.4f}, {np.median(seconds[name]):.2f} s a training")
    difference = statistics.paired_difference(losses["mixed_bfloat16"], losses["float32"])
    ratios = seconds["float32"] / seconds["mixed_bfloat16"]
    print(
        f"  bfloat16 - float32: {difference.mean:+.4f} (95% interval {difference.low:+.4f} to {difference.high:+.4f})"
    )
    print(f"  times: float32 / bfloat16 median {np.median(ratios):.2f}, {ratios.min():.2f} to {ratios.max():.2f}")


def in_pairs(options: argparse.Namespace) -> dict[str, list[Training]]:
    """Train on each seed with one precision after the other."""
    splits = datasets.split(datasets.load(options.data), seed=0)
    build = builder(options.model, splits.x_train.shape[1:], splits.num_outputs, splits.task)
    executors = {name: InProcess(Problem(build, splits, momentum=0.9, precision=name)) for name in PRECISIONS}
    cosine = Candidate(
        scheme="cosine",
        initial_lr=options.initial_lr,
        optimizer=options.optimizer,
        batch_size=options.batch_size,
        params={},
    )
    trainings: dict[str, list[Training]] = {name: [] for name in PRECISIONS}
    for seed in (0, *range(options.seeds)):  # the first pair only traces
        for name, executor in executors.items():
            trainings[name] += answers(executor.ask, [Evaluation(cosine, options.epochs, seed)])
    return {name: made[1:] for name, made in trainings.items()}


if __name__ == "__main__":
    main()

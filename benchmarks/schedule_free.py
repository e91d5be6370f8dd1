"""What a search finds, beside optimizers that need no schedule, on the MNIST network of PyTorch's examples.

    python -m benchmarks.schedule_free --data mnist.npz [--epochs 14] [--seeds 3] [--budget 15] [--examples 60000]
        [--record pipeline/articles/schedule_free.json]

The network, batches of 64 and 14 epochs are those of the example that Schedule-Free's and Prodigy's implementations are
shown on; the README of LoganBooker/prodigy-plus-schedule-free ends it with 99.26% and, with another setting, 99.33% of
the test images. The search sees training images only, of which it validates on a fifth. Then all are trained on all of
them, on the same seeds, and tested once at the end. Initial weights are Keras', not PyTorch's. The articles' page shows
what --record writes.
"""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from shlex import join

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from keras import layers

from pipeline import datasets, find
from pipeline.articles.recorded import Contender, Published, Recorded
from pipeline.datasets import Raw
from pipeline.evaluation import Candidate, Evaluation, Training, answers
from pipeline.files import write_text
from pipeline.models import Builder, built_by
from pipeline.training import InProcess, Problem

BATCH = 64
PUBLISHED = (
    Published(name="Prodigy + Schedule-Free", accuracy=0.9926),
    Published(name="the same with use_speed", accuracy=0.9933),
)


def network(input_shape: tuple[int, ...], num_outputs: int) -> keras.Model:
    """Build the network of PyTorch's MNIST example: 1,199,882 parameters on images of 28x28."""
    return keras.Sequential(
        [
            keras.Input(input_shape),
            layers.Conv2D(32, 3, activation="relu"),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Dropout(0.25),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(num_outputs, activation="softmax"),
        ]
    )


def untuned() -> dict[str, Candidate]:
    """Return those that need no search, each as its authors use it."""
    common = {"scheme": "constant", "batch_size": BATCH, "params": {}}
    named = {
        "Schedule-Free AdamW at 0.0025, as in its authors' example": ("schedule_free_adamw", 0.0025),
        "Prodigy": ("prodigy", 1.0),
    }
    return {
        name: Candidate.model_validate({**common, "optimizer": optimizer, "initial_lr": rate})
        for name, (optimizer, rate) in named.items()
    }


def searched(raw: Raw, optimizers: str, epochs: int, budget: float) -> Candidate:
    """Return the answer of a search on the training images, within a budget of full trainings."""
    data = ((raw.x_train, raw.y_train), (raw.x_test, raw.y_test))
    options = {"optimizer": optimizers, "epochs": epochs, "budget": budget, "batch_size": BATCH}
    found = find(network, data, scale="auto", progress=False, **options)
    print(found)
    return found.winner


def trained(raw: Raw, candidate: Candidate, epochs: int, seeds: int) -> list[Training]:
    """Train on all training images, and test at the end; test images are validated on too, which decides nothing."""
    whole = replace(raw, x_val=raw.x_test, y_val=raw.y_test)
    splits = datasets.split(whole, seed=0)
    build: Builder = built_by(network, "network", splits.x_train.shape[1:], splits.num_outputs, splits.task)
    executor = InProcess(Problem(build, splits, momentum=0.9, precision="auto"))
    return answers(executor.ask, [Evaluation(candidate, epochs, seed, test=True) for seed in range(seeds)])


def tested(candidate: Candidate, trainings: Sequence[Training], *, found: bool) -> Contender:
    """Return the row of one candidate."""
    tests: list[Mapping[str, float]] = [one.test or {} for one in trainings]
    return Contender(
        candidate=candidate,
        found=found,
        accuracies=tuple(test.get("accuracy", np.nan) for test in tests),
        loss=float(np.mean([test.get("loss", np.nan) for test in tests])),
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Search, train, and print each contender's test accuracy and loss."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", default="mnist", help="MNIST as .npz, or a data set's name")
    parser.add_argument("--optimizer", default="adamw", help="what the search tries, comma-separated")
    parser.add_argument("--epochs", type=int, default=14)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--budget", type=float, default=15.0, help="full trainings that the search may cost")
    parser.add_argument("--examples", type=int, default=60_000, help="training images to use")
    parser.add_argument("--record", type=Path, help="a file for the figures, as JSON")
    options = parser.parse_args(arguments)
    raw = datasets.load(options.data)
    if raw.x_test is None:
        parser.error(f"--data: {options.data} has no test set of its own")
    raw = replace(raw, x_train=raw.x_train[: options.examples], y_train=raw.y_train[: options.examples])
    answer = searched(raw, options.optimizer, options.epochs, options.budget)
    print(
        f"{len(raw.x_train)} training images, {options.epochs} epochs, {options.seeds} seeds; test images at the end:"
    )
    contenders = []
    for name, candidate in {**untuned(), f"the search's answer: {answer.optimizer} {answer.name}": answer}.items():
        trainings = trained(raw, candidate, options.epochs, options.seeds)
        contenders.append(row := tested(candidate, trainings, found=candidate is answer))
        each = ", ".join(f"{accuracy:.2%}" for accuracy in row.accuracies)
        print(f"  {np.mean(row.accuracies):.2%} ({each}), loss {row.loss:.4f}  {name}", flush=True)
    for one in PUBLISHED:
        print(f"  {one.accuracy:.2%} published, one run on 60,000 images  {one.name}")
    if options.record:
        record = Recorded(
            made=f"{datetime.now(UTC):%Y-%m-%d}",
            command=join(
                ["python", "-m", "benchmarks.schedule_free", *(sys.argv[1:] if arguments is None else arguments)]
            ),
            train_examples=len(raw.x_train),
            epochs=options.epochs,
            contenders=tuple(contenders),
            published=PUBLISHED,
        )
        write_text(options.record, record.model_dump_json(indent=2) + "\n")


if __name__ == "__main__":
    main()

"""How fast trainings are here, against Keras' `fit` as its guides show it and against a loop written by hand.

    python -m benchmarks.performance [--data mnist] [--rounds 5] [ROW ...]

Every row runs its forms in turn, so that a machine whose speed drifts slows all of them, and gives the median of the
ratios to its first form, with the smallest and the largest.
"""

import argparse
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from benchmarks import machine
from benchmarks import performance_forms as forms
from benchmarks.performance_abreast import stacked_epochs
from pipeline import datasets
from pipeline.errors import InputError

OURS = "ours"
ABREAST = (2, 4, 8, 16, 32)
EPOCHS = 5


@dataclass(frozen=True)
class Row:
    """What is compared, the first form being the one that the others are compared with.

    `trainings` is how many a form does at once, where not one; `operations` are those of one run, where counted.
    """

    title: str
    forms: Mapping[str, forms.Run]
    operations: float | None = None
    trainings: Mapping[str, int] = field(default_factory=dict)
    warm: bool = True


def article_a(data: str) -> Row:
    """Article A's network and optimizer at its batch size."""
    splits = forms.mnist(data)
    build = forms.network("mlp", splits)
    return Row(
        f"article A's network, {len(splits.x_train)} images, batch 32, SGD: an epoch (goal 3.5)",
        {
            "plain fit": forms.plain_epoch(build, splits, "sgd", 32),
            OURS: forms.engine_epoch(build, splits, "sgd", 32),
            "loop by hand": forms.loop_epoch(build, splits, "sgd", 32),
            "loop by hand, XLA": forms.loop_epoch(build, splits, "sgd", 32, xla=True),
        },
        operations=float(len(splits.x_train)) * machine.training_flops(build()),
    )


def article_b(data: str) -> Row:
    """Article B's network and optimizer at its batch size."""
    splits = forms.mnist(data)
    build = forms.network("cnn", splits)
    return Row(
        f"article B's network, {len(splits.x_train)} images, batch 250, Adam: an epoch (goal 1.5)",
        {
            "plain fit": forms.plain_epoch(build, splits, "adam", 250),
            OURS: forms.engine_epoch(build, splits, "adam", 250, precision="auto"),
            "ours, float32": forms.engine_epoch(build, splits, "adam", 250),
            "loop by hand": forms.loop_epoch(build, splits, "adam", 250),
        },
        operations=float(len(splits.x_train)) * machine.training_flops(build()),
    )


def trials(model: str, _: str) -> Row:
    """Twenty short trials at as many rates, from nothing to the last validation loss."""
    splits = datasets.split(datasets.load("mnist-5k"), seed=0)
    rates = [float(rate) for rate in np.geomspace(1e-3, 0.3, 20)]
    build = forms.network(model, splits)
    return Row(
        f"20 trials: {model}, {len(splits.x_train)} images of mnist-5k, batch 50, 2 epochs, start to end (goal 4)",
        {
            "plain fit": partial(forms.plain_trials, build, splits, rates, 50, 2),
            OURS: partial(forms.engine_trials, build, splits, rates, 50, 2),
        },
        warm=False,
    )


def abreast(source: str, batch_size: int, _: str) -> Row:
    """Trainings of a small dense network one after the other, and many as one program."""
    splits = datasets.split(datasets.load(source), seed=0)
    serial = forms.engine_epoch(forms.network("mlp", splits), splits, "sgd", batch_size, momentum=0.9, epochs=EPOCHS)
    return Row(
        f"abreast: mlp, {len(splits.x_train)} images of {source}, batch {batch_size}: {EPOCHS} epochs (goal 1.5)",
        {"ours": serial, **{f"{n} as one": stacked_epochs(splits, n, batch_size, EPOCHS) for n in ABREAST}},
        trainings={f"{n} as one": n for n in ABREAST},
    )


ROWS: dict[str, Callable[[str], Row]] = {
    "article-a": article_a,
    "article-b": article_b,
    "trials-mlp": partial(trials, "mlp"),
    "trials-cnn": partial(trials, "cnn"),
    "abreast-mnist": partial(abreast, "mnist-5k", 50),
    "abreast-digits": partial(abreast, "digits", 32),
}


def main() -> None:
    """Measure the rows that were asked for and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"some of {', '.join(ROWS)}; default all")
    parser.add_argument("--data", default="mnist", help="full MNIST: `mnist` (Keras' download) or a path to mnist.npz")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    unknown = set(options.rows) - set(ROWS)
    if unknown:
        parser.error(f"received {', '.join(sorted(unknown))}, expected some of {', '.join(ROWS)}")
    print(f"{machine.description()}; {options.rounds} rounds\n")
    print("| what | form | seconds, median | times as fast, median (least to most) | of the matmul peak |")
    print("| --- | --- | --- | --- | --- |")
    for name in options.rows or ROWS:
        try:
            row = ROWS[name](options.data)
        except InputError as error:
            print(f"| {name} | skipped: {error} | | | |")
            continue
        print("\n".join(measured(row, options.rounds)), flush=True)


def measured(row: Row, rounds: int) -> list[str]:
    """Time the forms in turn; lines of the table."""
    for run in row.forms.values() if row.warm else ():
        run()  # traces
    seconds: dict[str, list[float]] = {name: [] for name in row.forms}
    peaks = []
    for _ in range(rounds):
        peaks.append(machine.matmul_flops())
        for name, run in row.forms.items():
            started = time.perf_counter()
            run()
            seconds[name].append((time.perf_counter() - started) / row.trainings.get(name, 1))
    return [_line(row, name, seconds, float(np.median(peaks))) for name in row.forms]


def _line(row: Row, name: str, seconds: dict[str, list[float]], peak: float) -> str:
    base = next(iter(seconds))
    median = float(np.median(seconds[name]))
    ratios = np.array(seconds[base]) / np.array(seconds[name])
    ratio = f"{np.median(ratios):.2f} ({ratios.min():.2f} to {ratios.max():.2f})" if name != base else ""
    share = f"{row.operations / median / peak:.0%} of {peak / 1e9:.0f} GFLOP/s" if row.operations else ""
    return f"| {row.title} | {name} | {median:.3f} | {ratio} | {share} |"


if __name__ == "__main__":
    main()

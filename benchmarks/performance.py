"""Speed of trainings, compared with Keras' `fit` as in its guides and with a loop written by hand.

    python -m benchmarks.performance [--data mnist] [--rounds 5] [ROW ...]

Every row runs its forms in turn, so that a machine whose speed drifts slows all of them, and gives the median of the
ratios to its first form, with the smallest and the largest.
"""

import argparse
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from benchmarks import performance_forms as forms
from pipeline import datasets
from pipeline.errors import InputError

OURS = "ours"


@dataclass(frozen=True)
class Row:
    """A row of the table.

    Attributes:
        title: what is trained, how, and the ratio to reach.
        forms: ways to train it; the first is the one that the others are compared with.
        operations: floating point operations of one run, where they are counted.
        warm: whether each form runs once before it is timed.

    """

    title: str
    forms: Mapping[str, forms.Run]
    operations: float | None = None
    warm: bool = True


def article_a(options: argparse.Namespace) -> Row:
    """Return the row of article A's network and optimizer at its batch size."""
    splits = forms.mnist(options.data, options.examples)
    build = forms.network("mlp", splits)
    return Row(
        f"article A's network, {len(splits.x_train)} images, batch 32, SGD: an epoch (goal 3.5)",
        {
            "plain fit": forms.plain_epoch(build, splits, "sgd", 32),
            OURS: forms.engine_epoch(build, splits, "sgd", 32),
            "loop by hand": forms.loop_epoch(build, splits, "sgd", 32),
            "loop by hand, XLA": forms.loop_epoch(build, splits, "sgd", 32, xla=True),
        },
        operations=float(len(splits.x_train)) * forms.training_flops(build()),
    )


def article_b(options: argparse.Namespace) -> Row:
    """Return the row of article B's network and optimizer at its batch size."""
    splits = forms.mnist(options.data, options.examples)
    build = forms.network("cnn", splits)
    return Row(
        f"article B's network, {len(splits.x_train)} images, batch 250, Adam: an epoch (goal 1.5)",
        {
            "plain fit": forms.plain_epoch(build, splits, "adam", 250),
            OURS: forms.engine_epoch(build, splits, "adam", 250, precision="auto"),
            "ours, float32": forms.engine_epoch(build, splits, "adam", 250),
            "loop by hand": forms.loop_epoch(build, splits, "adam", 250),
        },
        operations=float(len(splits.x_train)) * forms.training_flops(build()),
    )


def trials(model: str, options: argparse.Namespace) -> Row:
    """Return the row of short trials at different rates, from the set-up to the last validation loss."""
    splits = datasets.split(datasets.load("mnist-5k"), seed=0)
    rates = [float(rate) for rate in np.geomspace(1e-3, 0.3, options.trials)]
    build = forms.network(model, splits)
    return Row(
        f"{len(rates)} trials: {model}, {len(splits.x_train)} images of mnist-5k, batch 50, 2 epochs, start to end"
        " (goal 4)",
        {
            "plain fit": partial(forms.plain_trials, build, splits, rates, 50, 2),
            OURS: partial(forms.engine_trials, build, splits, rates, 50, 2),
        },
        warm=False,
    )


ROWS: dict[str, Callable[[argparse.Namespace], Row]] = {
    "article-a": article_a,
    "article-b": article_b,
    "trials-mlp": partial(trials, "mlp"),
    "trials-cnn": partial(trials, "cnn"),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the requested rows and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"some of {', '.join(ROWS)}; default all")
    parser.add_argument("--data", default="mnist", help="full MNIST: `mnist` (Keras' download) or a path to mnist.npz")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--examples", type=int, help="how many images the articles' epochs have; default: all")
    parser.add_argument("--trials", type=int, default=20, help="how many trials are timed together")
    options = parser.parse_args(arguments)
    unknown = set(options.rows) - set(ROWS)
    if unknown:
        parser.error(f"received {', '.join(sorted(unknown))}, expected some of {', '.join(ROWS)}")
    print(f"{forms.description()}; {options.rounds} rounds\n")
    print("| what | form | seconds, median | times as fast, median (least to most) | of the matmul peak |")
    print("| --- | --- | --- | --- | --- |")
    for name in options.rows or ROWS:
        try:
            row = ROWS[name](options)
        except InputError as error:
            print(f"| {name} | skipped: {error} | | | |")
            continue
        print("\n".join(measured(row, options.rounds)), flush=True)


def measured(row: Row, rounds: int) -> list[str]:
    """Time the forms in turn, and return their lines of the table."""
    for run in row.forms.values() if row.warm else ():
        run()  # traces
    seconds: dict[str, list[float]] = {name: [] for name in row.forms}
    peaks = []
    for _ in range(rounds):
        peaks.append(forms.matmul_flops())
        for name, run in row.forms.items():
            started = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - started)
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

"""How far below a decay's best rate the best constant rate is, on the problems of `benchmarks.trust_regret`.

    python -m benchmarks.trust_constant [NAME ...]

Linear decay and a constant rate are trained at eight rates per decade on five seeds each. Prints the best rate of both,
and by how much a constant rate is worse than the best one if it is 0, 1, 2 ... eighths of a decade below linear's.
"""

import argparse
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # matrices this small are slower on more

import numpy as np

from benchmarks.trust_regret import PROBLEMS, Measured

SEEDS = tuple(range(900_000, 900_005))
BELOW = range(6)

RATES = {"sgd": (-2.75, -0.25), "adam": (-3.75, -1.5), "adamw": (-3.75, -1.5)}
"""Decades of the lowest and the highest rate, by optimizer."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a line of a Markdown table for each problem."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of {', '.join(PROBLEMS)}; default: all")
    names = parser.parse_args(arguments).names or list(PROBLEMS)
    print(f"| problem | linear | constant | {' | '.join(f'{below}/8' for below in BELOW)} |")
    print("| --- " * (3 + len(BELOW)) + "|")
    for name in names:
        print(line(name), flush=True)


def line(name: str) -> str:
    """Train, and return the line of a problem."""
    with tempfile.TemporaryDirectory() as folder:
        setting = Measured(name, Path(folder)).setting(0)
    low, high = RATES[setting.optimizer]
    rates = 10 ** np.arange(low, high + 1e-9, 0.125)

    def losses(scheme: str) -> list[float]:
        curves = [setting.curve(scheme, float(rate)) for rate in rates]
        return [float(np.mean([setting.train(curve, seed).final for seed in SEEDS])) for curve in curves]

    linear, constant = losses("linear"), losses("constant")
    best = int(np.argmin(linear))
    worse = [f"{constant[best - below] / min(constant) - 1:.1%}" for below in BELOW]
    return f"| {name} | {rates[best]:.3g} | {rates[int(np.argmin(constant))]:.3g} | {' | '.join(worse)} |"


if __name__ == "__main__":
    main()

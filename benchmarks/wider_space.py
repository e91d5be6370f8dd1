"""What further values of the schemes' parameters are worth, each at its own best rate.

    python -m benchmarks.wider_space [NAME ...] [--folder FOLDER]

For each problem of benchmarks/trust_regret.py: warm-ups before linear and cosine decay, lengths and shapes of a
trapezoid's cooldown, and exponents of polynomial decay. Each is trained at eight rates per decade on three seeds, and
at the best of these on the judges' seeds, on the search's split and on fresh ones. Prints by how much its log loss is
above that of the best scheme with the parameters that the search tries first, which is found in the same way.
"""

import argparse
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray

from benchmarks.trust_regret import GRID_RATES, JUDGES, PROBLEMS, Measured
from pipeline.schedules import Value, format_params
from pipeline.search.priors import LEVELS

Variant = tuple[str, Mapping[str, Value]]

USUAL: Sequence[Variant] = [(scheme, {}) for scheme in LEVELS]
"""What the search tries first: its schemes with their default parameters."""

WIDER: Sequence[Variant] = [
    *((scheme, {"warmup": share}) for scheme in ("linear", "cosine") for share in (0.02, 0.05, 0.1)),
    *(("warmup_stable_decay", {"decay_fraction": share}) for share in (0.1, 0.5, 0.7, 0.85, 1.0)),
    *(
        ("warmup_stable_decay", {"decay_fraction": share, "shape": shape})
        for share in (0.3, 0.7, 1.0)
        for shape in ("linear", "cosine")
    ),
    *(("polynomial", {"power": power}) for power in (0.5, 1.5, 3.0, 5.0)),
]

SEEDS = 3
"""Seeds on which rates are compared."""

NEAR = 0.7
"""Decades around linear decay's best rate within which rates are tried."""


def above_usual(measured: Measured, variants: Sequence[Variant]) -> NDArray[np.float64]:
    """Return log losses above the lowest of the usual ones, on the search's split and fresh ones: (variants, 2)."""
    linear = [measured.mean("linear", rate, {}, SEEDS) for rate in GRID_RATES]
    centre = GRID_RATES[int(np.argmin(linear))]
    rates = [rate for rate in GRID_RATES if abs(np.log10(rate / centre)) < NEAR]
    losses = np.empty((len(variants), 2))
    for at, (scheme, params) in enumerate(variants):
        rate = rates[int(np.argmin([measured.mean(scheme, rate, dict(params), SEEDS) for rate in rates]))]
        losses[at] = [measured.mean(scheme, rate, dict(params), len(JUDGES), fresh=fresh) for fresh in (False, True)]
    return np.asarray(np.log(losses) - np.log(losses[: len(USUAL)].min(axis=0)))


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table as Markdown: percent on the search's split / on fresh splits."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of {', '.join(PROBLEMS)}; default: all")
    parser.add_argument("--epochs", type=int, help="length of every training; default: each problem's own")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "wider_space_benchmark")
    options = parser.parse_args(arguments)
    options.folder.mkdir(exist_ok=True)
    names, variants = options.names or list(PROBLEMS), [*USUAL, *WIDER]
    above = np.array([above_usual(Measured(name, options.folder, options.epochs), variants) for name in names])
    print(f"| | {' | '.join(names)} | mean |\n|{' --- |' * (len(names) + 2)}")
    cells = np.concatenate([above, [above.mean(axis=0)]]).swapaxes(0, 1)
    for (scheme, params), row in zip(variants, cells, strict=True):
        figures = " | ".join(f"{100 * own:+.1f} / {100 * fresh:+.1f}" for own, fresh in row)
        print(f"| {' '.join(filter(None, (scheme, format_params(params))))} | {figures} |")


if __name__ == "__main__":
    main()

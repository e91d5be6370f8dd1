"""The benchmark on published tables: how it reads them, and what it measures on a table whose truth is known."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from benchmarks import outside, outside_batches, outside_data
from benchmarks.outside_data import Table

RATES, SIZES = (5e-4, 1e-3, 5e-3, 1e-2, 5e-2, 1e-1), (8, 16, 32, 64)


def _table(exponent: float) -> Table:
    """Return runs of 30 networks, whose best rate is proportional to a power of the batch size."""
    rng = np.random.default_rng(0)
    centre = rng.normal(-2.4, 0.2, (30, 1, 1, 1, 1)) + exponent * np.log10(SIZES)[:, None, None, None]
    level = np.array([0.0, 0.1])[:, None, None]
    losses = np.exp(level + (np.log10(RATES)[:, None] - centre) ** 2 + rng.normal(0, 0.03, (30, 4, 2, 6, 4)))
    return Table("made", losses, SIZES, ("cosine", "constant"), RATES)


def test_pickles_hold_plain_values_only(tmp_path: Path) -> None:
    """A table is read; one that names something to import is refused before it is imported."""
    path = tmp_path / "table.pkl"
    path.write_bytes(pickle.dumps({f"{one}{two}": {"loss": [one, two]} for one in range(2) for two in range(3)}))
    assert outside_data._read(path, (2, 3, 2), "loss")[1, 2].tolist() == [1.0, 2.0]
    path.write_bytes(pickle.dumps({"00": {"loss": Path("anything")}}))
    with pytest.raises(pickle.UnpicklingError, match="more than plain values: pathlib"):
        outside_data._read(path, (1, 1, 1), "loss")


@pytest.mark.parametrize("exponent", [0.0, 0.5])
def test_exponent_of_a_table(exponent: float) -> None:
    """The slope over all networks, and what the search measures from one run of each candidate at two sizes."""
    for row in outside_batches.exponents(_table(exponent)):
        assert float(row.split("|")[4].split()[0]) == pytest.approx(exponent, abs=0.05)
    (row,) = outside_batches.scaled(_table(exponent), searches=8)
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert float(cells[3]) == pytest.approx(exponent, abs=0.15)
    unchanged, root, linear, measured = map(float, cells[-4:])
    assert max(measured, unchanged if exponent == 0 else root) < linear


def test_verdicts_and_choices_of_a_table() -> None:
    """The lowest mean always names a winner, the verdicts rarely; the methods cost what their rows say."""
    ours, _, lowest = [row.strip("|").split("|") for row in outside.verdicts(_table(0.5), 40)]
    assert float(lowest[3]) == 100.0
    assert float(ours[3]) < 50.0
    assert float(ours[6]) < float(lowest[6])
    rows = [row.strip("|").split("|") for row in outside.choices(_table(0.5), 6, 2)]
    costs = {row[1].strip(): float(row[3]) for row in rows}
    assert costs["all, 2 runs each, lowest mean"] == 24.0
    assert costs["ours"] == 16.0
    assert costs["WilcoxonPruner"] <= 36.0

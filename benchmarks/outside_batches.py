"""The exponent of the best rate over the batch size in published tables, and what the search makes of a few runs."""

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import product
from math import log10

import numpy as np

from benchmarks.outside_data import Table
from benchmarks.outside_peers import Floats
from pipeline.evaluation import Candidate, Evaluation
from pipeline.results import Space
from pipeline.search import Outcome, Plan, Trial
from pipeline.search.scaling import measure_scaling
from pipeline.search.surface import Surface

_REPEATS = 1000
"""Bootstrap samples of the networks."""

_FIRST = {4: 0, 10: 3}
"""The position of the smaller of the two batch sizes, by how many a table has: 8 and 32, or 16 and 64."""

EXPONENTS = (
    f"| data | scheme | networks used | exponent, 95% interval | of the lowest cells, all networks |\n|{' --- |' * 5}"
)
SCALED = (
    "| data | searches | exponent given, % | median exponent | median width | holds the table's, % "
    "| holds that of the other runs, % | to | rate unchanged, % | square root | linear | measured |\n"
    "|---|---|---|---|---|---|---|---|---|---|---|---|"
)


def batch_tables(tables: Sequence[Table], searches: int) -> None:
    """Print the exponents of the tables, those that the search measures, and how good the rates are that they give."""
    for head, rows in ((EXPONENTS, exponents), (SCALED, partial(scaled, searches=searches))):
        print(f"\n{head}")
        for table in tables:
            for row in rows(table):
                print(row, flush=True)


def vertices(losses: Floats, rates: Floats) -> Floats:
    """Return the base-10 logarithm of the best rate: the lowest point of a parabola in log loss over log rate.

    It goes through the lowest of `losses`, which are of shape (..., rates, runs), and its neighbours; logarithms are
    averaged over the runs. NaN where the lowest is at the first or the last rate.
    """
    logs, x = np.log(losses).mean(axis=-1), np.log10(rates)
    at = logs.argmin(axis=-1)
    inner = at.clip(1, len(rates) - 2)
    x0, x1, x2 = (x[inner + by] for by in (-1, 0, 1))
    y0, y1, y2 = (np.take_along_axis(logs, (inner + by)[..., None], -1)[..., 0] for by in (-1, 0, 1))
    first, second = (y1 - y0) / (x1 - x0), (y2 - y1) / (x2 - x1)
    return np.where(at == inner, (x0 + x1) / 2 - first * (x2 - x0) / (2 * (second - first)), np.nan)


def exponents(table: Table) -> Iterator[str]:
    """Yield the exponent for each scheme: one slope for all networks, which differ in their level.

    The interval is a bootstrap over networks. Networks count with the batch sizes at which the best rate is inside the
    table.
    """
    sizes, rates = np.log10(table.batch_sizes), np.array(table.rates)
    for at, scheme in enumerate(table.schemes):
        best = _all_vertices(table, at)
        cells = np.log10(rates)[np.log(table.losses[:, :, at]).mean(axis=-1).argmin(axis=-1)]
        low, high = np.quantile(_bootstrap(best, sizes), [0.025, 0.975])
        used = (np.isfinite(best).sum(axis=1) > 1).mean()
        yield (
            f"| {table.name} | {scheme} | {100 * used:.0f}% of {len(best)} | {_slope(*_sums(best, sizes)):.3f} "
            f"({low:.3f} to {high:.3f}) | {_slope(*_sums(cells, sizes)):.3f} |"
        )


def _all_vertices(table: Table, scheme: int) -> Floats:
    """Return the best rates of a scheme, of shape (networks, batch sizes)."""
    return vertices(table.losses[:, :, scheme], np.array(table.rates))


def _sums(best: Floats, sizes: Floats) -> tuple[Floats, Floats]:
    """Return the products and squares of each network whose sums give the slope within networks."""
    known = np.isfinite(best)
    count = known.sum(axis=1, keepdims=True).clip(1)
    x, y = np.where(known, sizes, 0.0), np.where(known, best, 0.0)
    x, y = (np.where(known, one - one.sum(axis=1, keepdims=True) / count, 0.0) for one in (x, y))
    return (x * y).sum(axis=1), (x * x).sum(axis=1)


def _slope(products: Floats, squares: Floats) -> float:
    return float(products.sum() / squares.sum())


def _bootstrap(best: Floats, sizes: Floats) -> list[float]:
    rng, (products, squares) = np.random.default_rng(0), _sums(best, sizes)
    drawn = (rng.integers(len(best), size=len(best)) for _ in range(_REPEATS))
    return [_slope(products[at], squares[at]) for at in drawn]


def scaled(table: Table, searches: int) -> Iterator[str]:
    """Yield what the search's own code measures from one run of every candidate at two batch sizes, a factor 4 apart.

    From the best candidate at the smaller size, the rate is scaled to the largest one of the table, where the loss is
    compared with the lowest mean of its scheme. Where no exponent is given, "measured" uses the square root.
    """
    rng, first = np.random.default_rng(1), _FIRST[len(table.batch_sizes)]
    sizes = [first, next(at for at, size in enumerate(table.batch_sizes) if size >= 4 * table.batch_sizes[first])]
    times = table.batch_sizes[-1] / table.batch_sizes[first]
    found, holds, own_holds, above = [], [], [], []
    slopes = [_slope(*_sums(_all_vertices(table, at), np.log10(table.batch_sizes))) for at in range(len(table.schemes))]
    for _ in range(searches):
        losses = rng.permuted(table.losses[rng.integers(len(table.losses))], axis=-1)
        trials = list(_trials(table, losses, sizes))
        start = _best(trials, table.batch_sizes[first])
        law = measure_scaling(_plan(table, sizes), start, trials)
        scheme = table.schemes.index(start.scheme)
        powers = (0.0, 0.5, 1.0, law.exponent if law else 0.5)
        at = [log10(start.initial_lr) + power * log10(times) for power in powers]
        last = np.log(losses[-1, scheme]).mean(axis=-1)
        above.append(np.interp(at, np.log10(table.rates), last) - last.min())
        if law:
            found.append(law)
            own = vertices(losses[sizes, scheme, :, 1:], np.array(table.rates))
            exponent = (own[1] - own[0]) / log10(table.batch_sizes[sizes[1]] / table.batch_sizes[sizes[0]])
            holds.append(law.exponent_low <= slopes[scheme] <= law.exponent_high)
            own_holds += [law.exponent_low <= exponent <= law.exponent_high] if np.isfinite(exponent) else []
    width = [law.exponent_high - law.exponent_low for law in found]
    means = " | ".join(f"{100 * one:.1f}" for one in np.mean(above, axis=0))
    searched = " and ".join(str(table.batch_sizes[at]) for at in sizes)
    yield (
        f"| {table.name}, {searched} | {searches} | {100 * len(found) / searches:.0f} "
        f"| {np.median([law.exponent for law in found]):.2f} | {np.median(width):.2f} | {100 * np.mean(holds):.0f} "
        f"| {100 * np.mean(own_holds):.0f} of {len(own_holds)} | {table.batch_sizes[-1]} | {means} |"
    )


def _trials(table: Table, losses: Floats, sizes: Sequence[int]) -> Iterator[Trial]:
    """Yield one run of every candidate at these batch sizes, each as a trial on a seed of its own."""
    cells = product(sizes, range(len(table.schemes)), range(len(table.rates)))
    for number, (size, scheme, rate) in enumerate(cells):
        loss = float(losses[size, scheme, rate, 0])
        outcome = Outcome(loss, loss, None, 0.0, 1.0, 1)
        yield Trial(number, Evaluation(table.candidate(size, scheme, rate), 1.0, number), outcome)


def _best(trials: Sequence[Trial], batch_size: int) -> Candidate:
    """Return the candidate of this batch size with the best worst case, as the search chooses finalists."""
    surface = Surface(trials)
    own = [trial.evaluation.candidate for trial in trials if trial.evaluation.candidate.batch_size == batch_size]
    return min(own, key=lambda one: surface.at(one).worst)


def _plan(table: Table, sizes: Sequence[int]) -> Plan:
    spaces = [
        Space(optimizer="adam", batch_size=table.batch_sizes[at], suggested_lr=1e-3, lr_low=1e-4, lr_high=1e-2)
        for at in sizes
    ]
    return Plan(spaces, table.schemes, trials=0, epochs=1.0, top_k=1, confirm_seeds=0, seed=0)

"""The rates to sweep, how many of them, and when to sweep again over a wider range."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from pipeline.range_test.analysis import Analysis, analyse
from pipeline.schedules import Array, Spacing, sweep

Measure = Callable[[Array, Sequence[int]], Sequence[npt.NDArray[np.floating]]]
"""`(rates, seeds) -> losses of each seed`, one rate per update; the losses end or turn NaN where a sweep stopped."""

BOUNDS: Final[dict[str, tuple[float, float]]] = {
    "sgd": (1e-5, 10.0),
    "adam": (1e-6, 1.0),
    "adamw": (1e-6, 1.0),
    "adadelta": (1e-3, 1e3),
    "adamax": (1e-6, 1.0),
    "rmsprop": (1e-6, 1.0),
    "nadam": (1e-6, 1.0),
    "adagrad": (1e-5, 10.0),
    "lion": (1e-7, 0.1),
    "lamb": (1e-5, 10.0),
    "muon": (1e-6, 1.0),
    "schedule_free_sgd": (1e-4, 100.0),
    "schedule_free_adamw": (1e-5, 10.0),
}
"""Rates between which each optimizer is swept at first: six decades from no visible progress to divergence."""

ANY_OPTIMIZER: Final = (1e-6, 10.0)
"""Bounds for an optimizer that is not in the table."""

UPDATES: Final = 250
"""Updates of a sweep, about 40 in each decade, for which the analysis was tuned (docs/range_test.md)."""

FEWEST_UPDATES: Final = 100
"""Fewest updates of a sweep, whatever the budget: fewer leave too few losses in each decade to average."""

BUDGET_SHARE: Final = 0.1
"""Largest share of a planned training that one round of sweeps, all seeds together, may take."""

FOR_WIDER: Final = 1.5
"""By how much a wider sweep may exceed what all sweeps may take: without it there is no answer."""

WIDENINGS: Final = 2
"""Most times that a sweep whose answer lies at an edge is repeated with that bound moved outwards."""

_MORE_SEEDS: Final = 2  # swept where the first ones disagree
_WIDEN_BY: Final = 30.0
_STEADY_BATCH: Final = 32  # the smallest batch whose noise 40 losses a decade average out
_SLOWEST: Final = 4.0
_DENSITY: Final = UPDATES / 6  # updates per decade that the default smoothing of `analyse` suits
_SMOOTHING: Final = 0.9


@dataclass(frozen=True)
class Exploration:
    """The last sweep, its analysis, and the cost of all sweeps.

    `rates` is float64[updates], `losses` float64[seeds, updates], NaN after a sweep stopped, one row for each of
    `seeds`: those asked for, and two more if these disagreed. `spent` counts the optimizer updates of all sweeps,
    including those before a widening.
    """

    rates: Array
    seeds: tuple[int, ...]
    losses: Array
    analysis: Analysis
    spent: int


def bounds(optimizer: str) -> tuple[float, float]:
    """Return the lowest and highest rate of the first sweep for an optimizer, by its Keras class name in any case."""
    return BOUNDS.get(optimizer.lower(), ANY_OPTIMIZER)


def updates_for(batch_size: int, budget: int | None = None, seeds: int = 1) -> int:
    """Return how many updates a sweep should have.

    Batches smaller than 32 are noisier by a factor of sqrt(32 / `batch_size`), and get more updates by that factor, at
    most four times as many. `budget` is the length in updates of the planned training: all seeds together then take at
    most `BUDGET_SHARE` of it, but at least `FEWEST_UPDATES` each.
    """
    slower = float(np.clip(np.sqrt(_STEADY_BATCH / batch_size), 1.0, _SLOWEST))
    wanted = round(UPDATES * slower)
    if budget is None:
        return wanted
    return min(wanted, max(int(BUDGET_SHARE * budget / seeds), FEWEST_UPDATES))


def smoothing_for(rates: Array) -> float:
    """Return the smoothing that averages over the same fraction of a decade, however many updates that has."""
    density = rates.size / np.log10(rates[-1] / rates[0])
    return float(np.clip(1 - (1 - _SMOOTHING) * _DENSITY / density, 0.0, 0.99))


def explore(
    measure: Measure,
    seeds: Sequence[int],
    lr_min: float,
    lr_max: float,
    updates: int,
    *,
    spacing: Spacing = "exponential",
    widenings: int = WIDENINGS,
    most: int = sys.maxsize,
) -> Exploration:
    """Sweep and analyse the curves; at an edge widen the sweep, at most `widenings` times.

    The first seed is swept alone. The others are swept only if that gives no clear answer and a wider sweep cannot
    help; if they disagree, two more are before the test is refused. A wider sweep has the same number of updates per
    decade, so that curves stay comparable.

    After the first, a sweep is left out if all together would have more than `most` updates, or with a wider one
    `FOR_WIDER` times as many.

    Raises:
        InputError: if the bounds or the number of updates of a sweep are invalid.

    """
    sweeps, density = _Sweeps(measure), updates / np.log10(lr_max / lr_min) if 0 < lr_min < lr_max else 0.0
    for left in range(widenings, -1, -1):
        rates = sweep(lr_min, lr_max, updates, spacing)
        smoothing = smoothing_for(rates) if spacing == "exponential" else _SMOOTHING
        chosen, losses = tuple(seeds[:1]), sweeps.losses(rates, seeds[:1])
        analysis = analyse(rates, losses, smoothing=smoothing)
        widens = bool(analysis.edge and left)
        others = seeds[1:][: sweeps.afforded(most, updates)]
        if others and not (analysis.clear or widens):
            chosen, losses = (*chosen, *others), np.concatenate([losses, sweeps.losses(rates, others)])
            analysis = analyse(rates, losses, smoothing=smoothing)
        if analysis.more_seeds and sweeps.afforded(most, updates) >= _MORE_SEEDS:
            more = range(max(seeds) + 1, max(seeds) + 1 + _MORE_SEEDS)
            chosen, losses = (*chosen, *more), np.concatenate([losses, sweeps.losses(rates, more)])
            analysis = analyse(rates, losses, smoothing=smoothing)
        if analysis.edge is None or not left:
            break
        lr_min, lr_max = _widened(lr_min, lr_max, analysis)
        added = round(density * np.log10(lr_max / lr_min)) - updates
        if sweeps.spent + np.isfinite(losses[0]).sum() + added > FOR_WIDER * most:  # it ends where this one ended
            break
        updates += added
    return Exploration(rates, chosen, losses, analysis, sweeps.spent)


class _Sweeps:
    """Sweeps that count their updates."""

    def __init__(self, measure: Measure) -> None:
        self._measure, self.spent = measure, 0

    def afforded(self, most: int, updates: int) -> int:
        """Return how many more sweeps of so many updates fit into `most` updates."""
        return max((most - self.spent) // updates, 0)

    def losses(self, rates: Array, seeds: Sequence[int]) -> Array:
        """Return float64[seeds, updates], NaN from where a sweep stopped or was no longer finite."""
        losses = np.full((len(seeds), rates.size), np.nan)
        for row, seen in zip(losses, self._measure(rates, seeds), strict=True):
            row[: len(seen)] = seen
            row[~np.logical_and.accumulate(np.isfinite(row))] = np.nan
        self.spent += int(np.isfinite(losses).sum())
        return losses


def _widened(lr_min: float, lr_max: float, analysis: Analysis) -> tuple[float, float]:
    return (lr_min / _WIDEN_BY, lr_max) if analysis.edge == "low" else (lr_min, lr_max * _WIDEN_BY)

"""Which initial rates to try: the best one is much the same for all schemes, so that all their trials tell it."""

from collections.abc import Mapping, Sequence
from math import inf, log10

import numpy as np
from numpy.typing import NDArray

from pipeline.search.plan import BRACKET, Trial

STEP = 0.4
"""Decades between the rates of a bracket."""

_NEAR = 2.0
"""Losses further above the lowest are no part of a parabola any more. All losses are measured in their mean excess over
the lowest, so that neither the unit of an objective nor its zero matters."""

_NOISE, _APART = 0.25, 0.5
"""What is expected before the first trial: the noise of a loss, and how far schemes lie apart."""

_CURVATURE, _FLATTEST = 3.0, 0.3
"""The rise to a decade from the bottom, which may well be off by as much, and the least that is believed."""


def next_in_bracket(losses: Mapping[float, float], start: float) -> float | None:
    """Give the rate to try after those in `losses`, from `start` on, until the best lies between two others; then None.

    Larger ones first: where they diverge, that costs little.
    """
    if not losses:
        return start
    best = min(sorted(losses), key=losses.__getitem__)
    if len(losses) >= BRACKET:
        return None
    if best == max(losses) and losses[best] < inf:
        return float(best * 10**STEP)
    return float(best / 10**STEP) if best == min(losses) else None


def common_rate(trials: Sequence[Trial], start: float) -> float:
    """Give the rate at which trials of several schemes at the same budget are best; `start` where all diverged.

    The loss is taken for a level by scheme plus one parabola over log rate for all: a linear model with a normal prior,
    so that schemes with one trial and rates on one side of the bottom count for what they tell. Its lowest point holds
    within the rates tried, half-way at most to one above that diverged.
    """
    sound = [trial for trial in trials if trial.outcome.loss < inf]
    if not sound:
        return start
    losses = np.array([trial.outcome.loss for trial in sound])
    excess = (losses - losses.min()) / (float(np.mean(losses - losses.min())) or 1.0)
    near = np.flatnonzero(excess <= _NEAR)
    rates = _decades([sound[at] for at in near])
    centre = rates[excess[near].argmin()]
    names = sorted({trial.evaluation.scheme for trial in sound})
    schemes = np.array([[sound[at].evaluation.scheme == name for name in names] for at in near], np.float64)
    slope, curvature = _parabola(rates - centre, excess[near], schemes)
    highest = float(rates.max())
    beyond = [rate for rate in _decades([trial for trial in trials if trial not in sound]) if rate > highest]
    top = min([highest, *[(highest + rate) / 2 for rate in beyond]])
    rate = 10 ** np.clip(centre - slope / (2 * max(curvature, _FLATTEST)), rates.min(), top)
    return float(f"{rate:.3g}")  # known no better, and so the same whatever the last digits of the losses


def _parabola(
    rates: NDArray[np.float64], losses: NDArray[np.float64], schemes: NDArray[np.float64]
) -> tuple[float, float]:
    """The most probable slope at 0 and curvature; `schemes` holds a column of zeros and ones for each."""
    design = np.column_stack([np.ones_like(rates), rates, rates**2, schemes])
    expected = np.array([0.0, 0.0, _CURVATURE, *[0.0] * schemes.shape[1]])
    certainty = np.array([0.0, 0.0, _CURVATURE**-2, *[_APART**-2] * schemes.shape[1]])
    left = design.T @ design / _NOISE**2 + np.diag(certainty)
    found = np.linalg.lstsq(left, design.T @ losses / _NOISE**2 + certainty * expected, rcond=None)[0]
    return float(found[1]), float(found[2])


def _decades(trials: Sequence[Trial]) -> NDArray[np.float64]:
    return np.array([log10(trial.evaluation.initial_lr) for trial in trials], np.float64)

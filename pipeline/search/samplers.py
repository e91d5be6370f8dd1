"""The samplers a search can propose by, all of them Optuna's."""

import warnings
from collections.abc import Mapping
from itertools import product

import numpy as np
import optuna

from pipeline.config import SamplerName
from pipeline.schedules import Choice, Float, Parameter, Value

_STARTUP = 3
"""Trials before TPE has something to model: those that start a race."""

_RATES, _LEVELS = 10, 3
"""Points of the grid: of the initial rate, and of each other number that varies continuously."""


def sampler(name: SamplerName, seed: int) -> optuna.samplers.BaseSampler:
    """Give the sampler; for a grid, that for what comes after the last of its points."""
    if name in ("random", "grid"):
        return optuna.samplers.RandomSampler(seed=seed)
    if name == "quasi-random":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return optuna.samplers.QMCSampler(
                seed=seed, scramble=True, warn_independent_sampling=False, warn_asynchronous_seeding=False
            )
    return optuna.samplers.TPESampler(seed=seed, multivariate=True, n_startup_trials=_STARTUP)


def grid(bounds: tuple[float, float], parameters: Mapping[str, Parameter], seed: int) -> list[dict[str, Value]]:
    """Give all points of the grid, shuffled, to be enqueued: Optuna's own sampler for grids needs its training loop."""
    axes = {"initial_lr": _rates(bounds), **{key: _levels(parameter) for key, parameter in parameters.items()}}
    points = [dict(zip(axes, values, strict=True)) for values in product(*axes.values())]
    return [points[at] for at in np.random.default_rng(seed).permutation(len(points))]


def suggest(trial: optuna.Trial, key: str, parameter: Parameter) -> Value:
    """Let a trial propose a parameter within where it is searched."""
    domain = parameter.search
    if isinstance(domain, Float):
        return float(trial.suggest_float(key, domain.low, domain.high, log=domain.log))
    if isinstance(domain, Choice):
        chosen: Value = trial.suggest_categorical(key, list(domain.options))
        return chosen
    assert domain is not None
    return int(trial.suggest_int(key, domain.low, domain.high))


def _rates(bounds: tuple[float, float]) -> list[Value]:
    low, high = bounds
    inner = [float(rate) for rate in np.geomspace(low, high, _RATES)[1:-1]]
    return [low, *inner, high]  # the ends as they are: rounded, they would lie outside


def _levels(parameter: Parameter) -> list[Value]:
    domain = parameter.search
    if isinstance(domain, Choice):
        return list(domain.options)
    if isinstance(domain, Float):
        spaced = np.geomspace if domain.log else np.linspace
        inner = [float(level) for level in spaced(domain.low, domain.high, _LEVELS)[1:-1]]
        return [domain.low, *inner, domain.high]
    assert domain is not None
    return list(range(domain.low, domain.high + 1))

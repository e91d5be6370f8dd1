"""Proposals by Optuna's samplers for further trials of a scheme, which vary its own parameters."""

import hashlib
import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from itertools import product
from math import inf

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from pipeline.config import SamplerName
from pipeline.evaluation import Candidate
from pipeline.results import Space
from pipeline.schedules import COMMON, SCHEMES, Choice, Float, Parameter, Value
from pipeline.search.candidates import candidate, coupled, coupling
from pipeline.search.plan import Plan, Trial, bounds, telling

RATE, COUPLING = "initial_lr", "initial_lr x weight_decay"

_STARTUP = 3
"""Random trials before TPE starts to model; those with default parameters count."""

_RATES, _LEVELS = 10, 3
"""Points of the grid for the initial rate, and for each other continuous parameter."""


def propose(plan: Plan, space: Space, scheme: str, known: Sequence[Trial]) -> Candidate:
    """Return what the plan's sampler would try next, given the scheme's trials in this space.

    The study is rebuilt from the trials each time: nothing needs to be stored, and its bounds include all rates tried.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # it would print a line for every study and trial
    identity = f"{plan.seed} {space.optimizer} {space.batch_size} {scheme} {len(known)}"
    seed = int(hashlib.sha256(identity.encode()).hexdigest()[:8], 16)
    parameters, limits = searched(scheme, wide=plan.wide), bounds(space, known)
    products = plan.couplings_for(space)
    distributions = {
        RATE: FloatDistribution(*limits, log=True),
        COUPLING: CategoricalDistribution(products),
        **{key: distribution(parameter) for key, parameter in parameters.items()},
    }
    if len(products) == 1:
        del distributions[COUPLING]
    study = optuna.create_study(sampler=sampler(plan.sampler, seed))
    for trial in telling(known):
        study.add_trial(_finished(_point(trial, parameters, distributions), distributions, trial.outcome.loss))
    if plan.sampler == "grid":
        tried = [_point(trial, parameters, distributions) for trial in known]
        points = [point for point in grid(limits, parameters, plan.seed, products) if point not in tried]
        if points:
            study.enqueue_trial(dict(points[0]))
    params = study.ask(distributions).params
    rate, product = float(params.pop(RATE)), params.pop(COUPLING, None)
    default = candidate(space, scheme, rate)
    varied = {  # a default value that candidates leave out would make two of one
        p.name: params[key] for key, p in parameters.items() if p.name in default.params or params[key] != p.default
    }
    proposed = default.model_copy(update={"params": {**default.params, **varied}})
    return coupled(proposed, product, rate).model_copy(update={"initial_lr": rate})


def searched(scheme: str, *, wide: bool = False) -> Mapping[str, Parameter]:
    """Return the parameters of a scheme that a search varies, by their names in a study, and in `search` their values.

    In the wide space, schemes that never rise get a warm-up too.
    """
    kind = SCHEMES[scheme]
    common = COMMON if wide and kind.monotone else ()
    domains = {p: (p.wide if wide else None) or p.search for p in (*common, *kind.parameters)}
    return {f"{scheme}.{p.name}": replace(p, search=domain) for p, domain in domains.items() if domain is not None}


def distribution(parameter: Parameter) -> BaseDistribution:
    """Return the domain of a parameter in Optuna's terms."""
    domain = parameter.search
    if isinstance(domain, Float):
        return FloatDistribution(domain.low, domain.high, log=domain.log)
    if isinstance(domain, Choice):
        return CategoricalDistribution(domain.options)
    assert domain is not None
    return IntDistribution(domain.low, domain.high)


def sampler(name: SamplerName, seed: int) -> optuna.samplers.BaseSampler:
    """Return the sampler; for `grid`, the random one that proposes once the grid is exhausted."""
    if name in ("random", "grid"):
        return optuna.samplers.RandomSampler(seed=seed)
    if name == "quasi-random":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return optuna.samplers.QMCSampler(
                seed=seed, scramble=True, warn_independent_sampling=False, warn_asynchronous_seeding=False
            )
    return optuna.samplers.TPESampler(seed=seed, multivariate=True, n_startup_trials=_STARTUP)


def grid(
    limits: tuple[float, float],
    parameters: Mapping[str, Parameter],
    seed: int,
    products: Sequence[float | None] = (None,),
) -> list[dict[str, Value | None]]:
    """Return all grid points, shuffled. Optuna's own grid sampler works only in its own training loop."""
    coupled_to = {COUPLING: list(products)} if len(products) > 1 else {}
    axes = {RATE: _rates(limits), **coupled_to, **{key: _levels(parameter) for key, parameter in parameters.items()}}
    points = [dict(zip(axes, values, strict=True)) for values in product(*axes.values())]
    return [points[at] for at in np.random.default_rng(seed).permutation(len(points))]


def _point(trial: Trial, parameters: Mapping[str, Parameter], axes: Collection[str]) -> dict[str, Value | None]:
    tried = trial.evaluation.candidate
    found = {RATE: tried.initial_lr, COUPLING: coupling(tried)}
    own = {name: value for name, value in found.items() if name in axes}
    return {**own, **{key: tried.params.get(p.name, p.default) for key, p in parameters.items()}}


def _finished(
    point: Mapping[str, Value | None], distributions: Mapping[str, BaseDistribution], loss: float
) -> optuna.trial.FrozenTrial:
    diverged = loss == inf  # TPE avoids pruned trials, and ignores failed ones
    return optuna.trial.create_trial(
        params=dict(point),
        distributions=dict(distributions),
        value=None if diverged else loss,
        state=optuna.trial.TrialState.PRUNED if diverged else optuna.trial.TrialState.COMPLETE,
    )


def _rates(limits: tuple[float, float]) -> list[Value]:
    low, high = limits
    inner = [float(rate) for rate in np.geomspace(low, high, _RATES)[1:-1]]
    return [low, *inner, high]  # exact ends: rounded ones could lie outside the bounds


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

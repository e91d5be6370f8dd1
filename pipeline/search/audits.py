"""The audits: measurements that show how far to trust the search."""

from collections.abc import Mapping, Sequence
from itertools import chain
from math import inf

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

from pipeline import statistics
from pipeline.results import Audits, Cost
from pipeline.schedules import Parameter, Value
from pipeline.search.candidates import coupling
from pipeline.search.plan import Outcome, Plan, Trial
from pipeline.search.proposals import distribution, searched

_FEWEST = 8
"""With fewer trials an importance would be a guess."""

_MOST = 64
"""Of more trials, so many are taken, evenly spread: the time grows exponentially with the number of schemes that a tree
distinguishes, and some hundred trials took minutes."""

_TREES = 8
"""Fewer than Optuna's 64, because with all schemes of the table each tree takes a quarter of a second."""

_NAMED = ("rate", "scheme", "optimizer", "batch size", "weight decay")

Full = Mapping[str, Sequence[Outcome]]
"""The outcomes of each candidate at the full budget, one per seed."""


def audit(plan: Plan, trials: Sequence[Trial], full: Full, ledger: Mapping[str, Cost]) -> Audits:
    """Measure the noise between seeds, the share of diverged trials, and the importance of each dimension.

    Args:
        plan: the plan of the search.
        trials: all trials.
        full: the outcomes of finalists and baselines, one per seed of the confirmation.
        ledger: the cost of each part of the search.

    """
    noise = statistics.seed_noise([[outcome.loss for outcome in group] for group in full.values()])
    return Audits(
        seed_noise=noise if noise < inf else None,
        diverged_share=sum(bool(trial.outcome.diverged) for trial in trials) / len(trials),
        importance=importance(plan, trials),
        ledger=dict(ledger),
    )


def importance(plan: Plan, trials: Sequence[Trial]) -> dict[str, float]:
    """Return shares of the objective's variance by Optuna's fANOVA (Hutter et al. 2014); empty if few trials.

    The names are `rate`, `scheme`, `parameters` (of all schemes together), and `optimizer`, `batch size` and `weight
    decay`, of which the product with the rate counts, if there are several. In each trial the parameters of other
    schemes have their default values.
    """
    known = [trial for trial in trials if trial.outcome.loss < inf]
    if len(known) > _MOST:
        known = [known[at] for at in np.linspace(0, len(known) - 1, _MOST).round().astype(int)]
    if len(known) < _FEWEST or len({trial.outcome.loss for trial in known}) == 1:
        return {}
    columns = [_columns(plan, trial) for trial in known]
    # Constant columns take time, and their share is zero.
    constant = {name for name in columns[0] if len({row[name] for row in columns}) == 1}
    distributions = {name: kind for name, kind in _distributions(plan, known).items() if name not in constant}
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # it would print a line for the study
    study = optuna.create_study()
    for row, trial in zip(columns, known, strict=True):
        params = {name: row[name] for name in distributions}
        study.add_trial(optuna.trial.create_trial(params=params, distributions=distributions, value=trial.outcome.loss))
    shares = optuna.importance.get_param_importances(
        study, evaluator=optuna.importance.FanovaImportanceEvaluator(n_trees=_TREES, seed=plan.seed)
    )
    named = {name: float(shares.get(name, 0.0)) for name in _NAMED if name in shares}
    return {**named, "parameters": float(sum(share for name, share in shares.items() if name not in named))}


def _parameters(plan: Plan) -> dict[str, Parameter]:
    return dict(chain.from_iterable(searched(scheme, wide=plan.wide).items() for scheme in plan.all_schemes))


def _columns(plan: Plan, trial: Trial) -> dict[str, Value | None]:
    asked = trial.evaluation.candidate
    own = {f"{asked.scheme}.{name}": value for name, value in asked.params.items()}
    return {
        "rate": asked.initial_lr,
        "scheme": asked.scheme,
        "optimizer": asked.optimizer,
        "batch size": asked.batch_size,
        "weight decay": coupling(asked),
        **{key: own.get(key, parameter.default) for key, parameter in _parameters(plan).items()},
    }


def _distributions(plan: Plan, trials: Sequence[Trial]) -> dict[str, BaseDistribution]:
    rates = [trial.evaluation.candidate.initial_lr for trial in trials]
    return {
        "rate": FloatDistribution(min(rates), max(rates), log=True),
        "scheme": CategoricalDistribution(plan.all_schemes),
        "optimizer": CategoricalDistribution(list(dict.fromkeys(space.optimizer for space in plan.spaces))),
        "batch size": CategoricalDistribution(list(dict.fromkeys(space.batch_size for space in plan.spaces))),
        "weight decay": CategoricalDistribution(
            list(dict.fromkeys(coupling(trial.evaluation.candidate) for trial in trials))
        ),
        **{key: distribution(parameter) for key, parameter in _parameters(plan).items()},
    }

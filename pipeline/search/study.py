"""The trials: Optuna asks for trainings at the compressed budget, and is told how they ended."""

import warnings
from math import inf
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from pipeline.evaluation import Evaluation
from pipeline.schedules import SCHEMES, Choice, Float, Parameter, Value
from pipeline.search.plan import Evaluate, Outcome, Plan, Trial


def run_trials(plan: Plan, evaluate: Evaluate, storage: str, study_name: str) -> list[Trial]:
    """Ask and tell until the study holds `plan.trials` finished trials; oldest first."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # it has a line for every study and trial
    study = optuna.create_study(storage=storage, study_name=study_name, load_if_exists=True)
    _abandon_interrupted(study)
    while (done := len(_finished(study))) < plan.trials:
        if done < len(plan.schemes) and not study.get_trials(states=(TrialState.WAITING,)):
            study.enqueue_trial(_warm_start(plan, plan.schemes[done]))
        # A sampler's random state is not in the study: seeding it by the number of finished trials makes what
        # it proposes depend on these alone, so that an interrupted search goes on as it would have.
        study.sampler = _sampler(plan.seed + done)
        trial = study.ask()
        evaluation = _propose(trial, plan)
        outcome = evaluate(evaluation)
        for key, value in vars(outcome).items():
            trial.set_user_attr(key, value if value != inf else "inf")
        study.tell(trial, outcome.val_loss)
    return [_read(number, trial, plan) for number, trial in enumerate(_finished(study)[: plan.trials])]


def _finished(study: optuna.Study) -> list[FrozenTrial]:
    return list(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)))


def _sampler(seed: int) -> optuna.samplers.BaseSampler:
    with warnings.catch_warnings():
        # `group` is experimental, and the only way to model parameters that belong to one scheme alone.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True)


def _abandon_interrupted(study: optuna.Study) -> None:
    """A trial that was at work when its process died counts for nothing: the same one is proposed again."""
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)


def _warm_start(plan: Plan, scheme: str) -> dict[str, Value]:
    """Every scheme first gets its default parameters at the suggested rate."""
    defaults = {_key(scheme, p): p.default for p in _searched(scheme)}
    return {"scheme": scheme, "initial_lr": plan.suggested_lr, **defaults}


def _propose(trial: optuna.Trial, plan: Plan) -> Evaluation:
    scheme = trial.suggest_categorical("scheme", list(plan.schemes))
    rate = trial.suggest_float("initial_lr", *plan.bounds, log=True)
    params = {p.name: _suggest(trial, _key(scheme, p), p) for p in _searched(scheme)}
    return plan.trial(scheme, rate, params)


def _suggest(trial: optuna.Trial, key: str, parameter: Parameter) -> Value:
    domain = parameter.search
    if isinstance(domain, Float):
        return float(trial.suggest_float(key, domain.low, domain.high, log=domain.log))
    if isinstance(domain, Choice):
        chosen: Value = trial.suggest_categorical(key, list(domain.options))
        return chosen
    assert domain is not None
    return int(trial.suggest_int(key, domain.low, domain.high))


def _read(number: int, trial: FrozenTrial, plan: Plan) -> Trial:
    scheme = trial.params["scheme"]
    params = {p.name: trial.params[_key(scheme, p)] for p in _searched(scheme)}
    kept: dict[str, Any] = {key: inf if value == "inf" else value for key, value in trial.user_attrs.items()}
    outcome = Outcome(**kept)
    return Trial(number, plan.trial(scheme, trial.params["initial_lr"], params), outcome)


def _searched(scheme: str) -> list[Parameter]:
    return [parameter for parameter in SCHEMES[scheme].parameters if parameter.search is not None]


def _key(scheme: str, parameter: Parameter) -> str:
    return f"{scheme}.{parameter.name}"

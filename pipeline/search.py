"""The search: Optuna proposes, the caller's function trains, paired seeds decide.

Knows nothing of Keras or MLflow. Trainings at a compressed budget choose a finalist for each scheme; the best
finalists and the constant-rate baselines are then trained at the full budget on seeds that nothing has seen.
"""

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import inf

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from pipeline import statistics
from pipeline.evaluation import Evaluation
from pipeline.results import Baseline, Basin, Cost, Interval, LeaderboardRow, Params, SearchResult, Winner
from pipeline.schedules import SCHEMES, Choice, Float, Parameter

BASELINES = {"Adam at 0.001": ("adam", 0.001), "SGD at 0.01": ("sgd", 0.01)}
"""What people use without a search: a constant rate, Keras' default of each optimizer."""

TRIAL_SEED, CONFIRM_SEED = 10_000, 20_000
"""Added to `seed`, so that trials, confirmation and final training never share one."""

_WIDEN = 2.0
"""The range test's interval is read off a sweep, not off trainings: the search may look this factor beyond it."""

BASIN_STEPS = (0.25, 0.5, 2.0, 4.0)
"""Multiples of the winner's rate that are tried to see how much its choice matters."""


@dataclass(frozen=True)
class Plan:
    """What to search, and at what budgets.

    `lr_low`, `lr_high` bound the initial rate; `suggested_lr` is where every scheme starts. `trial_epochs` is the
    compressed budget of a trial and `epochs` the full one, in passes over the training set.
    """

    optimizer: str
    schemes: Sequence[str]
    suggested_lr: float
    lr_low: float
    lr_high: float
    trials: int
    trial_epochs: int
    epochs: int
    top_k: int
    confirm_seeds: int
    seed: int


@dataclass(frozen=True)
class Outcome:
    """What the search needs to know of one training; the loss of one that diverged is infinite."""

    val_loss: float
    val_accuracy: float | None
    seconds: float
    epochs: float
    examples: int
    diverged: str = ""


Evaluate = Callable[[Evaluation], Outcome]


@dataclass(frozen=True)
class Trial:
    """One training at the compressed budget."""

    number: int
    evaluation: Evaluation
    outcome: Outcome


@dataclass
class _Ledger:
    """Runs evaluations and adds up what they cost."""

    evaluate: Evaluate
    outcomes: list[Outcome] = field(default_factory=list)

    def __call__(self, evaluation: Evaluation) -> Outcome:
        self.outcomes.append(self.evaluate(evaluation))
        return self.outcomes[-1]


def run(plan: Plan, evaluate: Evaluate, storage: str, study_name: str) -> tuple[SearchResult, list[Trial]]:
    """Search; a study of this name in `storage`, an SQLAlchemy URL, is continued."""
    started = time.perf_counter()
    ledger = _Ledger(evaluate)
    trials = run_trials(plan, ledger, storage, study_name)
    finalists = choose_finalists(trials, plan.top_k)
    candidates = {_label(e): e for e in finalists}
    baselines = {name: _baseline(plan, *settings) for name, settings in BASELINES.items()}
    seeds = tuple(plan.seed + CONFIRM_SEED + i for i in range(plan.confirm_seeds))
    outcomes = {
        name: [ledger(replace(evaluation, epochs=plan.epochs, seed=seed)) for seed in seeds]
        for name, evaluation in {**candidates, **baselines}.items()
    }
    rows = _leaderboard({**candidates, **baselines}, outcomes, seeds)
    best = min(candidates, key=lambda name: _mean_loss(outcomes[name]))
    basin = measure_basin(plan, candidates[best], trials, ledger, _noise(outcomes))
    result = SearchResult(
        winner=Winner(**_settings(candidates[best])),
        leaderboard=tuple(sorted(rows.values(), key=lambda row: row.val_loss.mean)),
        ties=tuple(rows[name].scheme for name in candidates if name != best and rows[name].verdict == "tie"),
        basin=basin,
        baselines=tuple(
            Baseline(name=name, row=rows[name], **_gains(outcomes[name], outcomes[best])) for name in baselines
        ),
        cost=Cost(
            seconds=time.perf_counter() - started,
            epochs=sum(outcome.epochs for outcome in ledger.outcomes),
            examples=sum(outcome.examples for outcome in ledger.outcomes),
        ),
        reason=_reason(best, candidates, rows),
        lr_low=plan.lr_low / _WIDEN,
        lr_high=plan.lr_high * _WIDEN,
        trials=len(trials),
        diverged=sum(bool(trial.outcome.diverged) for trial in trials),
    )
    return result, trials


def run_trials(plan: Plan, evaluate: Evaluate, storage: str, study_name: str) -> list[Trial]:
    """Ask and tell until the study holds `plan.trials` finished trials; oldest first."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # it has a line for every study and trial
    study = optuna.create_study(storage=storage, study_name=study_name, load_if_exists=True)
    _requeue_interrupted(study)
    if not study.trials:
        _enqueue_warm_starts(study, plan)
    while len(study.get_trials(states=(TrialState.COMPLETE,))) < plan.trials:
        # A sampler's random state is not in the study: seeding it by the trial's number makes what it
        # proposes depend on the study alone, so that an interrupted search goes on as it would have.
        study.sampler = _sampler(plan.seed + len(study.trials))
        trial = study.ask()
        evaluation = _propose(trial, plan)
        outcome = evaluate(evaluation)
        for key, value in vars(outcome).items():
            trial.set_user_attr(key, value if value != inf else "inf")
        study.tell(trial, outcome.val_loss)
    return [_read(trial, plan) for trial in study.get_trials(states=(TrialState.COMPLETE,))[: plan.trials]]


def choose_finalists(trials: Sequence[Trial], top_k: int) -> list[Evaluation]:
    """The best trial of each of the `top_k` best schemes; at least one even if all diverged."""
    best: dict[str, Trial] = {}
    for trial in sorted(trials, key=lambda t: (t.outcome.val_loss, SCHEMES[t.evaluation.scheme].complexity, t.number)):
        best.setdefault(trial.evaluation.scheme, trial)
    finalists = [trial.evaluation for trial in best.values() if trial.outcome.val_loss < inf]
    return finalists[:top_k] or [next(iter(best.values())).evaluation]


def measure_basin(plan: Plan, winner: Evaluation, trials: Sequence[Trial], evaluate: Evaluate, noise: float) -> Basin:
    """How far the winner's initial rate may be off: trainings at multiples of it, at the compressed budget."""
    centre = replace(winner, epochs=plan.trial_epochs, seed=plan.seed + TRIAL_SEED)
    losses = {t.evaluation.initial_lr: t.outcome.val_loss for t in trials if t.evaluation == centre}
    for step in BASIN_STEPS:
        rate = winner.initial_lr * step
        losses[rate] = evaluate(replace(centre, initial_lr=rate)).val_loss
    if not np.isfinite(list(losses.values())).any():
        return Basin(lr_low=winner.initial_lr, lr_high=winner.initial_lr)
    low, high = statistics.basin(list(losses), list(losses.values()), noise)
    return Basin(lr_low=low, lr_high=high)


def _sampler(seed: int) -> optuna.samplers.BaseSampler:
    with warnings.catch_warnings():
        # `group` is experimental, and the only way to model parameters that belong to one scheme alone.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True)


def _requeue_interrupted(study: optuna.Study) -> None:
    """A trial that was at work when its process died is asked for again, first."""
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        study.enqueue_trial(trial.system_attrs.get("fixed_params") or trial.params)
        study.tell(trial.number, state=TrialState.FAIL)


def _enqueue_warm_starts(study: optuna.Study, plan: Plan) -> None:
    """Every scheme first gets its default parameters at the suggested rate."""
    for scheme in plan.schemes:
        defaults = {_key(scheme, p): p.default for p in _searched(scheme)}
        study.enqueue_trial({"scheme": scheme, "initial_lr": plan.suggested_lr, **defaults})


def _propose(trial: optuna.Trial, plan: Plan) -> Evaluation:
    scheme = trial.suggest_categorical("scheme", list(plan.schemes))
    rate = trial.suggest_float("initial_lr", plan.lr_low / _WIDEN, plan.lr_high * _WIDEN, log=True)
    params = {p.name: _suggest(trial, _key(scheme, p), p) for p in _searched(scheme)}
    return _evaluation(plan, scheme, rate, params)


def _suggest(trial: optuna.Trial, key: str, parameter: Parameter) -> float | int | str | bool:
    domain = parameter.search
    if isinstance(domain, Float):
        return trial.suggest_float(key, domain.low, domain.high, log=domain.log)
    if isinstance(domain, Choice):
        return trial.suggest_categorical(key, list(domain.options))  # type: ignore[no-any-return]
    assert domain is not None
    return trial.suggest_int(key, domain.low, domain.high)


def _read(trial: FrozenTrial, plan: Plan) -> Trial:
    scheme = trial.params["scheme"]
    params = {p.name: trial.params[_key(scheme, p)] for p in _searched(scheme)}
    outcome = Outcome(**{key: inf if value == "inf" else value for key, value in trial.user_attrs.items()})
    return Trial(trial.number, _evaluation(plan, scheme, trial.params["initial_lr"], params), outcome)


def _evaluation(plan: Plan, scheme: str, rate: float, params: Params) -> Evaluation:
    return Evaluation(plan.optimizer, scheme, rate, params, plan.trial_epochs, plan.seed + TRIAL_SEED)


def _baseline(plan: Plan, optimizer: str, rate: float) -> Evaluation:
    return Evaluation(optimizer, "constant", rate, {}, plan.epochs, plan.seed)


def _searched(scheme: str) -> list[Parameter]:
    return [parameter for parameter in SCHEMES[scheme].parameters if parameter.search is not None]


def _key(scheme: str, parameter: Parameter) -> str:
    return f"{scheme}.{parameter.name}"


def _label(evaluation: Evaluation) -> str:
    return evaluation.scheme


def _settings(evaluation: Evaluation) -> dict[str, object]:
    return {
        "scheme": evaluation.scheme,
        "initial_lr": evaluation.initial_lr,
        "optimizer": evaluation.optimizer,
        "params": dict(evaluation.params),
    }


def _losses(outcomes: Sequence[Outcome]) -> list[float]:
    return [outcome.val_loss for outcome in outcomes]


def _mean_loss(outcomes: Sequence[Outcome]) -> float:
    return float(np.mean(_losses(outcomes)))


def _noise(outcomes: dict[str, list[Outcome]]) -> float:
    """Standard deviation of the validation loss between seeds, over all that were confirmed without diverging."""
    finite = [_losses(group) for group in outcomes.values() if _mean_loss(group) < inf]
    return statistics.seed_noise(finite) if finite else 0.0


def _leaderboard(
    candidates: dict[str, Evaluation], outcomes: dict[str, list[Outcome]], seeds: tuple[int, ...]
) -> dict[str, LeaderboardRow]:
    verdicts = statistics.verdicts({name: _losses(group) for name, group in outcomes.items()})
    return {
        name: LeaderboardRow(
            **_settings(candidates[name]),
            val_loss=statistics.mean_interval(_losses(group)),
            val_accuracy=_mean_accuracy(group),
            difference=verdicts.rows[name].difference,
            seeds=seeds,
            verdict=verdicts.rows[name].verdict,
        )
        for name, group in outcomes.items()
    }


def _mean_accuracy(outcomes: Sequence[Outcome]) -> float | None:
    values = [outcome.val_accuracy for outcome in outcomes if outcome.val_accuracy is not None]
    return float(np.mean(values)) if len(values) == len(outcomes) else None


def _gains(baseline: Sequence[Outcome], winner: Sequence[Outcome]) -> dict[str, Interval | None]:
    """What the winner is worth: in loss and in accuracy, both positive where the winner is better."""
    ours, theirs = ([o.val_accuracy for o in side if o.val_accuracy is not None] for side in (winner, baseline))
    known = len(ours) == len(theirs) == len(winner)
    return {
        "gain": statistics.paired_difference(_losses(baseline), _losses(winner)),
        "accuracy_gain": statistics.paired_difference(ours, theirs) if known else None,
    }


def _reason(best: str, candidates: dict[str, Evaluation], rows: dict[str, LeaderboardRow]) -> str:
    better = [
        name for name, row in rows.items() if name not in candidates and row.val_loss.mean < rows[best].val_loss.mean
    ]
    if rows[best].verdict == "diverged":
        return "every finalist diverged on some seed"
    if better:
        return f"{best} is the best scheme found, but {' and '.join(better)} (constant) did no worse on the same seeds"
    if rows[best].verdict == "winner":
        return f"{best} beat every other finalist and both baselines on the same seeds, at 95% over all comparisons"
    return f"{best} has the lowest mean validation loss, but the seeds do not tell it from every other"

"""The trials of one scheme with one optimizer and batch size, and the samplers that propose them."""

import hashlib
import warnings
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import inf, isfinite, log10

import numpy as np
import optuna
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState

from pipeline.config import SamplerName
from pipeline.evaluation import Evaluation
from pipeline.results import Space, Widening
from pipeline.schedules import SCHEMES, Choice, Float, Parameter, Value
from pipeline.search.plan import ETA, Evaluate, Outcome, Plan, Trial, first_bounds

EDGE = 1 / 3
"""Where the best rate is within this many decades of a bound, the bound and the next trial move as far beyond."""

_MOST_WIDENINGS = 8

Point = Mapping[str, Value]
"""A rate and parameters, by their keys in studies."""


class SchemeStudy:
    """The trials of one scheme: Optuna proposes them, and successive halving stops those that fall behind.

    Each scheme has an Optuna study of its own, for two reasons. TPE models only parameters that occur together. And a
    scheme that competes only with itself for the next budget is not dropped for being slow to start: its first trial,
    and later its best ones, reach the budget `trial_epochs`, where schemes are compared, and the full budget while the
    scheme is among the best.

    Halving is asynchronous (ASHA, Li et al. 2020, arXiv:1810.05934): a trial goes on if it is among the best third so
    far. So each step depends on earlier trials only, and extending a search gives the same trials as a search that was
    longer from the start.
    """

    def __init__(self, plan: Plan, space: Space, scheme: str) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)  # it would print a line for every study and trial
        self.space, self.scheme = space, scheme
        self.bounds = first_bounds(space)
        self.trials: list[Trial] = []
        self.widenings: list[Widening] = []
        self._plan = plan
        self._parameters = searched(scheme)
        self._study = self._new_study()
        self._points = grid(self.bounds, self._parameters, plan.seed) if plan.sampler == "grid" else []

    @property
    def name(self) -> str:
        """A name that is unique in the search."""
        return self._plan.name(self.space, self.scheme)

    @property
    def length(self) -> int:
        """The number of configurations tried."""
        return len({trial.number for trial in self.trials})

    @property
    def best(self) -> Trial | None:
        """The best trial at the highest budget reached; None while no finite loss at `trial_epochs` is known."""
        reached = [trial for trial in self.trials if trial.evaluation.epochs >= self._plan.trial_epochs]
        finite = [trial for trial in reached if trial.outcome.loss < inf]
        return min(finite, key=lambda trial: (-trial.evaluation.epochs, trial.outcome.loss), default=None)

    def at(self, epochs: float) -> list[Trial]:
        """Return the trainings at a budget."""
        return [trial for trial in self.trials if trial.evaluation.epochs == epochs]

    def clipped(self, initial_lr: float) -> float:
        """Return the nearest rate within the bounds."""
        low, high = self.bounds
        return min(max(initial_lr, low), high)

    def defaults(self, initial_lr: float) -> Point:
        """Return the scheme's default parameters with a rate within the bounds."""
        return {"initial_lr": self.clipped(initial_lr), **{key: p.default for key, p in self._parameters.items()}}

    def attempt(
        self, budgets: Sequence[float], leads: Callable[[float], bool], point: Point | None = None
    ) -> Generator[Evaluation, Outcome, None]:
        """Try one more configuration, at one budget after the other until it falls behind.

        Yields what to train next, and is sent the outcome, which the caller has added to `trials` by then.

        Args:
            budgets: what to train it at, lowest first.
            leads: whether a loss at the budget `trial_epochs` is good enough for the full one.
            point: the configuration, unless it was tried before; without one the sampler proposes.

        """
        if point is None and self._points:
            point = self._points.pop(0)
        if point is not None:
            self._study.enqueue_trial(dict(point), skip_if_exists=True)
        trial = self._study.ask()
        evaluation = self._propose(trial)
        for budget in budgets:
            outcome = yield replace(evaluation, epochs=budget)
            trial.report(outcome.loss, self._rung(budget))
            behind = budget < self._plan.epochs and trial.should_prune()
            waits = budget == self._plan.trial_epochs and not leads(outcome.loss)
            if not isfinite(outcome.loss) or behind or waits:
                self._study.tell(trial, state=TrialState.PRUNED)
                return
        self._study.tell(trial, outcome.loss)

    def _rung(self, budget: float) -> int:
        """Return the step by which Optuna knows a budget."""
        rungs = (*self._plan.budgets, self._plan.epochs)
        return int(ETA ** rungs.index(budget))

    def widen(self) -> Point | None:
        """Move the bound that the best rate is close to, and return what to try beyond it; None without one."""
        best, (low, high) = self.best, self.bounds
        if best is None or len(self.widenings) == _MOST_WIDENINGS:
            return None
        rate = best.evaluation.candidate.initial_lr
        if log10(high / rate) < EDGE:
            moved, direction = (low, high * 10**EDGE), 1
        elif log10(rate / low) < EDGE:
            moved, direction = (low / 10**EDGE, high), -1
        else:
            return None
        params = {f"{self.scheme}.{name}": value for name, value in best.evaluation.candidate.params.items()}
        self._move(moved, direction)
        return {"initial_lr": rate * 10 ** (direction * EDGE), **params}

    def _move(self, bounds: tuple[float, float], direction: int) -> None:
        """Change the bounds, for earlier trials too, since Optuna models only trials with the same bounds together."""
        side = (1 + direction) // 2
        self.widenings.append(
            Widening(
                optimizer=self.space.optimizer,
                batch_size=self.space.batch_size,
                scheme=self.scheme,
                side="high" if side else "low",
                before=self.bounds[side],
                after=bounds[side],
            )
        )
        self.bounds = bounds
        known = self._study.get_trials()
        self._study = self._new_study()
        for trial in known:
            trial.distributions |= {"initial_lr": FloatDistribution(*bounds, log=True)}
            self._study.add_trial(trial)

    def _new_study(self) -> optuna.Study:
        """Return a study in memory. Nothing needs to be stored, as trainings that are asked for again are recalled."""
        space = self.space
        identity = f"{self._plan.seed} {space.optimizer} {space.batch_size} {self.scheme} {len(self.widenings)}"
        seed = int(hashlib.sha256(identity.encode()).hexdigest()[:8], 16)
        return optuna.create_study(
            sampler=sampler(self._plan.sampler, seed),
            pruner=optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=ETA),
        )

    def _propose(self, trial: optuna.Trial) -> Evaluation:
        rate = trial.suggest_float("initial_lr", *self.bounds, log=True)
        params = {p.name: suggest(trial, key, p) for key, p in self._parameters.items()}
        return self._plan.trial(self.space, self.scheme, rate, params)


def searched(scheme: str) -> Mapping[str, Parameter]:
    """Return the parameters of a scheme that a search varies, by their keys in studies."""
    return {f"{scheme}.{p.name}": p for p in SCHEMES[scheme].parameters if p.search is not None}


@dataclass(frozen=True)
class Attempt:
    """A numbered trial in progress."""

    number: int
    study: SchemeStudy
    running: Generator[Evaluation, Outcome, None]


def run_attempts(attempts: Sequence[Attempt], evaluate: Evaluate) -> None:
    """Run trials of different schemes side by side, asking at once for the next training of each.

    Outcomes are handed over in the order of the trials, not in that of the answers.
    """
    under_way = [(attempt, next(attempt.running)) for attempt in attempts]
    while under_way:
        outcomes = evaluate([evaluation for _, evaluation in under_way])
        going_on = []
        for (attempt, evaluation), outcome in zip(under_way, outcomes, strict=True):
            attempt.study.trials.append(Trial(attempt.number, evaluation, outcome))
            try:
                going_on.append((attempt, attempt.running.send(outcome)))
            except StopIteration:
                continue
        under_way = going_on


_STARTUP = 3
"""Random trials before TPE starts to model; those with default parameters count."""

_RATES, _LEVELS = 10, 3
"""Points of the grid for the initial rate, and for each other continuous parameter."""


def sampler(name: SamplerName, seed: int) -> optuna.samplers.BaseSampler:
    """Return the sampler; for a grid, the one that proposes after the last grid point."""
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
    """Return all grid points, shuffled. Optuna's own grid sampler works only in its own training loop."""
    axes = {"initial_lr": _rates(bounds), **{key: _levels(parameter) for key, parameter in parameters.items()}}
    points = [dict(zip(axes, values, strict=True)) for values in product(*axes.values())]
    return [points[at] for at in np.random.default_rng(seed).permutation(len(points))]


def suggest(trial: optuna.Trial, key: str, parameter: Parameter) -> Value:
    """Let a trial propose a parameter within its domain."""
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

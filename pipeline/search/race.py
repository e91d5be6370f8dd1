"""A race: the trials of one scheme with one optimizer and batch size, against each other only."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import inf, isfinite, log10

import optuna
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState

from pipeline.evaluation import Evaluation
from pipeline.results import Widening
from pipeline.schedules import SCHEMES, Parameter, Value
from pipeline.search.plan import ETA, Evaluate, Plan, Space, Trial
from pipeline.search.samplers import grid, sampler, suggest

EDGE = 1 / 3
"""An optimum within so many decades of a bound may lie beyond it: the bound moves, and the next trial, by as much."""

_MOST_WIDENINGS = 8

Point = Mapping[str, Value]
"""A rate and parameters, by the keys they have in studies."""


class Race:
    """One scheme's trials: Optuna proposes within the scheme, and successive halving drops what falls behind.

    Each race is an Optuna study, for two reasons. TPE models only parameters that occur together. And since a scheme
    competes only with itself for the next budget, none is dropped for being slow to start: the first trial of each, and
    later the best, climb to the highest budget of trials, where schemes are compared, and on to the full budget while
    the scheme is among the best. Halving is asynchronous (ASHA, Li et al. 2020, arXiv:1810.05934): a trial climbs if it
    is among the best third so far, so that what happens depends on earlier trials only, and a search that is extended
    goes on as one that had been longer from the start.
    """

    def __init__(self, plan: Plan, space: Space, scheme: str) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)  # it has a line for every study and trial
        self.space, self.scheme = space, scheme
        self.bounds = space.bounds
        self.trials: list[Trial] = []
        self.widenings: list[Widening] = []
        self._plan = plan
        self._parameters = searched(scheme)
        self._study = self._new_study()
        self._points = grid(self.bounds, self._parameters, plan.seed) if plan.sampler == "grid" else []

    @property
    def name(self) -> str:
        """What tells it from the others."""
        return self._plan.name(self.space, self.scheme)

    @property
    def length(self) -> int:
        """How many configurations it has tried."""
        return len({trial.number for trial in self.trials})

    @property
    def best(self) -> Trial | None:
        """The best trial at the highest budget that one has come to, None while that is below the highest of trials."""
        reached = [trial for trial in self.trials if trial.evaluation.epochs >= self._plan.trial_epochs]
        finite = [trial for trial in reached if trial.outcome.loss < inf]
        return min(finite, key=lambda trial: (-trial.evaluation.epochs, trial.outcome.loss), default=None)

    def at(self, epochs: float) -> list[Trial]:
        """Its trainings at a budget."""
        return [trial for trial in self.trials if trial.evaluation.epochs == epochs]

    def clipped(self, initial_lr: float) -> float:
        """The rate within the bounds that is nearest."""
        low, high = self.bounds
        return min(max(initial_lr, low), high)

    def defaults(self, initial_lr: float) -> Point:
        """The scheme's default parameters, and a rate within the bounds."""
        return {"initial_lr": self.clipped(initial_lr), **{key: p.default for key, p in self._parameters.items()}}

    def run_trial(
        self,
        number: int,
        evaluate: Evaluate,
        budgets: Sequence[float],
        leads: Callable[[float], bool],
        point: Point | None = None,
    ) -> None:
        """Try one more configuration, at one budget after the other for as long as it keeps up.

        It is `point`, unless that has been tried; without one the sampler proposes. `leads` says of a loss at the
        highest budget of trials whether the full one is worth while.
        """
        if point is None and self._points:
            point = self._points.pop(0)
        if point is not None:
            self._study.enqueue_trial(dict(point), skip_if_exists=True)
        trial = self._study.ask()
        evaluation = self._propose(trial)
        for budget in budgets:
            asked = replace(evaluation, epochs=budget)
            outcome = evaluate(asked)
            self.trials.append(Trial(number, asked, outcome))
            trial.report(outcome.loss, self._rung(budget))
            behind = budget < self._plan.epochs and trial.should_prune()
            waits = budget == self._plan.trial_epochs and not leads(outcome.loss)
            if not isfinite(outcome.loss) or behind or waits:
                self._study.tell(trial, state=TrialState.PRUNED)
                return
        self._study.tell(trial, outcome.loss)

    def _rung(self, budget: float) -> int:
        """What Optuna takes for the step of a budget."""
        rungs = (*self._plan.budgets, self._plan.epochs)
        return int(ETA ** rungs.index(budget))

    def widen(self) -> Point | None:
        """Move a bound that the best rate lies at, and give what to try beyond; None if there was no such bound."""
        best, (low, high) = self.best, self.bounds
        if best is None or len(self.widenings) == _MOST_WIDENINGS:
            return None
        rate = best.evaluation.initial_lr
        if log10(high / rate) < EDGE:
            moved, direction = (low, high * 10**EDGE), 1
        elif log10(rate / low) < EDGE:
            moved, direction = (low / 10**EDGE, high), -1
        else:
            return None
        params = {f"{self.scheme}.{name}": value for name, value in best.evaluation.params.items()}
        self._move(moved, direction)
        return {"initial_lr": rate * 10 ** (direction * EDGE), **params}

    def _move(self, bounds: tuple[float, float], direction: int) -> None:
        """Bound the rate anew, in the trials so far too: Optuna models together only what has the same bounds."""
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
        """A study in memory: who is asked again answers at once, so nothing need be kept here."""
        identity = f"{self._plan.seed} {self.space.optimizer} {self.scheme} {len(self.widenings)}"
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
    """The parameters of a scheme that a search varies, by the keys they have in studies."""
    return {f"{scheme}.{p.name}": p for p in SCHEMES[scheme].parameters if p.search is not None}

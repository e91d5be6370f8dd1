"""The searches whose regret is measured: each answers a problem within several budgets of full trainings.

Samplers, brackets and pruners are the libraries' own; only the training is replaced, by `trust_regret_network`.
KerasTuner is driven by overriding `Tuner.run_trial`, its documented way to tune anything: a later rung starts from the
weights of the best epoch of the rung before, while the optimizer and with it the schedule restart, as in its own
`run_trial`.

A search that improves gradually runs once, up to the largest budget, and gives its answer as it reaches each budget.
"""

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
import numpy as np
import optuna
from numpy.typing import NDArray

from benchmarks.search_tools import HIGH, LOW, SCHEMES, WITHOUT_END, find
from benchmarks.trust_regret_network import Trainable, Trained, Weights
from pipeline import range_test, schedules
from pipeline.config import SearchOptions
from pipeline.evaluation import Evaluation, Training
from pipeline.schedules import Value

_PEERS_SEED, _PER_REPEAT = 1_000_000, 1_000

_DECADES = (-1.0, -0.5, 0.0, 0.5, 1.0)
"""Decades from the optimizer's default rate in Keras to each of the five rates."""

Params = dict[str, Value]


@dataclass(frozen=True)
class Answer:
    """The scheme and rate to train with, None if the method gave no rate, and the cost in full trainings."""

    scheme: str
    initial_lr: float | None
    params: Params
    cost: float


Answers = dict[int, Answer]
"""By budget, in full trainings."""


@dataclass(frozen=True)
class Setting:
    """A problem's network, optimizer, batch size and full length in epochs, and the number of the repeat."""

    network: Trainable
    optimizer: str
    batch_size: int
    epochs: int
    repeat: int

    def curve(self, scheme: str, initial_lr: float, params: Params | None = None) -> NDArray[np.float64]:
        """Return the rates of a whole training."""
        per_epoch = self.network.steps_per_epoch
        steps = self.epochs * per_epoch
        return schedules.curve(scheme, steps=steps, steps_per_epoch=per_epoch, initial_lr=initial_lr, params=params)

    def train(self, rates: NDArray[np.float64], seed: int, **how: Any) -> Trained:
        """Train with the problem's optimizer."""
        return self.network.train(rates, seed, optimizer=self.optimizer, **how)

    def meter(self) -> Callable[[], float]:
        """Return a function that returns the cost since now, in full trainings."""
        before, full = self.network.examples, self.epochs * self.network.training_examples
        return lambda: (self.network.examples - before) / full

    def trial_seed(self, number: int) -> int:
        """Return the seed of a peer's trial, which gives it a fresh model."""
        return _PEERS_SEED + _PER_REPEAT * self.repeat + number

    def options(self, **others: Any) -> SearchOptions:
        """Return the default options of our search, which adds 10,000 and 20,000 to the seed."""
        own = {"seed": 100 * self.repeat, "epochs": self.epochs, "batch_size": self.batch_size}
        return SearchOptions.model_validate({**own, "optimizer": self.optimizer, **others})


class Recalling:
    """Trains each evaluation once for all budgets; `cost` counts all that were requested since it was set to zero."""

    def __init__(self, setting: Setting) -> None:
        self._network, self._full = setting.network, setting.epochs * setting.network.training_examples
        self._known: dict[str, Training] = {}
        self.cost = 0.0

    def __call__(self, evaluations: Sequence[Evaluation]) -> Iterator[tuple[Evaluation, Training]]:
        """Answer in order."""
        for evaluation in evaluations:
            if evaluation.digest not in self._known:
                self._known.update((asked.digest, training) for asked, training in self._network.ask([evaluation]))
            training = self._known[evaluation.digest]
            self.cost += training.examples / self._full
            yield evaluation, training


def ours(setting: Setting, budgets: Sequence[int], splits: int = 1, at_once: int = 1) -> Answers:
    """Answer with range test and search and their default options; the confirmation has its seeds on so many splits.

    So many trainings are asked for at once, as for workers.
    """
    ask, answers = Recalling(setting), Answers()
    for budget in budgets:
        ask.cost = 0.0
        options, steps = setting.options(budget=budget, splits=splits), setting.network.steps_per_epoch
        winner = find(options, steps, ask, at_once=at_once).winner
        answers[budget] = Answer(winner.scheme, winner.initial_lr, winner.params, ask.cost)
    return answers


def range_tested(setting: Setting, budgets: Sequence[int]) -> Answers:
    """Answer with the rate that the sweeps of a range test suggest and linear decay, whatever the budget."""
    spent = setting.meter()
    plan = range_test.planned(setting.options(), lambda size: setting.network.steps_per_epoch)
    rate = range_test.conduct(plan, setting.network.ask).result.suggested_lr
    return dict.fromkeys(budgets, Answer("linear", rate, {}, spent()))


def five_rates(setting: Setting, budgets: Sequence[int]) -> Answers:
    """Answer with linear decay from the best of five rates, half a decade apart, on as many seeds as the budget allows.

    If it allows fewer than five trainings, the outermost rates are left out.
    """
    default = keras.optimizers.get(setting.optimizer).learning_rate.numpy()
    rates = [float(default * 10**decades) for decades in _DECADES]
    losses: dict[float, list[float]] = {rate: [] for rate in rates}
    answers = Answers()
    for budget in sorted(budgets):
        tried = rates if budget >= len(rates) else rates[1:-1]
        seeds = budget // len(tried)
        for rate in tried:
            for number in range(len(losses[rate]), seeds):
                losses[rate].append(setting.train(setting.curve("linear", rate), setting.trial_seed(number)).final)
        best = min(tried, key=lambda rate: float(np.mean(losses[rate])))
        answers[budget] = Answer("linear", best, {}, len(tried) * seeds)
    return answers


def one_epoch(setting: Setting, budgets: Sequence[int]) -> Answers:
    """Answer with the best of configurations drawn from an uninformed prior, after an epoch each (arXiv 2307.15422).

    The budget includes the full training of the best one, which is skipped since it changes no answer.
    """
    rng, spent, answers = np.random.default_rng(setting.repeat), setting.meter(), Answers()
    seen: list[tuple[float, str, float]] = []
    for budget in sorted(budgets):
        while spent() < budget - 1:
            scheme, rate = str(rng.choice(SCHEMES)), float(10 ** rng.uniform(np.log10(LOW), np.log10(HIGH)))
            rates = setting.curve(scheme, rate)[: setting.network.steps_per_epoch]
            seen.append((setting.train(rates, setting.trial_seed(len(seen))).final, scheme, rate))
        loss, scheme, rate = min(seen)
        answers[budget] = Answer(scheme, rate if np.isfinite(loss) else None, {}, spent() + 1)
    return answers


def hyperband(setting: Setting, budgets: Sequence[int]) -> Answers:
    """Answer with KerasTuner's Hyperband over an uninformed prior, run repeatedly until the budget is spent."""
    import keras_tuner

    left, spent, answers, weights = sorted(budgets), setting.meter(), Answers(), dict[str, Weights]()

    class BudgetSpentError(keras_tuner.errors.FatalError):  # type: ignore[misc]
        """Raised to end a search; KerasTuner treats other errors as a failed trial."""

    class Hyperband(keras_tuner.Hyperband):  # type: ignore[misc]
        def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> dict[str, float]:
            """Train one rung of one configuration; the best of its epochs counts, as with a History."""
            while left and spent() >= left[0]:
                best = self.get_best_hyperparameters(1)
                scheme, rate = (best[0]["scheme"], best[0]["initial_lr"]) if best else ("constant", None)
                answers[left.pop(0)] = Answer(scheme, rate, {}, spent())
            if not left:
                raise BudgetSpentError
            return _rung(setting, trial, weights)

    space = keras_tuner.HyperParameters()
    space.Choice("scheme", list(SCHEMES))
    space.Float("initial_lr", LOW, HIGH, sampling="log")
    with tempfile.TemporaryDirectory() as folder:
        tuner = Hyperband(
            objective="val_loss",
            max_epochs=setting.epochs,
            hyperband_iterations=WITHOUT_END,
            seed=setting.repeat,
            hyperparameters=space,
            max_consecutive_failed_trials=WITHOUT_END,
            directory=folder,
        )
        with contextlib.suppress(BudgetSpentError):
            tuner.search(verbose=0)
    return answers


def _rung(setting: Setting, trial: Any, weights: dict[str, Weights]) -> dict[str, float]:
    """Train one rung from the weights of the one before; `weights` holds the best of each trial."""
    values = trial.hyperparameters.values
    epochs = values["tuner/epochs"] - values["tuner/initial_epoch"]
    rates = setting.curve(values["scheme"], values["initial_lr"])[: epochs * setting.network.steps_per_epoch]
    start = weights.get(values.get("tuner/trial_id", ""))
    trained = setting.train(rates, setting.trial_seed(int(trial.trial_id)), validations=epochs, start=start)
    weights[trial.trial_id] = trained.best
    return {"val_loss": min(trained.val_losses, default=np.nan)}


def optuna_tpe(setting: Setting, budgets: Sequence[int]) -> Answers:
    """Answer with Optuna's TPE and MedianPruner over an uninformed prior."""
    sampler = optuna.samplers.TPESampler(seed=setting.repeat)
    return _optuna(setting, budgets, sampler, optuna.pruners.MedianPruner())


def random_search(setting: Setting, budgets: Sequence[int]) -> Answers:
    """Answer with the best of full trainings with configurations drawn from an uninformed prior."""
    sampler = optuna.samplers.RandomSampler(seed=setting.repeat)
    return _optuna(setting, budgets, sampler, optuna.pruners.NopPruner())


def _optuna(
    setting: Setting,
    budgets: Sequence[int],
    sampler: optuna.samplers.BaseSampler,
    pruner: optuna.pruners.BasePruner,
) -> Answers:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    spent, answers = setting.meter(), Answers()

    def objective(trial: optuna.Trial) -> float:
        scheme = trial.suggest_categorical("scheme", SCHEMES)
        rates = setting.curve(scheme, trial.suggest_float("initial_lr", LOW, HIGH, log=True))

        def prune(epoch: int, val_loss: float) -> bool:
            trial.report(val_loss, epoch)
            return bool(trial.should_prune())

        seed = setting.trial_seed(trial.number)
        trained = setting.train(rates, seed, validations=setting.epochs, stop=prune)
        if not trained.diverged and len(trained.val_losses) < setting.epochs:
            raise optuna.TrialPruned
        return trained.final if np.isfinite(trained.final) else np.nan  # which Optuna takes for a failed trial

    study = optuna.create_study(sampler=sampler, pruner=pruner)
    for budget in sorted(budgets):
        while spent() < budget:
            study.optimize(objective, n_trials=1)
        if study.get_trials(states=(optuna.trial.TrialState.COMPLETE,)):
            best = study.best_params
            answers[budget] = Answer(best["scheme"], best["initial_lr"], {}, spent())
        else:
            answers[budget] = Answer("constant", None, {}, spent())
    return answers


METHODS: dict[str, Callable[[Setting, Sequence[int]], Answers]] = {
    "ours": ours,
    "ours, seeds on splits": partial(ours, splits=1_000),
    **{f"ours, {at_once} at once": partial(ours, at_once=at_once) for at_once in (2, 4, 8, 16)},
    "Optuna TPE": optuna_tpe,
    "random search": random_search,
    "KerasTuner Hyperband": hyperband,
    "one epoch for all": one_epoch,
    "range test, linear": range_tested,
    "linear, five rates": five_rates,
}
"""The methods by their names in the report."""

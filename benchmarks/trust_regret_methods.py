"""The searches whose regret is measured: what each answers to the same problem, and the examples it trains on for that.

Samplers, brackets and pruners are the libraries' own; only the training is `trust_regret_network`. KerasTuner is
driven by overriding `Tuner.run_trial`, its documented way to tune anything: a later rung goes on from the weights of
the best epoch of the rung before, and the optimizer, and with it the schedule, begin anew, as in its own `run_trial`.
"""

import contextlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras_tuner
import numpy as np
import optuna
from numpy.typing import NDArray

from benchmarks import our_search
from benchmarks.trust_regret_network import Network, Weights
from pipeline import schedules
from pipeline.config import REFINE_OFF, SearchOptions
from pipeline.evaluation import Evaluation
from pipeline.results import Params, SearchResult
from pipeline.search import Outcome

LOW, HIGH = 1e-5, 1.0
"""The blind prior of the initial rate."""

SCHEMES = SearchOptions().scheme_names()

_PEERS_SEED, _PER_REPEAT = 1_000_000, 1_000
_WITHOUT_END = 10_000


@dataclass(frozen=True)
class Answer:
    """What to train with; no rate where the method gave none."""

    scheme: str
    initial_lr: float | None
    params: Params
    examples: int


@dataclass(frozen=True)
class Setting:
    """A problem's network, batch size and full budget, and which of the repeats this is."""

    network: Network
    batch_size: int
    epochs: int
    repeat: int

    def curve(self, scheme: str, initial_lr: float, params: Params | None = None) -> NDArray[np.float64]:
        """The rates of a whole training."""
        per_epoch = self.network.steps_per_epoch
        steps = self.epochs * per_epoch
        return schedules.curve(scheme, steps=steps, steps_per_epoch=per_epoch, initial_lr=initial_lr, params=params)

    def trial_seed(self, number: int) -> int:
        """A fresh model a trial."""
        return _PEERS_SEED + _PER_REPEAT * self.repeat + number

    def options(self, **others: Any) -> SearchOptions:
        """Our search's defaults; it adds tens of thousands to the seed for trials and confirmation."""
        own = {"seed": 100 * self.repeat, "epochs": self.epochs, "batch_size": self.batch_size}
        return SearchOptions.model_validate({**own, **others})


def ours(setting: Setting, budget: int) -> Answer:
    """Range test and search as the pipeline makes them, with the default options; whatever they cost is the budget."""
    result, spent = _searched(setting)
    return Answer(result.winner.scheme, result.winner.initial_lr, result.winner.params, spent)


def ours_lowest_mean(setting: Setting, budget: int) -> Answer:
    """The same search, answered by the finalist with the lowest mean, be it tied with one whose basin is wider."""
    result, spent = _searched(setting)
    best = next(row for row in result.leaderboard if row.basin is not None)
    return Answer(best.scheme, best.initial_lr, best.params, spent)


def _searched(setting: Setting) -> tuple[SearchResult, int]:
    network, before = setting.network, setting.network.examples
    result = our_search.find(setting.options(), network.steps_per_epoch, _sweep(network), _evaluate(network))
    return result, network.examples - before


def range_test(setting: Setting, budget: int) -> Answer:
    """The rate that the sweeps of a range test suggest, kept constant."""
    return _range_tested(setting, "constant", REFINE_OFF)


def refined_range_test(setting: Setting, budget: int) -> Answer:
    """The rate that a range test suggests once trainings have refined it, with the scheme of these."""
    scheme = SearchOptions().refine
    return _range_tested(setting, scheme, scheme)


def _range_tested(setting: Setting, scheme: str, refine: str) -> Answer:
    network, before = setting.network, setting.network.examples
    options = setting.options(refine=refine)
    found = our_search.range_test(options, network.steps_per_epoch, _sweep(network), _evaluate(network))
    return Answer(scheme, found.suggested_lr, {}, network.examples - before)


def hyperband(setting: Setting, budget: int) -> Answer:
    """KerasTuner's Hyperband over a blind prior, begun anew as often as the budget allows."""
    before, space = setting.network.examples, keras_tuner.HyperParameters()
    space.Choice("scheme", list(SCHEMES))
    space.Float("initial_lr", LOW, HIGH, sampling="log")
    with tempfile.TemporaryDirectory() as folder:
        tuner = _Hyperband(
            setting,
            before + budget,
            objective="val_loss",
            max_epochs=setting.epochs,
            hyperband_iterations=_WITHOUT_END,
            seed=setting.repeat,
            hyperparameters=space,
            max_consecutive_failed_trials=_WITHOUT_END,
            directory=folder,
        )
        with contextlib.suppress(_BudgetSpentError):
            tuner.search(verbose=0)
        best = tuner.get_best_hyperparameters(1)
    spent = setting.network.examples - before
    return Answer(best[0]["scheme"], best[0]["initial_lr"], {}, spent) if best else Answer("constant", None, {}, spent)


class _BudgetSpentError(keras_tuner.errors.FatalError):  # type: ignore[misc]
    """What KerasTuner does not take for a failed trial ends its search."""


class _Hyperband(keras_tuner.Hyperband):  # type: ignore[misc]
    def __init__(self, setting: Setting, until: int, **options: Any) -> None:
        super().__init__(**options)
        self._setting, self._until = setting, until
        self._weights: dict[str, Weights] = {}

    def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> dict[str, float]:
        """One rung of one configuration; the best of its epochs counts, as with a History."""
        network = self._setting.network
        if network.examples >= self._until:
            raise _BudgetSpentError
        values = trial.hyperparameters.values
        epochs = values["tuner/epochs"] - values["tuner/initial_epoch"]
        rates = self._setting.curve(values["scheme"], values["initial_lr"])[: epochs * network.steps_per_epoch]
        start = self._weights.get(values.get("tuner/trial_id", ""))
        seed = self._setting.trial_seed(int(trial.trial_id))
        trained = network.train(rates, seed, validations=epochs, start=start)
        self._weights[trial.trial_id] = trained.best
        return {"val_loss": min(trained.val_losses, default=np.nan)}


def optuna_tpe(setting: Setting, budget: int) -> Answer:
    """Optuna's TPE with a MedianPruner over a blind prior, until the budget is spent."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    network, before = setting.network, setting.network.examples

    def objective(trial: optuna.Trial) -> float:
        scheme = trial.suggest_categorical("scheme", SCHEMES)
        rates = setting.curve(scheme, trial.suggest_float("initial_lr", LOW, HIGH, log=True))

        def prune(epoch: int, val_loss: float) -> bool:
            trial.report(val_loss, epoch)
            return bool(trial.should_prune())

        seed = setting.trial_seed(trial.number)
        trained = network.train(rates, seed, validations=setting.epochs, stop=prune)
        if not trained.diverged and len(trained.val_losses) < setting.epochs:
            raise optuna.TrialPruned
        return trained.final if np.isfinite(trained.final) else np.nan  # which Optuna takes for a failed trial

    study = optuna.create_study(
        sampler=optuna.samplers.TPESampler(seed=setting.repeat), pruner=optuna.pruners.MedianPruner()
    )
    while network.examples < before + budget:
        study.optimize(objective, n_trials=1)
    spent = network.examples - before
    if not study.get_trials(states=(optuna.trial.TrialState.COMPLETE,)):
        return Answer("constant", None, {}, spent)
    return Answer(study.best_params["scheme"], study.best_params["initial_lr"], {}, spent)


METHODS: dict[str, Callable[[Setting, int], Answer]] = {
    "ours": ours,
    "ours, lowest mean": ours_lowest_mean,
    "KerasTuner Hyperband": hyperband,
    "Optuna TPE": optuna_tpe,
    "range test, constant rate": range_test,
    "range test refined, cosine": refined_range_test,
}
"""By the names in the report; ours first, since what it spends is the budget of the others."""


def _sweep(network: Network) -> our_search.Sweep:
    return lambda rates, seed: np.array(network.train(rates, seed, validations=0).losses, np.float32)


def _evaluate(network: Network) -> Callable[[Evaluation], Outcome]:
    def evaluate(evaluation: Evaluation) -> Outcome:
        rates = evaluation.curve(network.steps_per_epoch)
        trained = network.train(rates, evaluation.seed, optimizer=evaluation.optimizer)
        epochs = len(trained.losses) / network.steps_per_epoch
        diverged = "" if np.isfinite(trained.final) else "diverged"
        return Outcome(trained.final, trained.final, None, 0.0, epochs, trained.examples, diverged)

    return evaluate

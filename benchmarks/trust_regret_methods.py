"""The searches whose regret is measured: what each answers to a problem, and how many examples it trains on for that.

Samplers, brackets and pruners are the libraries' own; only the training is that of `trust_regret_network`. KerasTuner
is driven by overriding `Tuner.run_trial`, its documented way to tune anything: a later rung goes on from the weights of
the best epoch of the rung before, while the optimizer and with it the schedule begin anew, as in its own `run_trial`.
"""

import contextlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray

from benchmarks.search_tools import HIGH, LOW, SCHEMES, WITHOUT_END, find, sweeps
from benchmarks.trust_regret_network import Network, Weights
from pipeline import range_test, schedules
from pipeline.config import REFINE_OFF, SearchOptions
from pipeline.results import SearchResult
from pipeline.schedules import Value

_PEERS_SEED, _PER_REPEAT = 1_000_000, 1_000

Params = dict[str, Value]


@dataclass(frozen=True)
class Answer:
    """What to train with, without a rate where the method gave none, and the examples that were trained on."""

    scheme: str
    initial_lr: float | None
    params: Params
    examples: int


@dataclass(frozen=True)
class Setting:
    """A problem's network, batch size and full budget in epochs, and the number of the repeat."""

    network: Network
    batch_size: int
    epochs: int
    repeat: int

    def curve(self, scheme: str, initial_lr: float, params: Params | None = None) -> NDArray[np.float64]:
        """Return the rates of a whole training."""
        per_epoch = self.network.steps_per_epoch
        steps = self.epochs * per_epoch
        return schedules.curve(scheme, steps=steps, steps_per_epoch=per_epoch, initial_lr=initial_lr, params=params)

    def trial_seed(self, number: int) -> int:
        """Return the seed of a peer's trial, which gives it a fresh model."""
        return _PEERS_SEED + _PER_REPEAT * self.repeat + number

    def options(self, **others: Any) -> SearchOptions:
        """Return the defaults of our search, which adds tens of thousands to the seed for trials and confirmation."""
        own = {"seed": 100 * self.repeat, "epochs": self.epochs, "batch_size": self.batch_size}
        return SearchOptions.model_validate({**own, **others})


def ours(setting: Setting, budget: int) -> Answer:
    """Answer with range test and search and their default options; what they cost is the budget of the others."""
    result, spent = _searched(setting)
    return Answer(result.winner.scheme, result.winner.initial_lr, result.winner.params, spent)


def ours_lowest_mean(setting: Setting, budget: int) -> Answer:
    """Answer with the finalist of lowest mean, even where it is tied with one whose basin is wider."""
    result, spent = _searched(setting)
    best = next(row for row in result.leaderboard if row.basin is not None)
    return Answer(best.scheme, best.initial_lr, best.params, spent)


def _searched(setting: Setting) -> tuple[SearchResult, int]:
    network, before = setting.network, setting.network.examples
    result = find(setting.options(), network.steps_per_epoch, network.ask)
    return result, network.examples - before


def swept_rate(setting: Setting, budget: int) -> Answer:
    """Answer with the rate that the sweeps of a range test suggest, kept constant."""
    return _range_tested(setting, "constant", REFINE_OFF)


def refined_rate(setting: Setting, budget: int) -> Answer:
    """Answer with the rate that a range test suggests after its refinement, and the scheme of that."""
    scheme = "cosine"
    return _range_tested(setting, scheme, scheme)


def _range_tested(setting: Setting, scheme: str, refine: str) -> Answer:
    network, before = setting.network, setting.network.examples
    plan = sweeps(setting.options(refine=refine), network.steps_per_epoch)
    found = range_test.conduct(plan, network.ask).result
    return Answer(scheme, found.suggested_lr, {}, network.examples - before)


def hyperband(setting: Setting, budget: int) -> Answer:
    """Answer with KerasTuner's Hyperband over a blind prior, run again and again until the budget is spent."""
    import keras_tuner

    network, before, weights = setting.network, setting.network.examples, dict[str, Weights]()

    class BudgetSpentError(keras_tuner.errors.FatalError):  # type: ignore[misc]
        """What ends a search; KerasTuner takes other errors for a failed trial."""

    class Hyperband(keras_tuner.Hyperband):  # type: ignore[misc]
        def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> dict[str, float]:
            """Train one rung of one configuration; the best of its epochs counts, as with a History."""
            if network.examples >= before + budget:
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
        best = tuner.get_best_hyperparameters(1)
    spent = network.examples - before
    return Answer(best[0]["scheme"], best[0]["initial_lr"], {}, spent) if best else Answer("constant", None, {}, spent)


def _rung(setting: Setting, trial: Any, weights: dict[str, Weights]) -> dict[str, float]:
    """Train one rung from the weights of the one before; `weights` holds the best of each trial."""
    network, values = setting.network, trial.hyperparameters.values
    epochs = values["tuner/epochs"] - values["tuner/initial_epoch"]
    rates = setting.curve(values["scheme"], values["initial_lr"])[: epochs * network.steps_per_epoch]
    start = weights.get(values.get("tuner/trial_id", ""))
    trained = network.train(rates, setting.trial_seed(int(trial.trial_id)), validations=epochs, start=start)
    weights[trial.trial_id] = trained.best
    return {"val_loss": min(trained.val_losses, default=np.nan)}


def optuna_tpe(setting: Setting, budget: int) -> Answer:
    """Answer with Optuna's TPE and MedianPruner over a blind prior, run until the budget is spent."""
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
    "range test, constant rate": swept_rate,
    "range test refined, cosine": refined_rate,
}
"""By the names in the report; ours first, since what it spends is the budget of the others."""

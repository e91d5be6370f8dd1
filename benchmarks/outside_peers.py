"""Racing by other tools over the candidates of a table: Optuna's WilcoxonPruner and SMAC's intensifier."""

import contextlib
import logging
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Choice = tuple[int, int]
"""The position of the chosen candidate, and the trainings that it cost."""


def wilcoxon(losses: Floats, rng: np.random.Generator) -> Choice:
    """Race the candidates by Optuna's WilcoxonPruner with its defaults: in random order, each on one run after another.

    The answer is the trial with the lowest mean of those that were not pruned. `losses` is of shape (candidates, runs).
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    study = optuna.create_study(pruner=optuna.pruners.WilcoxonPruner(p_threshold=0.1))
    spent, finished = 0, {}
    for at in rng.permutation(len(losses)):
        trial = study.ask()
        for run, loss in enumerate(losses[at]):
            trial.report(float(loss), run)
            spent += 1
            if trial.should_prune():
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                break
        else:
            finished[int(at)] = float(losses[at].mean())
            study.tell(trial, finished[int(at)])
    return min(finished, key=finished.__getitem__), spent


def smac(losses: Floats, shape: tuple[int, int], seed: int) -> Choice:
    """Search and race with SMAC3's HyperparameterOptimizationFacade until nothing is left to try.

    `losses` is of shape (candidates, runs); `shape` says how the candidates are laid out, as (schemes, rates): a
    categorical choice and an ordered one. SMAC sees their logarithms, and may spend all runs on a candidate.
    """
    from ConfigSpace import Categorical, ConfigurationSpace, Integer
    from smac import HyperparameterOptimizationFacade, Scenario
    from smac.main.exceptions import ConfigurationSpaceExhaustedException
    from smac.runhistory import TrialValue

    logging.disable(logging.CRITICAL)
    space = ConfigurationSpace(seed=seed)
    space.add(Integer("rate", (0, shape[1] - 1)))
    if shape[0] > 1:
        space.add(Categorical("scheme", list(range(shape[0]))))
    runs: dict[int, int] = {}
    spent = 0
    with tempfile.TemporaryDirectory() as folder:
        scenario = Scenario(space, n_trials=losses.size, seed=seed, output_directory=Path(folder))
        intensifier = HyperparameterOptimizationFacade.get_intensifier(scenario, max_config_calls=losses.shape[1])
        facade = HyperparameterOptimizationFacade(
            scenario, lambda config, seed=0: 0.0, intensifier=intensifier, logging_level=logging.CRITICAL
        )
        with contextlib.suppress(ConfigurationSpaceExhaustedException):
            while spent < losses.size:
                asked = facade.ask()
                run = runs.setdefault(asked.seed, len(runs) % losses.shape[1])
                facade.tell(asked, TrialValue(cost=float(np.log(losses[_position(asked.config, shape), run]))))
                spent += 1
        return _position(facade.intensifier.get_incumbent(), shape), spent


def _position(config: Mapping[str, Any], shape: tuple[int, int]) -> int:
    return int(config.get("scheme", 0)) * shape[1] + int(config["rate"])

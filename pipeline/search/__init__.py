"""The search: Optuna proposes, the caller trains, paired seeds decide.

Knows nothing of Keras or MLflow. Trials, from compressed budgets up to the full one, choose a finalist for each scheme
(`allocation`); the best finalists and the constant-rate baselines are then trained in full on seeds that no trial saw.
"""

from pipeline.search.basins import BASIN_RUNS
from pipeline.search.conducting import conduct
from pipeline.search.confirmation import BASELINES
from pipeline.search.plan import CONFIRM_SEED, Evaluate, Outcome, Plan, Trial, budgets
from pipeline.search.transfer import FACTORS

__all__ = [
    "BASELINES",
    "BASIN_RUNS",
    "CONFIRM_SEED",
    "FACTORS",
    "Evaluate",
    "Outcome",
    "Plan",
    "Trial",
    "budgets",
    "conduct",
]

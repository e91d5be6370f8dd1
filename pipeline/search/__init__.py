"""The search: Optuna proposes, the caller trains, and comparisons on paired seeds decide.

It knows neither Keras nor MLflow. Trials, at compressed budgets and at the full one, find the best candidate of each
scheme (`allocation`). The best of these and the constant-rate baselines are then trained in full on seeds that no trial
has used (`confirmation`).
"""

from pipeline.search.choice import BASIN_RUNS
from pipeline.search.conducting import FACTORS, conduct
from pipeline.search.confirmation import BASELINES
from pipeline.search.plan import CONFIRM_SEED, Evaluate, Outcome, Plan, Trial, budgets

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

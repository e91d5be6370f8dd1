"""The search: a surface fitted to all trainings and Optuna propose, the caller trains, paired seeds decide.

It knows neither Keras nor MLflow. `plan` divides a budget of full trainings. Trials find the rate and the best schemes
(`allocation`), using all trainings together (`surface`). The best schemes are then trained beside the best constant
rate and what people use without a search, on seeds that no trial has used (`confirmation`).
"""

from pipeline.search.candidates import candidate, same_setting
from pipeline.search.conducting import FACTORS, Interrupted, conduct
from pipeline.search.other_batches import MOST_TRAININGS
from pipeline.search.plan import BATCH_SEED, CONFIRM_SEED, Evaluate, Outcome, Plan, Trial, planned
from pipeline.search.standing import Watched

__all__ = [
    "BATCH_SEED",
    "CONFIRM_SEED",
    "FACTORS",
    "MOST_TRAININGS",
    "Evaluate",
    "Interrupted",
    "Outcome",
    "Plan",
    "Trial",
    "Watched",
    "candidate",
    "conduct",
    "planned",
    "same_setting",
]

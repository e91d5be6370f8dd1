"""MLflow: the only package that logs."""

from pipeline.tracking.store import Finished, StageRun, Store
from pipeline.tracking.training_log import Label, TrainingLog

__all__ = ["Finished", "Label", "StageRun", "Store", "TrainingLog"]

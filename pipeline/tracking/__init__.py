"""MLflow: the only package that logs."""

from pipeline.tracking.store import Finished, StageRun, Store
from pipeline.tracking.trainings import TrainingLog

__all__ = ["Finished", "StageRun", "Store", "TrainingLog"]

"""How a process gets at the tracking store, and at the experiment that its runs belong to."""

import mlflow
from mlflow.tracking import MlflowClient


def open_store() -> MlflowClient:
    """Open MLflow's tracking store."""
    return MlflowClient()


def enter_experiment(name: str) -> None:
    """Let runs that are begun from now on belong to an experiment, which is made where there is none."""
    mlflow.set_experiment(name)
    mlflow.set_experiment_tag("mlflow.experimentKind", "custom_model_development")  # else the UI expects prompts

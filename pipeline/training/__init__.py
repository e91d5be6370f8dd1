"""The training engine on Keras' own `fit`, and the executor that answers evaluations with it."""

import keras

if keras.config.backend() != "tensorflow":
    raise ImportError(
        f"trainings need Keras on TensorFlow: received the backend {keras.config.backend()!r}; "
        "accepted: KERAS_BACKEND=tensorflow in the environment before Keras is imported"
    )

from pipeline.training.checkpoints import Checkpoints
from pipeline.training.engine import Trainer, engine
from pipeline.training.executor import InProcess, Problem
from pipeline.training.losses import single_outputs, to_probabilities
from pipeline.training.setting_up import executor_for, fitted

__all__ = [
    "Checkpoints",
    "InProcess",
    "Problem",
    "Trainer",
    "engine",
    "executor_for",
    "fitted",
    "single_outputs",
    "to_probabilities",
]

"""The training engine on Keras' own `fit`, and the executor that answers evaluations with it."""

from pipeline.training.engine import Trainer, engine
from pipeline.training.executor import InProcess, Problem

__all__ = ["InProcess", "Problem", "Trainer", "engine"]

"""The training engine, on Keras' own `fit`."""

from pipeline.training.engine import Trainer

__all__ = ["Trainer"]

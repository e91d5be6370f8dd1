"""How every stage that trains sets up the engine."""

import logging

import numpy as np

from pipeline.config import RangeTestOptions
from pipeline.datasets import Splits, input_shape
from pipeline.models import builder
from pipeline.objective import VAL_LOSS, Objective
from pipeline.training import Trainer


def trainer(options: RangeTestOptions, splits: Splits, optimizer: str, batch_size: int) -> Trainer:
    """The engine for the user's network and data with one optimizer and batch size."""
    logging.getLogger("tensorflow").addFilter(_worth_saying)
    return Trainer(
        builder(options.model, input_shape(splits.x_train), splits.num_outputs, splits.task),
        splits,
        optimizer=optimizer,
        momentum=options.momentum,
        batch_size=batch_size,
        precision=options.precision,
    )


def require_metric(engine: Trainer, objective: Objective) -> None:
    """Raise InputError, before any training at length, where the network has no such metric: one update tells."""
    if objective.metric != VAL_LOSS.metric:
        engine.train(np.zeros(1), 0, validations=1).loss_by(objective)


def _worth_saying(record: logging.LogRecord) -> bool:
    """Each engine traces a program of its own, once. TensorFlow takes several for one that is traced again."""
    return "triggered tf.function retracing" not in record.getMessage()

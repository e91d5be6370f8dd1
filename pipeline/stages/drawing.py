"""From what the engine and the store hold to what the figures draw."""

import numpy as np
from matplotlib.figure import Figure

from pipeline.evaluation import Evaluation, Training
from pipeline.reporting import figures


def drawn(evaluation: Evaluation, training: Training, role: figures.Role, name: str | None = None) -> figures.Training:
    """A training as the figures want it; `name` where it is known by another than its own."""
    return figures.Training(
        name=name or evaluation.name,
        scheme=evaluation.scheme,
        seed=evaluation.seed,
        role=role,
        lr=training.rates.astype(np.float64),
        batch_loss=training.losses.astype(np.float64),
        history=training.history,
        steps_per_epoch=training.steps_per_epoch,
    )


def draw_training(evaluation: Evaluation, training: Training) -> Figure:
    """The `lr_curve.png` of a training run."""
    return figures.lr_curve(drawn(evaluation, training, "trial"))

"""From what the engine and the store hold to what the figures draw."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from pipeline.evaluation import Evaluation, Training
from pipeline.reporting import figures
from pipeline.reporting.contents import Sweep


def drawn(evaluation: Evaluation, training: Training, role: figures.Role, name: str | None = None) -> figures.Training:
    """A training as the figures want it; `name` where it is known by another than its own."""
    return figures.Training(
        name=name or evaluation.name,
        scheme=evaluation.candidate.scheme,
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


def read_sweep(folder: Path) -> Sweep:
    """Read the curves of a range test from its `range_test.csv`."""
    frame = pd.read_csv(folder / "range_test.csv")
    return Sweep(
        rates=frame["lr"].to_numpy(np.float64),
        losses=frame.filter(like="loss_seed_").to_numpy(np.float64).T,
        median=frame["median"].to_numpy(np.float64),
        band_low=frame["band_low"].to_numpy(np.float64),
        band_high=frame["band_high"].to_numpy(np.float64),
    )

"""What the report's figures show, in words, for those who do not see them."""

from collections.abc import Sequence

import numpy as np

from pipeline.objective import Objective
from pipeline.predictions import Predictions
from pipeline.reporting import wording
from pipeline.reporting.report_inputs import Entry, Sweep
from pipeline.reporting.training_figures import NamedTraining
from pipeline.results import Basin, RangeTestResult, Refinement


def range_test(sweep: Sweep, result: RangeTestResult) -> str:
    """Say at which rate the loss is lowest, and what was made of it."""
    said = "Training loss against learning rate in the range test"
    if np.isfinite(sweep.median).any():
        lowest = int(np.nanargmin(sweep.median))
        said += f": it is lowest, {wording.loss(sweep.median[lowest])}, at {wording.number(sweep.rates[lowest])}"
    if result.suggested_lr is not None:
        said += f"; {wording.number(result.suggested_lr)} is suggested"
    if result.divergence_lr is not None:
        said += f", and from {wording.number(result.divergence_lr)} on training diverges"
    return said


def refinement(found: Refinement) -> str:
    """Say which of the trainings was the best."""
    longest = max(one.share for one in found.tried)
    best = min((one for one in found.tried if one.share == longest), key=lambda one: one.val_loss)
    what = "Validation loss against initial learning rate of the trainings that refined the range test"
    return f"{what}: of the longest, the lowest is {wording.loss(best.val_loss)}, at {wording.number(best.lr)}"


def lr_curves(compared: Sequence[NamedTraining]) -> str:
    """Say from where to where the winner's rate goes."""
    what = "Learning rate against epochs of the winner, the finalists and the baselines"
    rates = next((one.training.rates for one in compared if one.role == "winner"), None)
    if rates is None:
        return what
    ends = " to ".join(wording.number(float(rate)) for rate in (rates[0], rates[-1]))
    return f"{what}: the winner's goes from {ends}, and is {wording.number(float(rates.max()))} at most"


def loss_curves(compared: Sequence[NamedTraining]) -> str:
    """Say with what the winner's trainings end."""
    what = "Training and validation loss per epoch of the winner, the finalists and the baselines"
    ends = {
        name: [one.training.final(name) for one in compared if one.role == "winner"] for name in ("loss", "val_loss")
    }
    means = [wording.loss(float(np.mean(known))) for known in map(_known, ends.values()) if known]
    return f"{what}: the winner's end at {wording.listed(means)}, means over seeds" if means else what


def _known(values: Sequence[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def leaderboard(board: Sequence[Entry], objective: Objective) -> str:
    """Say which candidate has the best mean."""
    what = f"Mean {objective.label} of each finalist and baseline with its interval, as in the table that follows"
    return f"{what}: the best is {board[0].label}, with {wording.loss(board[0].row.objective.mean)}"


def basins(basin: Basin, objective: Objective) -> str:
    """Say how far the winner's basin reaches."""
    what = f"The {objective.label} against initial learning rate of each finalist, with the noise as a band"
    return f"{what}: the winner's is within noise of the best at {wording.basin(basin)}"


def predictions(found: Predictions) -> str:
    """Say how far the predictions are from the truth."""
    of = f" of {found.output}" if found.output else ""
    errors = wording.listed([wording.number(one.mean_absolute_error, 4) for one in found.values])
    return f"Predicted against true values{of} for test examples, and their residuals: mean absolute error {errors}"

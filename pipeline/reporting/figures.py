"""Every figure of the project. Each function returns a matplotlib `Figure` and draws on nothing but it.

`width` is in inches; `style.NARROW` lays a figure out for a phone. `marks` fixes the colour and marker of each scheme,
so that several figures agree; without it a figure chooses its own.
"""

from pipeline.reporting.basin_figure import basins
from pipeline.reporting.curves import Role, Training, loss_curves, lr_curve, lr_curves
from pipeline.reporting.refinement_figure import refinement
from pipeline.reporting.search_figures import leaderboard, trials
from pipeline.reporting.style import PALETTE
from pipeline.reporting.sweep_figure import range_test

__all__ = [
    "PALETTE",
    "Role",
    "Training",
    "basins",
    "leaderboard",
    "loss_curves",
    "lr_curve",
    "lr_curves",
    "range_test",
    "refinement",
    "trials",
]

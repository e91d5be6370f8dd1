"""From a range test's artifacts back to the curves that figures draw."""

from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.reporting.report_inputs import Sweep


def read_sweep(folder: Path) -> Sweep:
    """The curves in `range_test.csv`."""
    frame = pd.read_csv(folder / "range_test.csv")
    return Sweep(
        rates=frame["lr"].to_numpy(np.float64),
        losses=frame.filter(like="loss_seed_").to_numpy(np.float64).T,
        median=frame["median"].to_numpy(np.float64),
        band_low=frame["band_low"].to_numpy(np.float64),
        band_high=frame["band_high"].to_numpy(np.float64),
    )

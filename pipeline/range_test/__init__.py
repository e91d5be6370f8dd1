"""Learning-rate range tests: sweeps of growing rates, a rate and an interval read off them, refined by trainings.

`range_test` runs one on a compiled Keras model of your own. Everything else here needs NumPy only: `conduct` asks for
sweeps and trainings, `explore` chooses what to sweep, `analyse` reads the losses, `refine` lets trainings decide.
"""

from typing import TYPE_CHECKING, Any

from pipeline.range_test.analysis import Analysis, analyse
from pipeline.range_test.conducting import Conducted, Sweeps, conduct
from pipeline.range_test.exploration import BOUNDS, Exploration, bounds, explore, updates_for
from pipeline.range_test.refinement import refine, short_share, starting_rate

if TYPE_CHECKING:
    from pipeline.range_test.model import RangeTest, range_test

__all__ = [
    "BOUNDS",
    "Analysis",
    "Conducted",
    "Exploration",
    "RangeTest",
    "Sweeps",
    "analyse",
    "bounds",
    "conduct",
    "explore",
    "range_test",
    "refine",
    "short_share",
    "starting_rate",
    "updates_for",
]


def __getattr__(name: str) -> Any:
    """Load what needs Keras and matplotlib where it is asked for."""
    if name not in ("RangeTest", "range_test"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from pipeline.range_test import model

    return getattr(model, name)

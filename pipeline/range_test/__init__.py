"""Learning-rate range tests: sweeps of growing rates, a rate and an interval read off them, refined by trainings.

`range_test` runs one on a compiled Keras model of your own. `conduct` asks for sweeps and trainings, `explore` chooses
what to sweep, `analyse` reads the losses, `refine` lets trainings decide; `explore` and `analyse` need NumPy only.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from pipeline.range_test.analysis import Analysis, analyse
from pipeline.range_test.exploration import BOUNDS, Exploration, bounds, explore, updates_for

if TYPE_CHECKING:
    from pipeline.range_test.conducting import Conducted, Sweeps, conduct, not_swept, planned
    from pipeline.range_test.model import RangeTest, range_test
    from pipeline.range_test.refinement import refine, short_share, starting_rate

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
    "not_swept",
    "planned",
    "range_test",
    "refine",
    "short_share",
    "starting_rate",
    "updates_for",
]

_LOADED_ON_USE = {
    "Conducted": "conducting",
    "Sweeps": "conducting",
    "conduct": "conducting",
    "not_swept": "conducting",
    "planned": "conducting",
    "RangeTest": "model",
    "range_test": "model",
    "refine": "refinement",
    "short_share": "refinement",
    "starting_rate": "refinement",
}
"""Modules that need pydantic, and `model`, which needs Keras and matplotlib too."""


def __getattr__(name: str) -> Any:
    """Import names that need more than NumPy on first use."""
    if name not in _LOADED_ON_USE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LOADED_ON_USE[name]}"), name)

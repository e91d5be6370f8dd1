"""Learning-rate range tests: from curves of loss against rate to a suggestion, an interval and a verdict.

NumPy only. `sweep` gives the rates to train with, `analyse` reads the losses they led to; `explore` does both with
bounds that suit the optimizer, and again more widely where the answer lies at an edge.
"""

from pipeline.range_analysis.analysis import Analysis, analyse
from pipeline.range_analysis.curves import smooth, sweep
from pipeline.range_analysis.exploration import Exploration, bounds, explore, updates_for
from pipeline.range_analysis.methods import METHODS, consensus, minimum, slide, steep, valley

__all__ = [
    "METHODS",
    "Analysis",
    "Exploration",
    "analyse",
    "bounds",
    "consensus",
    "explore",
    "minimum",
    "slide",
    "smooth",
    "steep",
    "sweep",
    "updates_for",
    "valley",
]

"""Learning-rate range tests: from curves of loss against rate to a suggestion, an interval and a verdict.

NumPy only. `sweep` gives the rates to train with, `analyse` reads the losses they led to.
"""

from pipeline.range_analysis.analysis import Analysis, analyse
from pipeline.range_analysis.curves import smooth, sweep
from pipeline.range_analysis.methods import METHODS, consensus, minimum, slide, steep, valley

__all__ = ["METHODS", "Analysis", "analyse", "consensus", "minimum", "slide", "smooth", "steep", "sweep", "valley"]

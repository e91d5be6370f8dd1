"""Learning-rate curves: one rate per optimizer update, computed in full before the training.

`SCHEMES` is the table of the schemes, `curve` computes one. Needs NumPy only. The conventions are in docs/schedules.md.
"""

from pipeline.schedules.curves import Part, Spacing, curve, join, rewriter, sweep, validate, warmup
from pipeline.schedules.export import keras_source, torch_source
from pipeline.schedules.parameters import Choice, Float, Int, Parameter, Value, format_params, parse_params
from pipeline.schedules.scheme import COMMON, Scheme
from pipeline.schedules.table import ARTICLE_FORMS, SCHEMES
from pipeline.schedules.timeline import Array

__all__ = [
    "ARTICLE_FORMS",
    "COMMON",
    "SCHEMES",
    "Array",
    "Choice",
    "Float",
    "Int",
    "Parameter",
    "Part",
    "Scheme",
    "Spacing",
    "Value",
    "curve",
    "format_params",
    "join",
    "keras_source",
    "parse_params",
    "rewriter",
    "sweep",
    "torch_source",
    "validate",
    "warmup",
]

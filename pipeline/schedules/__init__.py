"""Learning-rate curves: one rate per optimizer update, computed in full before the training.

`SCHEMES` is the table of the schemes, `curve` computes one. Needs NumPy only. The conventions are in docs/schedules.md.
"""

from pipeline.schedules.articles import ARTICLE_FORMS
from pipeline.schedules.curves import Part, Spacing, curve, join, rewriter, sweep, warmup
from pipeline.schedules.export import keras_source, torch_source
from pipeline.schedules.parameters import Choice, Float, Int, Parameter, Value
from pipeline.schedules.scheme import Scheme
from pipeline.schedules.table import SCHEMES
from pipeline.schedules.text import format_params, parse_params
from pipeline.schedules.timeline import Array
from pipeline.schedules.validation import validate
from pipeline.schedules.vocabulary import COMMON

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

"""The options of every stage: names, types, defaults and limits. The only place that validates options.

A stage's options extend those of the stage before it: a stage that is started alone must be able to find or run
the stages it depends on.
"""

from pipeline.config.common import RUN_CONTROL, CommandOptions, Options, validated
from pipeline.config.layers import Layered, LayerOptions, layered, parameter_default, typed
from pipeline.config.search import (
    MainOptions,
    ReportOptions,
    ReproduceOptions,
    SamplerName,
    SearchOptions,
    TrainOptions,
)
from pipeline.config.training import (
    LARGEST_BATCH,
    MODELS,
    REFINE_OFF,
    BatchNorm,
    OptimizerName,
    Precision,
    PrepareOptions,
    RangeTestOptions,
)

__all__ = [
    "LARGEST_BATCH",
    "MODELS",
    "REFINE_OFF",
    "RUN_CONTROL",
    "BatchNorm",
    "CommandOptions",
    "LayerOptions",
    "Layered",
    "MainOptions",
    "OptimizerName",
    "Options",
    "Precision",
    "PrepareOptions",
    "RangeTestOptions",
    "ReportOptions",
    "ReproduceOptions",
    "SamplerName",
    "SearchOptions",
    "TrainOptions",
    "layered",
    "parameter_default",
    "typed",
    "validated",
]

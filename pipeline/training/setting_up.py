"""The executor for the network and the data that a command's options name."""

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import numpy as np

from pipeline.config import RangeTestOptions, SearchOptions
from pipeline.datasets import (
    InputShape,
    Splits,
    input_shape,
    text_inputs,
    with_balanced_classes,
    with_scaled_labels,
)
from pipeline.errors import InputError, refusal
from pipeline.models import Builder, builder
from pipeline.optimizers import estimates_step_size
from pipeline.schedules import parse_params
from pipeline.training.executor import InProcess, Problem

_CHANNEL = 3
"""The axis of images after those of examples, height and width."""


def executor_for(options: RangeTestOptions, splits: Splits, build: Builder | None = None) -> InProcess:
    """Return an executor for the network that `build` builds, or else the options name, on these data.

    Raises:
        InputError: if the network scales the rates of layers, and one of the optimizers cannot.

    """
    logging.getLogger("tensorflow").addFilter(_is_no_false_alarm)
    if options.scale_labels:
        splits = with_scaled_labels(splits)
    if options.class_weight == "balanced":
        splits = with_balanced_classes(splits)
    if build is None:
        wanted, arguments = (splits.num_outputs, splits.task), parse_params(options.model_args)
        texts, outputs = text_inputs(splits.x_train), splits.outputs
        splits, build = fitted(splits, lambda shape: builder(options.model, shape, *wanted, arguments, texts, outputs))
    executor = InProcess(Problem(build, splits, options.momentum, options.precision, options.batch_norm == "auto"))
    rivals = options.rival_candidates if isinstance(options, SearchOptions) else ()
    for optimizer in (*options.optimizers, *(rival.optimizer for rival in rivals)):
        if estimates_step_size(optimizer) and executor.lr_multipliers:
            received = f"{optimizer} for a model with lr_multipliers"
            raise refusal("optimizer", received, "others, as it estimates one step size for all weights")
    return executor


def fitted(splits: Splits, builder_for: Callable[[InputShape], Builder]) -> tuple[Splits, Builder]:
    """Return the data as a network takes them, and the function that builds it.

    Sequences [time, features] look like grey images, and have got a channel. They lose it for a network that cannot be
    built with it, but without.
    """
    x, build = splits.x_train, builder_for(input_shape(splits.x_train))
    if not isinstance(x, np.ndarray) or x.dtype != np.float32 or x.shape[_CHANNEL:] != (1,):
        return splits, build
    try:
        build()
    except InputError:
        without = builder_for(x.shape[1:_CHANNEL])
        with suppress(InputError):
            without()
            parts = {name: getattr(splits, name)[..., 0] for name in ("x_train", "x_val", "x_test")}
            return replace(splits, **parts), without
    return splits, build


def _is_no_false_alarm(record: logging.LogRecord) -> bool:
    """Filter out a warning: each engine traces its own program once, which TensorFlow takes for retracing."""
    return "triggered tf.function retracing" not in record.getMessage()

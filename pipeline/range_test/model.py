"""A learning-rate range test of your own compiled Keras model, which is left exactly as it was.

from pipeline.range_test import range_test

result = range_test(model, (x, y), seeds=3)
print(result.suggested_lr, result.lr_low, result.lr_high, result.reason)
result.figure().savefig("range_test.png")
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import keras
import numpy as np
from matplotlib.figure import Figure

from pipeline import schedules
from pipeline.config import BatchNorm
from pipeline.errors import InputError
from pipeline.evaluation import Training
from pipeline.optimizers import name_of, unwrapped
from pipeline.range_test.analysis import Analysis
from pipeline.range_test.conducting import Sweeps, conduct
from pipeline.range_test.exploration import WIDENINGS, bounds, updates_for
from pipeline.reporting import range_test_figures
from pipeline.results import RangeTestResult
from pipeline.schedules import Array, Spacing
from pipeline.training.own_model import OwnModel, batch_length, knows_length, model_kept
from pipeline.usages import usage


@dataclass(frozen=True)
class RangeTest:
    """The result of a range test, and the curves that it was read from.

    `rates` is float64[updates]. `losses` and `val_losses` are float64[seeds, updates]: each update's true batch loss
    with regularisation, NaN after divergence, and the loss on the validation sample, NaN where it was not measured.
    `summary.updates` counts the optimizer updates of all sweeps.
    """

    summary: RangeTestResult
    analysis: Analysis = field(repr=False)
    rates: Array = field(repr=False)
    losses: Array = field(repr=False)
    val_losses: Array = field(repr=False)

    @property
    def verdict(self) -> Literal["ok", "refused"]:
        """Whether there is an answer ("ok") or not ("refused")."""
        return self.summary.verdict

    @property
    def reason(self) -> str:
        """What was seen, or why there is no answer."""
        return self.summary.reason

    @property
    def suggested_lr(self) -> float | None:
        """A rate to start with; None where the verdict is "refused"."""
        return self.summary.suggested_lr

    @property
    def lr_low(self) -> float | None:
        """The lowest rate worth trying; None where the verdict is "refused"."""
        return self.summary.lr_low

    @property
    def lr_high(self) -> float | None:
        """The highest rate worth trying; None where the verdict is "refused"."""
        return self.summary.lr_high

    @property
    def suggestions(self) -> dict[str, float]:
        """The rate that each method of reading the curve suggests."""
        return self.summary.suggestions

    def figure(self) -> Figure:
        """Draw loss against rate: every seed, their median and band, the suggestions, the interval and divergence."""
        return range_test_figures.range_test(
            self.rates,
            self.losses,
            self.summary,
            median=self.analysis.median,
            band_low=self.analysis.band_low,
            band_high=self.analysis.band_high,
        )


def range_test(
    model: keras.Model,
    data: Any,
    *,
    validation_data: Any = None,
    seeds: int | Sequence[int] = 3,
    batch_size: int = 32,
    lr_min: float | None = None,
    lr_max: float | None = None,
    updates: int | None = None,
    spacing: Spacing = "exponential",
    epochs: int | None = None,
    refine: str | None = None,
    reinitialize: bool = False,
    batch_norm: BatchNorm = "auto",
    widenings: int = WIDENINGS,
) -> RangeTest:
    """Train `model` on `data` with a growing rate, once for each seed, and read a rate and an interval off the losses.

    Every sweep starts from the model's weights with a fresh optimizer of the model's settings. Afterwards the model,
    its optimizer and the random states of Python, NumPy and TensorFlow's global generator are as they were, also where
    an exception or Ctrl-C ended it.

    Args:
        model: built and compiled; its loss, regularisation, gradient accumulation and loss scaling are honoured.
        data: `(x, y)` or `(x, y, sample_weight)` as arrays, or a `tf.data.Dataset` of batches of these. A data set is
            read once per sweep, which advances a seeded `shuffle` by as many passes.
        validation_data: likewise; the loss on at most 2,000 examples is measured every 10 updates.
        seeds: the seeds, or their number, counted from 0. The first is swept, the others if it gives no clear answer,
            two more if they disagree. A seed fixes data order and dropout, with `reinitialize` also the weights.
        batch_size: examples in a batch of arrays; a data set has its own.
        lr_min: lowest rate of the first sweep; default by optimizer.
        lr_max: highest rate of the first sweep; default by optimizer.
        updates: optimizer updates of a sweep; default 250, more for batches below 32.
        spacing: equal steps in log rate ("exponential") or in rate ("linear").
        epochs: length of the planned training. All sweeps of a round then take at most a tenth of its updates, but at
            least 100 each.
        refine: scheme of the planned training. The rate is then refined by trainings, short ones and two to four of
            `epochs`, judged by the loss on the validation sample. It costs more, but also suits networks that overfit.
        reinitialize: draw new weights for every seed; Sequential and functional models only.
        batch_norm: "auto" recomputes BatchNormalization's statistics on training batches where a training is too short
            for its moving averages, before its validation loss is measured; "keras" never does.
        widenings: most times to sweep again over a wider range if the answer lies at an edge.

    Raises:
        InputError: if the model is not built, not compiled, has its own `train_step` or an optimizer that a
            sweep says nothing about, or if options or data are invalid.

    """
    _check(model)
    if batch_norm not in get_args(BatchNorm):
        raise InputError(f"batch_norm: received {batch_norm!r}, expected {' or '.join(get_args(BatchNorm))}")
    chosen, (low, high) = _seeds(seeds), bounds(_optimizer_name(model))
    per_batch = batch_length(data, batch_size)
    if refine is not None:
        _check_refinement(refine, epochs, data, validation_data)
    with model_kept(model):
        own = OwnModel(
            model,
            data,
            batch_size=batch_size,
            validation_data=validation_data,
            reinitialize=reinitialize,
            recompute=batch_norm == "auto",
        )
        budget = own.steps_per_epoch * epochs if epochs and knows_length(data) else None
        plan = Sweeps(
            optimizer=_optimizer_name(model),
            batch_size=per_batch,
            seeds=chosen,
            lr_min=low if lr_min is None else lr_min,
            lr_max=high if lr_max is None else lr_max,
            updates=updates_for(per_batch * own.accumulated, budget, len(chosen)) if updates is None else updates,
            steps_per_epoch=own.steps_per_epoch,
            spacing=spacing,
            widenings=widenings,
            refine=refine,
            epochs=epochs or 0,
        )
        done = conduct(plan, own.ask)
    rates, found = done.found.rates, done.found
    val_losses = np.array([_val_losses(training, rates.size) for training in done.sweeps])
    return RangeTest(done.result, found.analysis, rates, found.losses, val_losses)


def _val_losses(training: Training, updates: int) -> Array:
    """Return the validation loss after each update, NaN where it was not measured."""
    found, every = np.full(updates, np.nan), training.validation_steps
    measured = training.history.get("val_loss", ())
    found[every - 1 : every * len(measured) : every] = measured
    return found


def _seeds(seeds: int | Sequence[int]) -> tuple[int, ...]:
    chosen = tuple(range(seeds)) if isinstance(seeds, int) else tuple(seeds)
    if not chosen or min(chosen) < 0:
        raise InputError(f"seeds: received {seeds}, expected at least one, none below 0")
    return chosen


def _check(model: keras.Model) -> None:
    if not isinstance(model, keras.Model):
        raise InputError(f"model: received {type(model).__name__}, expected a Keras model")
    if not model.built:
        raise InputError("model: received one without weights, expected a built one: call model.build(input_shape)")
    if not model.compiled or model.optimizer is None:
        raise InputError("model: received one without an optimizer, expected a compiled one")
    if type(model).train_step is not keras.Model.train_step:
        raise InputError("model: received one with its own train_step, expected Keras'; override compute_loss instead")
    if unswept := usage(name := _optimizer_name(model)).unswept:
        raise InputError(f"model: received one with {name}, expected another optimizer: {unswept}")


def _optimizer_name(model: keras.Model) -> str:
    optimizer = unwrapped(model.optimizer)
    return name_of(optimizer) or type(optimizer).__name__.lower()


def _check_refinement(scheme: str, epochs: int | None, data: Any, validation_data: Any) -> None:
    usable = [name for name, row in schedules.SCHEMES.items() if not row.reactive]
    if scheme not in usable:  # a reactive scheme would train at a constant rate here
        raise InputError(f"refine: received {scheme!r}, expected one of {', '.join(usable)}")
    if not epochs or validation_data is None or not knows_length(data):
        raise InputError("refine: needs epochs, validation_data and data of a known length")

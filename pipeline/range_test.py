"""A learning-rate range test of your own compiled Keras model, which it leaves exactly as it was.

from pipeline.range_test import range_test

result = range_test(model, (x, y), seeds=3)
print(result.suggested_lr, result.lr_low, result.lr_high, result.reason)
result.figure().savefig("range_test.png")
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pipeline import schedules
from pipeline.errors import InputError
from pipeline.range_analysis import Analysis, bounds, explore, refinement, updates_for
from pipeline.range_analysis.curves import Spacing
from pipeline.range_analysis.exploration import WIDENINGS
from pipeline.range_analysis.result import summarize, with_refinement
from pipeline.reporting import range_test_figures
from pipeline.results import RangeTestResult
from pipeline.training import sweep

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class RangeTest:
    """What a range test found, and the curves that it was read from.

    `rates` is float64[updates]. `losses` and `val_losses` are float64[seeds, updates]: each update's true batch loss
    with regularisation, NaN after divergence, and the loss on the validation sample, NaN where it was not measured.
    `summary.updates` counts the optimizer updates of all sweeps.
    """

    summary: RangeTestResult
    analysis: Analysis = field(repr=False)
    rates: Floats = field(repr=False)
    losses: Floats = field(repr=False)
    val_losses: Floats = field(repr=False)

    @property
    def verdict(self) -> Literal["ok", "refused"]:
        """Whether there is an answer."""
        return self.summary.verdict

    @property
    def reason(self) -> str:
        """What was seen, or why there is no answer, in a sentence."""
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
        """What each method of reading the curve suggests."""
        return self.summary.suggestions

    def figure(self) -> Figure:
        """Loss against rate: every seed, their median and band, the suggestions, the interval and divergence."""
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
    widenings: int = WIDENINGS,
) -> RangeTest:
    """Train `model` on `data` with a growing rate, once a seed, and read a rate and an interval off the losses.

    Every sweep starts from the model's weights with a fresh optimizer of the model's settings. Afterwards the model,
    its optimizer and the random states of Python, NumPy and TensorFlow's global generator are as they were, also where
    an exception or Ctrl-C ended it.

    Args:
        model: built and compiled; its loss, regularisation, gradient accumulation and loss scaling are honoured.
        data: `(x, y)` or `(x, y, sample_weight)` as arrays, or a `tf.data.Dataset` of batches of these. A data set is
            read once a sweep, so one with a seeded `shuffle` is that many passes on.
        validation_data: likewise; the loss on at most 2,000 examples is measured every 10 updates.
        seeds: how many, from 0, or which; two more are swept where they disagree. A seed fixes data order and dropout,
            with `reinitialize` also the weights.
        batch_size: examples in a batch of arrays; a data set has its own.
        lr_min: lowest rate of the first sweep; default by optimizer.
        lr_max: highest rate of the first sweep; default by optimizer.
        updates: optimizer updates of a sweep; default 250, more for batches below 32.
        spacing: equal steps in log rate ("exponential") or in rate ("linear").
        epochs: passes planned for the training to come. All sweeps of a round then take at most a tenth of its
            updates, as far as 100 updates a sweep allow.
        refine: name of the scheme of the training to come. Its rate is then found by trainings, short ones and two to
            four of `epochs`, by their loss on the validation sample: dearer, and right also where the network overfits.
        reinitialize: draw new weights for every seed; Sequential and functional models only.
        widenings: how often to sweep again more widely where the answer lies at an edge.

    Raises InputError where the model is not built, not compiled or trains itself in its own way, or where options or
    data make no sense.

    """
    _check(model)
    chosen = _seeds(seeds)
    started, (low, high) = time.perf_counter(), _bounds(model, lr_min, lr_max)
    batches, per_batch = _batches(data, batch_size)
    effective = per_batch * sweep.gradient_accumulation(model)
    per_epoch = sweep.updates_per_epoch(data, per_batch, effective)
    budget = per_epoch * epochs if per_epoch and epochs else None
    if refine is not None:
        _check_refinement(refine, budget, validation_data)
    if updates is None:
        updates = updates_for(effective, budget, len(chosen))
    with sweep.model_kept(model):
        validation = None if validation_data is None else sweep.sample(validation_data)
        sweeper = sweep.Sweeper(model, batches, validation=validation, reinitialize=reinitialize)
        measure = _Measure(sweeper)
        found = explore(measure, chosen, low, high, updates, spacing=spacing, widenings=widenings)
        summary = summarize(found, _optimizer_name(model), per_batch, time.perf_counter() - started)
        if refine is not None and budget and per_epoch:
            start = refinement.starting_rate(found.analysis)
            summary = _refined(summary, start, sweeper, refine, budget, per_epoch)
    val_losses = np.array([measure.val_losses[seed] for seed in found.seeds])
    return RangeTest(summary, found.analysis, found.rates, found.losses, val_losses)


class _Measure:
    """Sweeps once, and remembers each seed's validation losses of the last time."""

    def __init__(self, sweeper: sweep.Sweeper) -> None:
        self._sweeper = sweeper
        self.val_losses: dict[int, Floats] = {}

    def __call__(self, rates: Floats, seed: int) -> Floats:
        losses, self.val_losses[seed] = self._sweeper.train(rates, seed)
        return losses


def _refined(
    summary: RangeTestResult, start: float | None, sweeper: sweep.Sweeper, scheme: str, budget: int, per_epoch: int
) -> RangeTestResult:
    """Let trainings decide, where the sweep gave them a start."""
    if start is None:
        return summary
    started, spent = time.perf_counter(), 0

    def train(rate: float, seed: int, share: float) -> float:
        nonlocal spent
        steps = max(1, round(share * budget))
        lrs = schedules.curve(scheme, steps=steps, steps_per_epoch=per_epoch, initial_lr=rate)
        losses, _ = sweeper.train(lrs, seed, validate=False)
        spent += int(np.isfinite(losses).sum())
        return sweeper.validation_loss() if np.isfinite(losses).all() else np.inf

    seeds = summary.seeds[:1]
    found = refinement.refine(train, start, seeds=seeds, short=refinement.short_share(budget))
    return with_refinement(
        summary, found, scheme=scheme, start=start, seeds=seeds, updates=spent, seconds=time.perf_counter() - started
    )


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


def _bounds(model: keras.Model, lr_min: float | None, lr_max: float | None) -> tuple[float, float]:
    low, high = bounds(_optimizer_name(model))
    return low if lr_min is None else lr_min, high if lr_max is None else lr_max


def _optimizer_name(model: keras.Model) -> str:
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    return type(optimizer).__name__.lower()


def _batches(data: Any, batch_size: int) -> tuple[sweep.Batches, int]:
    """The batches, and how many examples each has."""
    if not isinstance(data, tf.data.Dataset):
        if batch_size < 1:
            raise InputError(f"batch_size: received {batch_size}, expected at least 1")
        return sweep.array_batches(data, batch_size), min(batch_size, sweep.example_count(data))
    if int(data.cardinality()) == 0:
        raise InputError("data: received a data set without batches, expected at least one")
    size = keras.tree.flatten(data.element_spec)[0].shape[0]
    return sweep.dataset_batches(data), size or batch_size


def _check_refinement(scheme: str, budget: int | None, validation_data: Any) -> None:
    if scheme not in schedules.SCHEMES:
        raise InputError(f"refine: received {scheme!r}, expected one of {', '.join(schedules.SCHEMES)}")
    if budget is None or validation_data is None:
        raise InputError("refine: needs epochs, validation_data and data of a known length")

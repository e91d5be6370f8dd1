"""A whole range test: sweeps, read and widened, then refined by trainings."""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.config import REFINE_OFF, RangeTestOptions
from pipeline.errors import refusal
from pipeline.evaluation import SWEEP, Ask, Candidate, Evaluation, Training, answers
from pipeline.range_test.exploration import BOUNDS, FOR_WIDER, WIDENINGS, Exploration, explore, updates_for
from pipeline.range_test.refinement import Ending, refine, short_share, starting_rate
from pipeline.results import RangeTestResult, Refinement
from pipeline.schedules import Array, Spacing
from pipeline.usages import usage

_START = 32
"""Examples whose median loss is that before training, as where divergence is looked for."""

_END = 10
"""The part of a training that is its end: a tenth."""


@dataclass(frozen=True)
class Sweeps:
    """The plan of a range test.

    The first of `seeds`, and the others if it gives no clear answer, sweep `updates` rates from `lr_min` to
    `lr_max`, then up to `widenings` times over a wider range, with no more updates than `most` allows `explore`.
    `refine` names the scheme of the trainings that then refine the rate, of at most `epochs` epochs; None skips them.
    """

    optimizer: str
    batch_size: int
    seeds: tuple[int, ...]
    lr_min: float
    lr_max: float
    updates: int
    steps_per_epoch: int
    spacing: Spacing = "exponential"
    widenings: int = WIDENINGS
    most: int = sys.maxsize
    refine: str | None = None
    epochs: float = 0.0

    def question(self, rates: Array, seed: int) -> Evaluation:
        """Return the evaluation of one sweep."""
        params = {"lr_max": float(rates[-1]), "spacing": self.spacing}
        candidate = Candidate(
            scheme=SWEEP,
            initial_lr=float(rates[0]),
            optimizer=self.optimizer,
            batch_size=self.batch_size,
            params=params,
        )
        return Evaluation(candidate, rates.size / self.steps_per_epoch, seed, validations=0)


_MOST = 0.5
"""The share of the budget that sweeps may take where trainings are so short that a good one takes many of them."""

_SHORTEST = 50
"""Fewest updates of such a sweep: with fewer it says nothing."""


def planned(options: RangeTestOptions, steps_per_epoch: Callable[[int], int]) -> Sweeps:
    """Return the plan of a range test for these options, which name one optimizer and one batch size.

    Args:
        options: those of the range test.
        steps_per_epoch: the updates in a pass over the training set, by batch size.

    Raises:
        InputError: if the sweep leaves less than one full training of the budget.

    """
    ((batch_size,), (low, high)) = options.batch_sizes, BOUNDS[options.optimizer]
    full = steps_per_epoch(batch_size) * options.epochs
    wanted = updates_for(batch_size, round(options.budget * full))
    most = int(min(_MOST * options.budget, (options.budget - 1) / FOR_WIDER) * full)  # one training must be left
    updates = min(wanted, max(most, _SHORTEST))
    if updates / full > options.budget - 1:
        least = f"more than {1 + updates / full:.3g}, since a sweep of {updates} updates takes {updates / full:.3g}"
        raise refusal("budget", f"{options.budget:g} trainings of {full} updates", least)
    return Sweeps(
        optimizer=options.optimizer,
        batch_size=batch_size,
        seeds=tuple(options.seed + i for i in range(options.seeds)),
        lr_min=options.lr_min or low,
        lr_max=options.lr_max or high,
        updates=updates,
        steps_per_epoch=steps_per_epoch(batch_size),
        spacing=options.spacing,
        most=most,
        refine=None if options.refine == REFINE_OFF else options.refine,
        epochs=options.epochs,
    )


def not_swept(options: RangeTestOptions) -> RangeTestResult | None:
    """Return the result for an optimizer that a sweep says nothing about, with its reason; None for any other."""
    (batch_size,), used = options.batch_sizes, usage(options.optimizer)
    if used.rates is None:
        return None
    low, first, high = used.rates
    return RangeTestResult(
        verdict="ok",
        reason=f"{options.optimizer} was not swept: {used.unswept}.",
        suggested_lr=first,
        lr_low=low,
        lr_high=high,
        suggestions={},
        seeds=(),
        optimizer=options.optimizer,
        batch_size=batch_size,
        lr_min=low,
        lr_max=high,
        updates=0,
        seconds=0.0,
    )


@dataclass(frozen=True)
class Conducted:
    """A finished range test: its result, how it was read, and the last sweep of each seed."""

    result: RangeTestResult
    found: Exploration
    sweeps: tuple[Training, ...]


def conduct(plan: Sweeps, ask: Ask) -> Conducted:
    """Sweep, over a wider range while the optimum lies at an edge, then refine the rate by trainings if planned.

    Raises:
        InputError: if the bounds or the number of updates of a sweep are invalid.

    """
    started = time.perf_counter()
    swept: dict[int, Training] = {}

    def measure(rates: Array, seeds: Sequence[int]) -> list[NDArray[np.float32]]:
        trainings = answers(ask, [plan.question(rates, seed) for seed in seeds])
        swept.update(zip(seeds, trainings, strict=True))
        return [training.losses for training in trainings]

    found = explore(
        measure,
        plan.seeds,
        plan.lr_min,
        plan.lr_max,
        plan.updates,
        spacing=plan.spacing,
        widenings=plan.widenings,
        most=plan.most,
    )
    result = summarize(found, plan, time.perf_counter() - started)
    start = starting_rate(found.analysis)
    if plan.refine is not None and start is not None:
        result = with_refinement(result, _refined(plan, plan.refine, ask, start))
    return Conducted(result, found, tuple(swept[seed] for seed in found.seeds))


def _refined(plan: Sweeps, scheme: str, ask: Ask, start: float) -> Refinement:
    started, spent = time.perf_counter(), 0

    def train(asked: Sequence[tuple[float, int, float]]) -> list[Ending]:
        nonlocal spent
        trainings = answers(ask, [_question(plan, scheme, *one) for one in asked])
        spent += sum(len(training.rates) for training in trainings)
        return [_ending(training, plan.batch_size) for training in trainings]

    short = short_share(round(plan.epochs * plan.steps_per_epoch))
    found = refine(train, start, scheme=scheme, seeds=plan.seeds[:1], short=short)
    return found.model_copy(update={"updates": spent, "seconds": time.perf_counter() - started})


def _ending(training: Training, batch_size: int) -> Ending:
    losses = training.losses
    last = np.inf if training.diverged else float(losses[-max(1, len(losses) // _END) :].mean())
    return Ending(training.val_loss, last, start_loss=float(np.median(losses[: -(-_START // batch_size)])))


def _question(plan: Sweeps, scheme: str, rate: float, seed: int, share: float) -> Evaluation:
    candidate = Candidate(
        scheme=scheme, initial_lr=rate, optimizer=plan.optimizer, batch_size=plan.batch_size, params={}
    )
    return Evaluation(candidate, share * plan.epochs, seed, validations=1)


def summarize(found: Exploration, plan: Sweeps, seconds: float) -> RangeTestResult:
    """Return the result of the sweeps: verdict and rates, without the curves."""
    analysis = found.analysis
    return RangeTestResult(
        verdict=analysis.verdict,
        reason=analysis.reason,
        suggested_lr=analysis.suggested_lr,
        lr_low=analysis.lr_low,
        lr_high=analysis.lr_high,
        suggestions=analysis.suggestions,
        divergence_lr=analysis.divergence_lr,
        seeds=found.seeds,
        optimizer=plan.optimizer,
        batch_size=plan.batch_size,
        lr_min=float(found.rates[0]),
        lr_max=float(found.rates[-1]),
        updates=found.spent,
        seconds=seconds,
    )


def with_refinement(swept: RangeTestResult, found: Refinement) -> RangeTestResult:
    """Return the result with the trainings' rate and interval in place of the sweep's, even if the sweep was refused.

    The interval ends where the sweep diverged, unless the trainings' rate lies beyond. If all whole trainings diverged,
    no rate can be trusted, and the verdict is "refused".
    """
    suggested, high, divergence = found.suggested_lr, found.lr_high, swept.divergence_lr
    if suggested and high and divergence and suggested < divergence:
        high = min(high, divergence)
    moved = f"moved the rate from {found.start_lr:.3g} to {suggested:.3g}" if suggested else "diverged at every rate"
    return swept.model_copy(
        update={
            "verdict": "ok" if suggested else "refused",
            "reason": f"{swept.reason} {_trainings(found)} {moved}.",
            "suggested_lr": suggested,
            "lr_low": found.lr_low,
            "lr_high": high,
            "suggestions": {**swept.suggestions, "refined": suggested} if suggested else {},
            "updates": swept.updates + found.updates,
            "seconds": swept.seconds + found.seconds,
            "refinement": found,
        }
    )


def _trainings(found: Refinement) -> str:
    whole = sum(tried.share == 1 for tried in found.tried)
    misled = any(tried.judged_by == "train_loss" for tried in found.tried)
    by = ", judged by training loss as validation shows nothing of what is learnt," if misled else ""
    return f"{len(found.tried) - whole} short and {whole} whole trainings{by}"

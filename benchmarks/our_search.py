"""Our range test and search in one process, joined as the stages join them, for whatever function trains."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from pipeline.range_test.result import summarize, with_refinement

from pipeline import search
from pipeline.config import REFINE_OFF, SearchOptions
from pipeline.evaluation import Evaluation
from pipeline.range_test import bounds, explore, updates_for
from pipeline.range_test.refinement import refine, short_share, starting_rate
from pipeline.results import RangeTestResult, SearchResult
from pipeline.search import Evaluate, Plan, Space, budgets

Sweep = Callable[[NDArray[np.float64], int], NDArray[np.float32]]
"""`(rates, seed) -> losses` of one sweep."""


def find(options: SearchOptions, steps_per_epoch: int, sweep: Sweep, evaluate: Evaluate) -> SearchResult:
    """The search's answer with these options."""
    low, high = bounds(options.optimizer)
    suggested, found = float((low * high) ** 0.5), range_test(options, steps_per_epoch, sweep, evaluate)
    if found.suggested_lr is not None and found.lr_low and found.lr_high:
        low, suggested, high = found.lr_low, found.suggested_lr, found.lr_high
    plan = Plan(
        spaces=(Space(options.optimizer, options.batch_sizes[0], suggested, low, high),),
        schemes=options.scheme_names(),
        trials=options.trials,
        budgets=budgets(options.epochs, steps_per_epoch),
        epochs=options.epochs,
        top_k=options.top_k,
        confirm_seeds=options.confirm_seeds,
        seed=options.seed,
        sampler=options.sampler,
    )
    return search.run(plan, evaluate)[0]


def range_test(options: SearchOptions, steps_per_epoch: int, sweep: Sweep, evaluate: Evaluate) -> RangeTestResult:
    """The range test's answer, refined by trainings unless these options say otherwise."""
    seeds, first = tuple(options.seed + i for i in range(options.seeds)), (options.seed,)
    (batch_size,) = options.batch_sizes
    swept = explore(sweep, seeds, *bounds(options.optimizer), updates_for(batch_size))
    result, start = summarize(swept, options.optimizer, batch_size, 0.0), starting_rate(swept.analysis)
    if options.refine == REFINE_OFF or start is None:
        return result

    def train(rate: float, seed: int, share: float) -> float:
        epochs = share * options.epochs
        asked = Evaluation(options.optimizer, options.refine, rate, {}, epochs, seed, batch_size)
        return evaluate(asked).val_loss

    updates = options.epochs * steps_per_epoch
    found = refine(train, start, seeds=first, short=short_share(updates))
    return with_refinement(
        result,
        found,
        scheme=options.refine,
        start=start,
        seeds=first,
        updates=round(found.cost * updates),
        seconds=0.0,
    )

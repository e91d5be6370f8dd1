"""Our range test and search in one process, joined as the stages join them, for whatever function trains."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pipeline import search
from pipeline.config import SearchOptions
from pipeline.range_analysis import bounds, explore, updates_for
from pipeline.results import SearchResult
from pipeline.search import Evaluate, Plan, Space, budgets

Sweep = Callable[[NDArray[np.float64], int], NDArray[np.float32]]
"""`(rates, seed) -> losses` of one sweep."""


def find(options: SearchOptions, steps_per_epoch: int, sweep: Sweep, evaluate: Evaluate) -> SearchResult:
    """The search's answer with these options."""
    low, high = bounds(options.optimizer)
    seeds = tuple(options.seed + i for i in range(options.seeds))
    read = explore(sweep, seeds, low, high, updates_for(options.batch_size)).analysis
    suggested = float((low * high) ** 0.5)
    if read.suggested_lr is not None and read.lr_low and read.lr_high:
        low, suggested, high = read.lr_low, read.suggested_lr, read.lr_high
    plan = Plan(
        spaces=(Space(options.optimizer, suggested, low, high),),
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

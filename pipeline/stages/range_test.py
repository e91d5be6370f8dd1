"""Stage `range_test`: sweep the rate over several seeds, read off a rate and an interval, or refuse."""

import time

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.config import RangeTestOptions
from pipeline.range_analysis import Analysis, analyse, sweep
from pipeline.reporting import figures
from pipeline.results import RangeTestResult
from pipeline.stages.context import Context
from pipeline.stages.network import trainer
from pipeline.tracking.sweeps import log_sweep

BOUNDS: dict[str, tuple[float, float]] = {
    "sgd": (1e-5, 10.0),
    "adam": (1e-6, 1.0),
    "adamw": (1e-6, 1.0),
    "adadelta": (1e-3, 1e3),
    "adamax": (1e-6, 1.0),
    "rmsprop": (1e-6, 1.0),
    "nadam": (1e-6, 1.0),
    "adagrad": (1e-5, 10.0),
    "lion": (1e-7, 0.1),
}
"""Rates between which each optimizer is swept at first: from no visible progress to divergence."""

UPDATES = 250
"""Updates of a sweep, some 40 in each decade: what the reading of a sweep was fitted to (docs/range_test.md)."""

_WIDENINGS = 2
_WIDEN_BY = 30.0


def summary(result: RangeTestResult) -> str:
    """What came out, in one line."""
    if result.verdict == "refused":
        return f"refused: {result.reason}"
    return f"suggests {result.suggested_lr:.3g}, interval {result.lr_low:.3g} to {result.lr_high:.3g}"


def run(context: Context[RangeTestOptions]) -> RangeTestResult:
    """Sweep, and sweep again more widely while the optimum lies at an edge."""
    options, started = context.options, time.perf_counter()
    engine = trainer(options, context.upstream.splits, options.optimizer)
    seeds = tuple(options.seed + i for i in range(options.seeds))
    low, high = BOUNDS[options.optimizer]
    for attempt in range(_WIDENINGS + 1):
        context.status.expect((attempt + 1) * len(seeds))
        rates = sweep(low, high, UPDATES)
        losses = np.full((len(seeds), UPDATES), np.nan)
        for row, seed in zip(losses, seeds, strict=True):
            context.status.begin(f"sweeping {low:.0e} to {high:.0e}, seed {seed}")
            seen = engine.train(rates, seed, validations=0).losses
            row[: len(seen)] = seen
            context.status.advance()
        analysis = analyse(rates, losses)
        if analysis.edge is None:
            break
        low, high = (low / _WIDEN_BY, high) if analysis.edge == "low" else (low, high * _WIDEN_BY)
    result = RangeTestResult(
        verdict=analysis.verdict,
        reason=analysis.reason,
        suggested_lr=analysis.suggested_lr,
        lr_low=analysis.lr_low,
        lr_high=analysis.lr_high,
        suggestions=analysis.suggestions,
        divergence_lr=analysis.divergence_lr,
        seeds=seeds,
        optimizer=options.optimizer,
        updates=(attempt + 1) * len(seeds) * UPDATES,
        seconds=time.perf_counter() - started,
    )
    _write(context, rates, losses, analysis, result)
    return result


def _write(
    context: Context[RangeTestOptions],
    rates: NDArray[np.float64],
    losses: NDArray[np.float64],
    analysis: Analysis,
    result: RangeTestResult,
) -> None:
    """`range_test.csv`: step, lr, the smoothed median and band, and each seed's true batch losses."""
    columns = {
        "step": np.arange(len(rates)),
        "lr": rates,
        "median": analysis.median,
        "band_low": analysis.band_low,
        "band_high": analysis.band_high,
        **{f"loss_seed_{seed}": row for seed, row in zip(result.seeds, losses, strict=True)},
    }
    pd.DataFrame(columns).to_csv(context.run.folder / "range_test.csv", index=False)
    figure = figures.range_test(
        rates,
        losses,
        result,
        median=analysis.median,
        band_low=analysis.band_low,
        band_high=analysis.band_high,
        divergence_lr=analysis.divergence_lr,
    )
    figure.savefig(context.run.folder / "range_test.png")
    log_sweep(context.run.run_id, rates, analysis.median, result)

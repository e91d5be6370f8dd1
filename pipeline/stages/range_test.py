"""Stage `range_test`: sweep the rate over several seeds, read off a rate and an interval, or refuse."""

import time

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.config import RangeTestOptions
from pipeline.range_analysis import Exploration, explore, updates_for
from pipeline.range_analysis.exploration import BOUNDS
from pipeline.range_analysis.result import summarize
from pipeline.reporting import figures
from pipeline.results import RangeTestResult
from pipeline.stages.context import Context
from pipeline.stages.network import trainer
from pipeline.tracking.sweeps import log_sweep


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
    context.status.expect(len(seeds))

    def measure(rates: NDArray[np.float64], seed: int) -> NDArray[np.float32]:
        context.status.begin(f"sweeping {rates[0]:.0e} to {rates[-1]:.0e}, seed {seed}")
        losses = engine.train(rates, seed, validations=0).losses
        context.status.advance()
        return losses

    found = explore(measure, seeds, *BOUNDS[options.optimizer], updates_for(options.batch_size))
    result = summarize(found, seeds, options.optimizer, time.perf_counter() - started)
    _write(context, found, result)
    return result


def _write(context: Context[RangeTestOptions], found: Exploration, result: RangeTestResult) -> None:
    """`range_test.csv`: step, lr, the smoothed median and band, and each seed's true batch losses."""
    analysis = found.analysis
    columns = {
        "step": np.arange(len(found.rates)),
        "lr": found.rates,
        "median": analysis.median,
        "band_low": analysis.band_low,
        "band_high": analysis.band_high,
        **{f"loss_seed_{seed}": row for seed, row in zip(result.seeds, found.losses, strict=True)},
    }
    pd.DataFrame(columns).to_csv(context.run.folder / "range_test.csv", index=False)
    figure = figures.range_test(
        found.rates,
        found.losses,
        result,
        median=analysis.median,
        band_low=analysis.band_low,
        band_high=analysis.band_high,
    )
    figure.savefig(context.run.folder / "range_test.png")
    log_sweep(context.run.run_id, found.rates, analysis.median, result)

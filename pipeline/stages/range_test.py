"""Stage `range_test`: sweep the rate over several seeds, refine what was read off by trainings, or refuse."""

import time

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.config import REFINE_OFF, RangeTestOptions
from pipeline.evaluation import Evaluation
from pipeline.range_analysis import Exploration, explore, updates_for
from pipeline.range_analysis.exploration import BOUNDS
from pipeline.range_analysis.refinement import refine, short_share, starting_rate
from pipeline.range_analysis.result import summarize, with_refinement
from pipeline.reporting import range_test_figures
from pipeline.reporting.training_figures import lr_curve
from pipeline.results import RangeTestResult
from pipeline.stages.context import Context
from pipeline.stages.network import trainer
from pipeline.tracking import TrainingLog
from pipeline.tracking.sweeps import log_sweep
from pipeline.tracking.trainings import read_training
from pipeline.training import Trainer

_USUAL_TRAININGS = 6  # three short ones, two or more whole ones


def summary(result: RangeTestResult) -> str:
    """What came out, in one line."""
    if result.verdict == "refused":
        return f"refused: {result.reason}"
    return f"suggests {result.suggested_lr:.3g}, interval {result.lr_low:.3g} to {result.lr_high:.3g}"


def run(context: Context[RangeTestOptions]) -> RangeTestResult:
    """Sweep, again more widely while the optimum lies at an edge; then let trainings decide."""
    options, started = context.options, time.perf_counter()
    (batch_size,) = options.batch_sizes
    engine = trainer(options, context.upstream.splits, options.optimizer, batch_size)
    seeds = tuple(options.seed + i for i in range(options.seeds))
    context.status.expect(len(seeds) + (0 if options.refine == REFINE_OFF else _USUAL_TRAININGS))

    def measure(rates: NDArray[np.float64], seed: int) -> NDArray[np.float32]:
        context.status.begin(f"sweeping {rates[0]:.0e} to {rates[-1]:.0e}, seed {seed}")
        losses = engine.train(rates, seed, validations=0).losses
        context.status.advance()
        return losses

    low, high = BOUNDS[options.optimizer]
    found = explore(
        measure,
        seeds,
        options.lr_min or low,
        options.lr_max or high,
        updates_for(batch_size),
        spacing=options.spacing,
    )
    result = summarize(found, options.optimizer, batch_size, time.perf_counter() - started)
    start = starting_rate(found.analysis)
    if options.refine != REFINE_OFF and start is not None:
        result = _refined(context, engine, result, start)
    _write(context, found, result)
    return result


def _refined(
    context: Context[RangeTestOptions], engine: Trainer, swept: RangeTestResult, start: float
) -> RangeTestResult:
    options, started = context.options, time.perf_counter()
    train = _Train(context, engine)
    seeds, updates = (options.seed,), options.epochs * engine.steps_per_epoch
    found = refine(train, start, seeds=seeds, short=short_share(updates))
    seconds = time.perf_counter() - started
    return with_refinement(
        swept, found, scheme=options.refine, start=start, seeds=seeds, updates=train.updates, seconds=seconds
    )


class _Train:
    """Trains and logs, unless an interrupted run of this range test had done so already; counts updates."""

    def __init__(self, context: Context[RangeTestOptions], engine: Trainer) -> None:
        self._context, self._engine = context, engine
        self._log = TrainingLog(context.store, context.run, context.fingerprint, lr_curve)
        if not context.options.fresh:
            self._log.keep()
        self.updates = 0

    def __call__(self, rate: float, seed: int, share: float) -> float:
        options, status = self._context.options, self._context.status
        epochs, (batch_size,) = share * options.epochs, options.batch_sizes
        asked = Evaluation(options.optimizer, options.refine, rate, {}, epochs, seed, batch_size)
        status.begin(asked.name_with_budget)
        kept = self._log.recall(asked)
        if kept is None:
            training = self._engine.train(asked.curve(self._engine.steps_per_epoch), seed, validations=1)
            self._log.log("trial", asked, training, name=asked.name_with_budget, tags={"pipeline.role": "refinement"})
        else:
            training = read_training(kept)
        status.advance()
        self.updates += len(training.rates)
        val_loss = training.final("val_loss")
        return np.inf if val_loss is None else val_loss


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
    figure = range_test_figures.range_test(
        found.rates,
        found.losses,
        result,
        median=analysis.median,
        band_low=analysis.band_low,
        band_high=analysis.band_high,
    )
    figure.savefig(context.run.folder / "range_test.png")
    if result.refinement is not None:
        range_test_figures.refinement(result).savefig(context.run.folder / "refinement.png")
    log_sweep(context.run.run_id, found.rates, analysis.median, result)

"""Stage `range_test`: sweep the rate, refine the suggested rate by trainings if asked to, or refuse."""

import numpy as np
import pandas as pd

from pipeline.config import REFINE_OFF, RangeTestOptions
from pipeline.evaluation import Evaluation
from pipeline.range_test import Conducted, conduct, not_swept, planned
from pipeline.reporting import range_test_figures
from pipeline.results import RangeTestResult
from pipeline.stages.asking import asking
from pipeline.stages.context import Context
from pipeline.tracking import Label, StageRun, Store
from pipeline.tracking.metrics import sweep_metrics

_USUAL_TRAININGS = 6  # three short ones, two or more full ones


def summary(result: RangeTestResult) -> str:
    """Return the result in one line."""
    if result.verdict == "refused":
        return f"refused: {result.reason}"
    return f"suggests {result.suggested_lr:.3g}, interval {result.lr_low:.3g} to {result.lr_high:.3g}"


def run(context: Context[RangeTestOptions]) -> RangeTestResult:
    """Ask for sweeps and trainings, and write the curves and the figures."""
    options = context.options
    if (known := not_swept(options)) is not None:
        context.status.note(known.reason)
        context.store.show_sweep(context.run, (), known)
        return known
    context.status.expect(1 + (0 if options.refine == REFINE_OFF else _USUAL_TRAININGS))
    asked = asking(context, label)
    done = conduct(planned(options, context.upstream.prepare.steps_per_epoch), asked.ask)
    asked.finish(summary(done.result))
    write(done, context.store, context.run)
    return done.result


def label(evaluation: Evaluation) -> Label:
    """Return the name and tags for the run of a sweep, or of a training that refines it."""
    if not evaluation.is_sweep:
        return Label("trial", evaluation.name_with_budget, "refinement")
    low, high = evaluation.candidate.initial_lr, evaluation.candidate.params["lr_max"]
    return Label("trial", f"sweep {low:.0e} to {high:.0e} seed={evaluation.seed}", "sweep")


def write(done: Conducted, store: Store, run: StageRun) -> None:
    """Write `range_test.csv` (step, lr, smoothed median and band, each seed's true batch losses) and figures."""
    found, result, folder = done.found, done.result, run.folder
    analysis = found.analysis
    columns = {
        "step": np.arange(len(found.rates)),
        "lr": found.rates,
        "median": analysis.median,
        "band_low": analysis.band_low,
        "band_high": analysis.band_high,
        **{f"loss_seed_{seed}": row for seed, row in zip(result.seeds, found.losses, strict=True)},
    }
    pd.DataFrame(columns).to_csv(folder / "range_test.csv", index=False)
    figure = range_test_figures.range_test(
        found.rates,
        found.losses,
        result,
        median=analysis.median,
        band_low=analysis.band_low,
        band_high=analysis.band_high,
    )
    figure.savefig(folder / "range_test.png")
    if result.refinement is not None:
        range_test_figures.refinement(result).savefig(folder / "refinement.png")
    store.show_sweep(run, sweep_metrics(found.rates, analysis.median, result), result)

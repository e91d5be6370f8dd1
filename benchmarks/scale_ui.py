"""How long the MLflow UI takes over an experiment with more and more trainings.

    python -m benchmarks.scale_ui [--runs 30 300 1000] [--repeats 3]

Logs made-up trainings of all schemes below a search, and opens the experiment's saved view of trainings in a headless
Chromium: its table, then its charts. A row has the seconds until the table has its rows, the processor time of the page
until it is quiet, and what it has loaded; then the same of the charts; and the time to log one training. The page has
been opened before, so its programs are in the browser's cache.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from statistics import median

import mlflow
import numpy as np
from matplotlib.figure import Figure
from mlflow.tracking import MlflowClient
from playwright.sync_api import Page

from benchmarks.soak import store
from pipeline.evaluation import Candidate, Evaluation, Training
from pipeline.schedules import SCHEMES
from pipeline.search.candidates import defaults
from pipeline.tracking import Label, Store, TrainingLog
from pipeline.tracking.views import trainings_page
from scripts.browser import browser, chromium

NAME = "scale"
STEPS, EPOCHS = 90, 9
_FILE = "sqlite:///mlflow.db"
"""The server's own file, to which trainings are logged past the server, which takes longer."""

_PATIENCE = 120.0
"""Seconds for a page to show what it is to show."""

_QUIET = 1.5
"""Seconds without a request after which a page is taken to be complete."""

_ROWS = "document.querySelectorAll('.ag-center-cols-container .ag-row').length"
READY = {"TABLE": f"{_ROWS} > 1", "CHART": "document.querySelectorAll('.js-plotly-plot').length > 0"}
"""What is true of a page that shows the trainings."""


class Costs:
    """What a page costs the browser: the work of its main thread, and what it is sent."""

    def __init__(self, page: Page) -> None:
        self._page, self._session = page, page.context.new_cdp_session(page)
        self._loaded, self._seen = 0.0, 0.0
        for domain in ("Network", "Performance"):
            self._session.send(f"{domain}.enable")
        for event in ("requestWillBeSent", "dataReceived"):
            self._session.on(f"Network.{event}", lambda _: self._note(0.0))
        self._session.on("Network.loadingFinished", lambda event: self._note(event["encodedDataLength"] / 1024))

    def busy(self) -> float:
        """Return the seconds that the page's main thread has worked."""
        metrics = self._session.send("Performance.getMetrics")["metrics"]
        return float(next(one["value"] for one in metrics if one["name"] == "TaskDuration"))

    def settle(self) -> float:
        """Wait until the page has asked for nothing for a while, and return the KiB that it has been sent since."""
        self._note(0.0)
        while time.monotonic() - self._seen < _QUIET:
            self._page.wait_for_timeout(100)
        loaded, self._loaded = self._loaded, 0.0
        return loaded

    def _note(self, loaded: float) -> None:
        self._loaded, self._seen = self._loaded + loaded, time.monotonic()


def log(first: int, last: int) -> tuple[str, float]:
    """Log the trainings with these numbers below a search; return the experiment's id and the seconds for each."""
    figure, kept = Figure(), Store(NAME)
    schemes = [name for name, scheme in SCHEMES.items() if scheme.searchable]
    with kept.stage_run("search", "search", {}) as run:
        trainings = TrainingLog(kept, run, NAME, lambda evaluation, training: figure)
        started = time.perf_counter()
        for number in range(first, last):
            scheme = schemes[number % len(schemes)]
            asked = Candidate(
                scheme=scheme,
                initial_lr=1e-4 * (number + 1),
                optimizer="sgd",
                batch_size=32,
                params=defaults(scheme),
            )
            evaluation = Evaluation(asked, EPOCHS, number)
            trainings.log(evaluation, training(number), Label("trial", evaluation.name, "trial"))
        return run.experiment_id, (time.perf_counter() - started) / (last - first)


def training(seed: int) -> Training:
    """Return a made-up training."""
    updates, chance = STEPS * EPOCHS, np.random.default_rng(seed)
    history = {name: chance.random(EPOCHS).tolist() for name in ("loss", "accuracy", "val_loss", "val_accuracy")}
    rates, losses = (chance.random(updates, np.float32) for _ in range(2))
    return Training(rates, losses, history, STEPS, STEPS, "", 1.0, updates * 32)


def look(page: Page, address: str) -> list[float]:
    """Open the table and the charts: return seconds to the table, then work and KiB, and the same of the charts."""
    found = list[float]()
    for mode, ready in READY.items():
        page.goto("about:blank")
        costs = Costs(page)
        before, started = costs.busy(), time.monotonic()
        page.goto(f"{address}&compareRunsMode={mode}", wait_until="commit")
        while not page.evaluate(ready):
            if time.monotonic() > started + _PATIENCE:
                sys.exit(f"the page showed no {mode.lower()} in {_PATIENCE:.0f} s")
            page.wait_for_timeout(100)
        shown = time.monotonic() - started
        loaded = costs.settle()
        found += [shown, costs.busy() - before, loaded]
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one row for each number of trainings."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--runs", nargs="+", type=int, default=[30, 300, 1000])
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args(arguments)
    program = chromium()
    if program is None:
        sys.exit("received no browser, expected chromium on PATH")
    print("| trainings | table, s | its work, s | KiB | charts, s | their work, s | KiB | logging one, ms |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    with store(server=True), browser(program) as running:
        page = running.new_page(viewport={"width": 1600, "height": 1000})
        logged, server = 0, mlflow.get_tracking_uri()
        for runs in sorted(options.runs):
            mlflow.set_tracking_uri(_FILE)
            experiment, seconds = log(logged, runs)
            logged, address = runs, f"{server}{trainings_page(experiment)}"
            look(page, address)
            cells = [median(part) for part in zip(*(look(page, address) for _ in range(options.repeats)), strict=True)]
            print(f"| {runs} | {' | '.join(f'{one:.3g}' for one in cells)} | {1e3 * seconds:.0f} |", flush=True)
        print(f"\nDistinct keys of trainings: {_keys(experiment)}.")


def _keys(experiment: str) -> str:
    runs = MlflowClient().search_runs([experiment], "tags.`pipeline.stage` = 'trial'", max_results=1000)
    kinds = {kind: {key for run in runs for key in getattr(run.data, kind)} for kind in ("metrics", "params", "tags")}
    return ", ".join(f"{len(keys)} {kind}" for kind, keys in kinds.items())


if __name__ == "__main__":
    main()

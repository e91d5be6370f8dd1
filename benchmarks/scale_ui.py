"""How long the MLflow UI takes over an experiment with more and more trainings.

    python -m benchmarks.scale_ui [--runs 30 300 1000] [--repeats 3]

Logs made-up trainings of all schemes below a search, and opens the experiment in a headless Chromium: the table with
the search's trainings unfolded, and the charts. A row has the seconds until the table has its rows, the processor time
of the page until it is quiet, and what it has loaded; then the same of the charts; and the time to log one training.
The page has been opened before, so its programs are in the browser's cache.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from statistics import median
from typing import Any

import mlflow
import numpy as np
from matplotlib.figure import Figure
from mlflow.tracking import MlflowClient

from benchmarks.soak import end, store
from pipeline.evaluation import Candidate, Evaluation, Training
from pipeline.schedules import SCHEMES
from pipeline.search.surface import defaults
from pipeline.tracking import Label, Store, TrainingLog

NAME = "scale"
STEPS, EPOCHS = 90, 9
_FILE = "sqlite:///mlflow.db"
"""The server's own file, to which trainings are logged past the server, which takes longer."""

_PATIENCE = 120.0
"""Seconds for a page to show what it is to show."""

_QUIET = 1.5
"""Seconds without a request after which a page is taken to be complete."""

_READ, _WRITE = 3, 4
"""The descriptors on which Chromium reads commands and writes answers."""

_ROWS = "document.querySelectorAll('.ag-center-cols-container .ag-row').length"
_UNFOLD = f"{_ROWS} == 1 && document.querySelector('.ag-row button').click()"
READY = {"TABLE": f"{_ROWS} > 1", "CHART": "document.querySelectorAll('.js-plotly-plot').length > 0"}
"""What is true of a page that shows the trainings, which are folded below their search at first."""


class Browser:
    """A headless Chromium with one page, driven by its debugging protocol over a pipe."""

    def __init__(self, process: subprocess.Popen[bytes], to: int, back: int) -> None:
        self._process, self._to, self._back, self._rest = process, to, back, b""
        self._numbers, self._session = count(1), ""
        self._events: deque[dict[str, Any]] = deque()
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Network", "Page", "Performance"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: object) -> dict[str, Any]:
        """Send a command and return its result; events that come before it are kept."""
        message = {"id": next(self._numbers), "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != message["id"]:
            self._events.append(answer)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        return dict(answer["result"])

    def value(self, expression: str) -> Any:
        """Return what an expression is in the page."""
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def busy(self) -> float:
        """Return the seconds that the page's main thread has worked."""
        metrics = self.call("Performance.getMetrics")["metrics"]
        return float(next(one["value"] for one in metrics if one["name"] == "TaskDuration"))

    def open(self, address: str) -> None:
        """Leave the page for another one."""
        self.call("Page.navigate", url="about:blank")
        self._events.clear()
        self.call("Page.navigate", url=address)

    def settle(self) -> float:
        """Wait until the page has asked for nothing for a while, and return the KiB that it has been sent."""
        loaded, seen = 0.0, time.monotonic()
        while time.monotonic() - seen < _QUIET:
            time.sleep(0.1)
            self.value("0")  # events come with the answer
            while self._events:
                event = self._events.popleft()
                if event.get("method", "").startswith("Network."):
                    seen = time.monotonic()
                if event.get("method") == "Network.loadingFinished":
                    loaded += event["params"]["encodedDataLength"] / 1024
        return loaded

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            self._rest += os.read(self._back, 1 << 20)
        line, _, self._rest = self._rest.partition(b"\0")
        return dict(json.loads(line))


def chromium() -> str | None:
    """Return the browser's program; None where there is none."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@contextmanager
def browser(program: str) -> Iterator[Browser]:
    """Run a browser with a profile of its own."""
    (theirs, to), (back, answers) = os.pipe(), os.pipe()

    def place() -> None:
        for at, descriptor in zip((_READ, _WRITE), [os.dup(theirs), os.dup(answers)], strict=True):
            os.dup2(descriptor, at)

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        flags = ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1600,1000")
        process = subprocess.Popen(
            [program, *flags, "--remote-debugging-pipe", f"--user-data-dir={profile}"],
            preexec_fn=place,
            pass_fds=(_READ, _WRITE),
            stderr=subprocess.DEVNULL,
        )
        try:
            yield Browser(process, to, back)
        finally:
            end(process)
            for descriptor in (theirs, to, back, answers):
                os.close(descriptor)


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


def look(page: Browser, address: str) -> list[float]:
    """Open the table and the charts: return seconds to the table, then work and KiB, and the same of the charts."""
    found = list[float]()
    for mode, ready in READY.items():
        page.open(f"{address}?compareRunsMode={mode}")
        before, started = page.busy(), time.monotonic()
        while not page.value(ready):
            if time.monotonic() > started + _PATIENCE:
                sys.exit(f"the page showed no {mode.lower()} in {_PATIENCE:.0f} s")
            page.value(_UNFOLD)
            time.sleep(0.1)
        shown = time.monotonic() - started
        loaded = page.settle()
        found += [shown, page.busy() - before, loaded]
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
    with store(server=True), browser(program) as page:
        logged, server = 0, mlflow.get_tracking_uri()
        for runs in sorted(options.runs):
            mlflow.set_tracking_uri(_FILE)
            experiment, seconds = log(logged, runs)
            logged, address = runs, f"{server}/#/experiments/{experiment}/runs"
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

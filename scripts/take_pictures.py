"""Takes the pictures of report and MLflow's UI for README and docs, from a real chain.

    python -m scripts.take_pictures [options of `main`]

Needs Chromium. Without options, the chain is that of `make run`.
"""

import io
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import mlflow
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from benchmarks.soak import store
from pipeline.tracking.views import trainings_page
from scripts.browser import browser, chromium, without_assistant

DOCS = Path(__file__).resolve().parents[1] / "docs"
LARGEST = 250_000
"""Bytes that a picture may have."""

_PATIENCE = 60_000
"""Milliseconds for a page to show what it is to show."""


def report(page: Page) -> None:
    """Open the report that the chain has left in the working directory."""
    page.set_viewport_size({"width": 1100, "height": 1190})
    page.goto(Path("reports/report.html").absolute().as_uri())


def mlflow_ui(page: Page) -> None:
    """Open the charts of the trainings, without the menu and the line that explains the view."""
    page.set_viewport_size({"width": 1300, "height": 1110})
    without_assistant(page)
    experiment = mlflow.get_experiment_by_name("lr-pipeline").experiment_id
    page.goto(f"{mlflow.get_tracking_uri()}{trainings_page(experiment)}&compareRunsMode=CHART")
    for spare in ("Toggle sidebar", "Hide banner"):
        page.get_by_role("button", name=spare).click()
    for plot in range(3):
        expect(page.locator(".js-plotly-plot").nth(plot).locator(".scatterlayer .trace").first).to_be_visible()
    expect(page.locator(".parcoords").first).to_be_visible()
    page.mouse.move(0, 0)


PICTURES: dict[str, Callable[[Page], None]] = {"report.png": report, "mlflow-ui.png": mlflow_ui}


def take(running: Browser, name: str, folder: Path = DOCS) -> None:
    """Take a picture of what a page shows, in 256 colours."""
    page = running.new_page(color_scheme="light")
    page.set_default_timeout(_PATIENCE)
    expect.set_options(timeout=_PATIENCE)
    PICTURES[name](page)
    picture = Image.open(io.BytesIO(page.screenshot(animations="disabled"))).convert("RGB")
    page.close()
    picture.quantize(256, dither=Image.Dither.NONE).save(folder / name, optimize=True)
    size = (folder / name).stat().st_size
    print(f"{folder / name}: {size / 1000:.0f} kB")
    if size > LARGEST:
        sys.exit(f"{folder / name} has {size} bytes, expected at most {LARGEST}")


def main(arguments: Sequence[str]) -> None:
    """Run the chain and take all pictures."""
    program = chromium()
    if program is None:
        sys.exit("received no browser, expected chromium on PATH")
    with store(server=True):
        subprocess.run(
            (sys.executable, "-m", "pipeline", "main", *arguments),
            env={**os.environ, "PYTHONPATH": str(DOCS.parent)},
            check=True,
        )
        with browser(program) as running:
            for name in PICTURES:
                take(running, name)


if __name__ == "__main__":
    main(sys.argv[1:])

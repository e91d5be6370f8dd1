"""The report and MLflow's UI, as people see them in a real browser after a real chain."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
from axe_playwright_python.sync_playwright import Axe
from mlflow.entities import Run
from playwright.sync_api import Browser, Page, expect

from pipeline.tracking.views import trainings_page
from scripts.browser import browser, chromium, without_assistant
from scripts.take_pictures import PICTURES, take
from tests.e2e.project import Project
from tests.e2e.server import Server

pytestmark = pytest.mark.slow

LIGHT, DARK = "light", "dark"
DESK, PHONE = 1280, 360
GRAVE = ("serious", "critical")

PATIENCE = 60.0
"""Seconds for a page to show what it is to show."""

NUMBERS = re.compile(r"\d")
CUT_OFF = "all => all.filter(one => one.scrollWidth > one.clientWidth).map(one => one.textContent)"
EMPTY = """all => all.filter(figure => ![...figure.querySelectorAll("svg, img")].some(one =>
    one.clientWidth > 200 && one.clientHeight > 100 && (one.naturalWidth || one.querySelectorAll("path").length > 9)
)).map(figure => figure.textContent)"""
CURVES = """all => all.flatMap(one => one.data).map(line => ({name: line.name, x: [...line.x], y: [...line.y]}))"""
ENDS_AT = """([plots, at, name, value]) => {
    const plot = document.querySelectorAll(plots)[at]
    const line = plot?.data?.find(line => line.name === name)
    return line && Math.abs(line.y[line.y.length - 1] / value - 1) < 1e-6
}"""
AXES = "all => all.flatMap(one => one.data).flatMap(line => line.dimensions.map(axis => axis.label))"
LUMINANCE = """one => {
    const [red, green, blue] = getComputedStyle(one).backgroundColor.match(/[0-9.]+/g).map(Number)
    return (red + green + blue) / 765
}"""


@pytest.fixture(scope="module")
def chrome() -> Iterator[Browser]:
    """Run the system's browser."""
    program = chromium()
    if program is None:
        pytest.skip("Chromium is not installed, so nothing was looked at in a browser")
    with browser(program) as running:
        yield running


def first(project: Project, stage: str) -> Run:
    """Return the run of a stage of the first command, whatever other tests have run since."""
    return project.runs(stage)[0]


# The report


@pytest.fixture(scope="module")
def report(project: Project) -> Path:
    """Return the page of the first command."""
    return project.artifacts(first(project, "report")) / "report.html"


@pytest.mark.parametrize("width", [DESK, PHONE])
@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_report_can_be_read(chrome: Browser, report: Path, theme: Any, width: int) -> None:
    """By daylight and at night, at a desk and on a phone, without a network; axe-core finds no grave fault."""
    page = chrome.new_page(color_scheme=theme, viewport={"width": width, "height": 800})
    asked, said = list[str](), list[str]()
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(report.as_uri())
    page.locator("details").evaluate_all("all => all.forEach(one => { one.open = true })")
    assert [url for url in asked if not url.startswith("data:")] == [report.as_uri()]
    assert said == []
    figures = page.locator("figure")
    assert figures.count() >= 5
    assert figures.evaluate_all(EMPTY) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert (page.locator("body").evaluate(LUMINANCE) > 0.5) == (theme == LIGHT)
    found = Axe().run(page)
    grave = [fault for fault in found.response["violations"] if fault["impact"] in GRAVE]
    assert grave == [], found.generate_report()
    page.close()


def test_values_of_figures_can_be_read(chrome: Browser, report: Path) -> None:
    """Under the pointer, and with the arrow keys."""
    page = chrome.new_page(viewport={"width": DESK, "height": 800})
    page.goto(report.as_uri())
    figures = page.locator("figure .plot:visible").all()
    assert len(figures) >= 5
    for figure in figures:
        figure.hover()
        expect(reading := figure.locator(".reading")).to_have_text(NUMBERS)
        page.mouse.move(0, 0)
        expect(reading).to_be_hidden()
        figure.press("Home")
        expect(reading).to_be_visible()
        before = reading.text_content()
        figure.press("ArrowRight")
        expect(reading).not_to_have_text(before or "")
    page.close()


def test_code_to_paste_can_be_copied(chrome: Browser, report: Path) -> None:
    """The clipboard then holds Python that compiles."""
    context = chrome.new_context(permissions=["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.goto(report.as_uri())
    page.get_by_role("button", name="Copy").first.click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    compile(page.evaluate("navigator.clipboard.readText()"), "pasted", "exec")
    context.close()


# MLflow's UI

ROWS = ".ag-center-cols-container .ag-row"
NAMES = "[col-id='attributes.`Run Name`'] a"
BOX = ".ag-pinned-left-cols-container .ag-row[row-id='{}'] .ag-selection-checkbox input"
COLUMNS = ["pipeline.stage", "scheme", "initial_lr", "optimizer", "batch_size", "seed", "val_loss", "test_accuracy"]
FIRST_COLUMNS = """names => [...document.querySelectorAll(".ag-header-viewport .ag-header-cell")]
    .sort((one, other) => one.getBoundingClientRect().x - other.getBoundingClientRect().x)
    .slice(0, names.length).every((column, at) => column.innerText === names[at])"""
PLOTS = ".js-plotly-plot"


@pytest.fixture(scope="module")
def server(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Serve the project's store."""
    server = Server(tmp_path_factory.mktemp("server"), f"sqlite:///{project.folder}/mlflow.db")
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def ui(chrome: Browser) -> Iterator[Page]:
    """Return a page for MLflow's UI, whose programs are loaded once."""
    page = chrome.new_page(viewport={"width": 1600, "height": 1400})
    page.set_default_timeout(1000 * PATIENCE)
    expect.set_options(timeout=1000 * PATIENCE)
    without_assistant(page)
    yield page
    page.close()


def trainings(project: Project, server: Server, ui: Page, mode: str = "TABLE") -> list[Run]:
    """Open the view of the trainings, and return them as it must show them: the best first."""
    shown = project.runs("trial") + project.runs("train")
    scored = [run for run in shown if run.data.tags.get("pipeline.role", "sweep") not in ("sweep", "refinement")]
    best_first = sorted(scored, key=lambda run: float(run.data.metrics["val_loss"]))
    ui.goto(f"{server.address}{trainings_page(best_first[0].info.experiment_id)}&compareRunsMode={mode}")
    expect(ui.get_by_role("link", name=best_first[0].info.run_name).first).to_be_visible()
    return best_first


def test_experiment_opens_on_its_trainings(project: Project, server: Server, ui: Page) -> None:
    """With what tells them apart, and how well they went, as the first columns, and names that can be read."""
    runs = trainings(project, server, ui)
    ui.wait_for_function(FIRST_COLUMNS, arg=COLUMNS)
    names = ui.locator(NAMES).all_inner_texts()
    assert names == [run.info.run_name for run in runs][: len(names)]
    assert ui.locator(NAMES).evaluate_all(CUT_OFF) == []
    best = ui.locator(f"{ROWS}[row-id='{runs[0].info.run_id}']")
    for name in ("scheme", "initial_lr", "optimizer", "batch_size", "seed"):
        expect(best.locator(f"[col-id='params.`{name}`']")).to_have_text(runs[0].data.params[name])
    shared = [[key for key in run.data.params if not key.startswith("scheme.")] for run in runs]
    assert max(map(len, shared)) <= 8


def test_trainings_are_compared(project: Project, server: Server, ui: Page) -> None:
    """By rate, scheme and loss, and by their learning rates over the updates."""
    runs = trainings(project, server, ui)
    search = first(project, "search").info.run_id  # others train for longer, and on other batches
    alike = [run for run in runs if run.data.tags["mlflow.parentRunId"] == search]
    pair = [next(run for run in alike if run.data.params["scheme"] == scheme) for scheme in ("cosine", "constant")]
    for run in pair:
        ui.locator(BOX.format(run.info.run_id)).check()
    ui.get_by_role("button", name="Compare").click()
    expect(ui.locator(PLOTS).first).to_be_visible()
    axes = ui.locator(PLOTS).evaluate_all(AXES)
    assert {"initial_lr", "scheme"} < set(axes)
    assert axes[-1] == "val_loss"
    ui.get_by_role("link", name="lr", exact=True).click()
    expect(ui).to_have_url(re.compile("/metric"))
    for run in pair:
        ui.wait_for_function(ENDS_AT, arg=[PLOTS, 0, run.info.run_name, run.data.metrics["lr"]])
    lines = {line["name"]: line for line in ui.locator(PLOTS).evaluate_all(CURVES)}
    assert len(lines) == len(pair)
    for run in pair:
        curve = pd.read_csv(project.artifacts(run) / "lr_curve.csv")
        line = lines[run.info.run_name]
        assert line["x"] == list(curve["step"])
        assert line["y"] == pytest.approx(list(curve["lr"]), rel=1e-6)


def test_charts_show_rates_and_losses_of_trainings(project: Project, server: Server, ui: Page) -> None:
    """The view's own charts come first: rates and losses over the updates, then schemes and rates with their losses."""
    runs = trainings(project, server, ui, mode="CHART")
    for at, metric in enumerate(("lr", "val_loss", "loss")):  # charts appear in any order, as their values arrive
        ui.wait_for_function(ENDS_AT, arg=[PLOTS, at, runs[0].info.run_name, runs[0].data.metrics[metric]])
    expect(parallel := ui.locator(".parcoords").first).to_be_visible()
    for axis in ("scheme", "initial_lr", "val_loss", "cosine", "constant"):
        expect(parallel).to_contain_text(axis)


def test_links_and_notes_lead_from_parents_to_trainings_and_back(project: Project, server: Server, ui: Page) -> None:
    """A run says what it found and which data it used."""
    main, search = first(project, "main"), first(project, "search")
    trial = project.runs("trial", search.info.run_id)[-1]  # a parent's page lists the newest ones
    ui.goto(f"{server.address}/#/experiments/{main.info.experiment_id}/runs/{main.info.run_id}")
    for child in (search, trial):
        ui.get_by_role("link", name=child.info.run_name).click()
        expect(ui.get_by_role("heading", name=child.info.run_name)).to_be_visible()
        expect(ui.get_by_role("button", name="digits training")).to_be_visible()
    for parent in (search, main):
        ui.get_by_role("link", name=parent.info.run_name).click()
        expect(ui.get_by_text(parent.data.tags["mlflow.note.content"].splitlines()[0])).to_be_visible()


def test_registered_model_says_what_it_is(project: Project, server: Server, ui: Page) -> None:
    """Its schedule, its scores, and why it is the champion; its scores stand with those of other models too."""
    train = first(project, "train")
    winner = project.runs("train", train.info.run_id)[0].info.run_name.rpartition(" ")[0]
    ui.goto(f"{server.address}/#/models/lr-pipeline-digits/versions/1")
    for said in ("champion: ", f"Trained with sgd in batches of 50: {winner}", train.data.tags["mlflow.note.content"]):
        expect(ui.get_by_text(said)).to_be_visible()
    ui.get_by_role("link", name="model", exact=True).click()
    expect(ui.get_by_role("cell", name="test_accuracy")).to_be_visible()


def test_pictures_of_the_documentation_can_be_taken(
    chrome: Browser, project: Project, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From report and UI as they are now, and small enough."""
    monkeypatch.chdir(project.folder)
    before = mlflow.get_tracking_uri() if mlflow.is_tracking_uri_set() else None
    mlflow.set_tracking_uri(server.address)
    try:
        for name in PICTURES:
            take(chrome, name, tmp_path)
    finally:
        mlflow.set_tracking_uri(before)
    assert {picture.name for picture in tmp_path.iterdir()} == set(PICTURES)

"""The page on the articles' experiments."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from html import unescape
from itertools import pairwise
from math import inf

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from pipeline.articles.experiment import ClaimResult, ExperimentResult, ReproduceResult
from pipeline.articles.recorded import recorded
from pipeline.articles.table import EXPERIMENTS, printed_rates
from pipeline.evaluation import Candidate
from pipeline.reporting import articles_page
from pipeline.reporting.articles_page import Articles, Panel
from pipeline.reporting.style import NARROW, WIDE
from pipeline.reporting.wording import percent
from pipeline.results import Interval, SeedScore
from pipeline.statistics import mean_interval


def history(seeds: int = 2, epochs: int = 3) -> pd.DataFrame:
    """Return falling losses."""
    rows = [
        {"seed": seed, "epoch": epoch, "loss": 1 / epoch + seed / 10, "val_loss": 1.1 / epoch + seed / 10}
        for seed in range(seeds)
        for epoch in range(1, epochs + 1)
    ]
    return pd.DataFrame(rows)


def claim(name: str, losses: Sequence[float], remark: str = "a remark") -> ClaimResult:
    """Return the row of an experiment with one loss per seed."""
    row = EXPERIMENTS[name]
    scores = tuple(
        SeedScore(seed=seed, val_loss=loss, test_loss=loss, test_accuracy=0.98 + seed / 1000, train_seconds=30.0)
        for seed, loss in enumerate(losses)
    )
    candidate = Candidate(
        scheme="constant", initial_lr=row.initial_lr, optimizer=row.optimizer, batch_size=32, params={}
    )
    trained = ExperimentResult(id=name, candidate=candidate if losses else None, epochs=3, scores=scores)
    return ClaimResult(
        id=name,
        title=row.title,
        claim=row.claim,
        published_accuracy=row.published.test_accuracy if row.published else None,
        published_loss=row.published.test_loss if row.published else None,
        test_accuracy=mean_interval([0.98 + i / 1000 for i in range(len(losses))]) if losses else None,
        test_loss=mean_interval(list(losses)) if losses else None,
        compared_with="B1" if losses else "",
        difference=Interval(mean=0.01, low=0.004, high=0.016) if losses else None,
        verdict="supported" if losses else "not run",
        remark=remark,
        trained=trained,
    )


@pytest.fixture
def page() -> Articles:
    """Return a page with three experiments: one trained, one diverged on a seed, one not run."""
    rows = (claim("A0", (0.08, 0.09)), claim("B2", (2.3, inf)), claim("B16", (), "no <interval>"))
    result = ReproduceResult(
        data="digits",
        train_examples=1_079,
        as_published=False,
        experiments=rows,
        printed_rates=printed_rates(),
    )
    return Articles(
        result=result,
        curves={"a": {"A2 SGD 0.1, step": np.array([0.1, 0.1, 0.05])}},
        panels={"A0": Panel("A0 SGD 0.1", history())},
        sweep=None,
        environment={"Python": "3.11", "machine": "two cores"},
        generated="2026-01-01T00:00:00+00:00",
        command="mlflow run . -e reproduce",
    )


OURS = (
    ("none", "98.05% (98.00% to 98.10%)", "0.085 (0.08 to 0.09)"),
    ("10.10%", "98.05% (98.00% to 98.10%)", "diverged"),
    ("none", "not run"),
)
"""The results of the article, if it has any, and ours in the rows of the page."""


@pytest.fixture(params=[articles_page.html, articles_page.markdown], ids=["html", "markdown"])
def render(request: pytest.FixtureRequest) -> Callable[[Articles], str]:
    """Return each of the two forms of the page."""
    function: Callable[[Articles], str] = request.param
    return function


def test_page_has_a_row_for_each_experiment(page: Articles, render: Callable[[Articles], str]) -> None:
    """With the article's results and ours, the claim and its verdict, in this order."""
    written = re.findall(r"<tr>\n<th scope=\"row\">[AB].*?</tr>|^\| \*\*[^\n]*", render(page), re.DOTALL | re.MULTILINE)
    for line, row, results in zip(written, page.result.experiments, OURS, strict=True):
        text = unescape(re.sub(r"</?(?:tr|th|td|br|span)[^>]*>|[*|]", " ", line))
        cells = (row.id, row.title, row.claim, *results, row.verdict, row.remark)
        assert re.search(".*?".join(map(re.escape, cells)), text, re.DOTALL), text


def test_page_says_where_it_comes_from(page: Articles, render: Callable[[Articles], str]) -> None:
    """Command and machine; that the form is small; all printed rates; how many verdicts there are of each kind."""
    text = render(page)
    for words in ("Small form", "mlflow run . -e reproduce", "two cores", "2 supported, 1 not run"):
        assert words in text
    assert all(str(rate) in text for rate in page.result.printed_rates)
    assert "0.031885575503110886" in text


def test_page_says_that_verdicts_are_adjusted_and_intervals_are_not(
    page: Articles, render: Callable[[Articles], str]
) -> None:
    """So that nobody takes an interval that excludes zero for a verdict."""
    text = " ".join(render(page).split())
    assert "adjusted for their number (Holm 1979), so that the verdicts hold together at 95%" in text
    assert "The intervals shown are not adjusted" in text
    assert "judged alone" not in text


def test_optimizers_stand_side_by_side(page: Articles) -> None:
    """If several were run: in a table, and in one figure with the other solutions; goals are counted separately."""
    losses = (0.03, 0.031)
    rows = tuple(claim(name, losses) for name in ("B1", "B14", "B16", "S2"))
    panels = {row.id: Panel(row.id, history()) for row in rows}
    full = replace(page, result=page.result.model_copy(update={"experiments": rows}), panels=panels)
    text = articles_page.markdown(full)
    shown = text[text.index("## Optimizers side by side") : text.index("## Optimizers that need no schedule")]
    assert [line.split(" | ")[0] for line in shown.splitlines() if line.startswith("| Ada")] == [
        "| Adam (B1)",
        "| Adadelta (B14)",
    ]
    assert "Claims: 3 supported. This project's goals: 1 supported." in text
    assert "- S2: SGD with momentum 0.9, constant" in text
    assert "mean accuracy 97.4" in text
    assert "side by side" in articles_page.html(full)
    drawn = {picture.name: picture.draw(WIDE) for picture in articles_page.pictures(full)}
    titles = [axes.get_title(loc="left") for axes in drawn["losses_solution"].axes]
    assert [title for title in titles if title] == ["B1", "B14", "B16", "S2"]
    assert "side by side" not in articles_page.markdown(page)


def test_optimizers_without_a_schedule_are_shown_as_recorded(page: Articles, render: Callable[[Articles], str]) -> None:
    """Beside the optimizers that were run, with the date and command of the record and what others publish."""
    rows = tuple(claim(name, (0.03, 0.031)) for name in ("B1", "B14"))
    assert "need no schedule" not in render(page)
    text = unescape(render(replace(page, result=page.result.model_copy(update={"experiments": rows}))))
    known = recorded()
    for words in ("Optimizers that need no schedule", known.made, known.command, "Prodigy", "found by search"):
        assert words in text
    for published in known.published:
        assert re.search(f"{re.escape(published.name)}.*?{percent(published.accuracy)}", text, re.DOTALL)


def test_html_escapes_and_loads_nothing_from_outside(page: Articles) -> None:
    """Its pictures are in it."""
    text = articles_page.html(page)
    assert "no &lt;interval&gt;" in text
    assert "http" not in text
    assert text.count("<svg") == 2 * len(list(articles_page.pictures(page)))


def test_markdown_shows_the_pictures_beside_it(page: Articles) -> None:
    """By the names under which the stage saves them; each table row is one line."""
    text = articles_page.markdown(page)
    names = [picture.name for picture in articles_page.pictures(page)]
    assert names == ["schemes_a", "losses_fixed"]
    for name in names:
        assert f"]({name}.png)" in text
    rows = [line for line in text.splitlines() if line.startswith("| **")]
    assert len(rows) == 3
    assert {line.count(" | ") for line in rows} == {7}


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_losses_are_drawn_one_panel_an_experiment(width: float) -> None:
    """Each seed thin, their mean thick, for training and validation; a spare panel of the grid stays empty."""
    figure = articles_page.losses([Panel(f"B{i}", history()) for i in range(1, 5)], width=width)
    visible = [axes for axes in figure.axes if axes.axison]
    assert [axes.get_title(loc="left") for axes in visible] == ["B1", "B2", "B3", "B4"]
    for axes in visible:
        assert len(axes.get_lines()) == 2 * (2 + 1)
    mean = visible[0].get_lines()[2]
    np.testing.assert_allclose(np.asarray(mean.get_ydata()), [1.05, 0.55, 1 / 3 + 0.05])


def test_scheme_curves_start_at_epoch_0() -> None:
    """As the articles count."""
    figure = articles_page.scheme_curves({"step": np.array([0.1, 0.1, 0.05])})
    (line,) = figure.axes[0].get_lines()
    np.testing.assert_array_equal(np.asarray(line.get_xdata()), [0, 1, 2])
    np.testing.assert_array_equal(np.asarray(line.get_ydata()), [0.1, 0.1, 0.05])


def test_long_titles_keep_to_their_panels() -> None:
    """Each ends before that of its right neighbour begins."""
    title = EXPERIMENTS["S3"].name
    figure = articles_page.losses([Panel(title, history()) for _ in range(3)])
    figure.draw_without_rendering()
    drawn = [next(text for text in axes.findobj(Text) if text.get_text().startswith("S3")) for axes in figure.axes]
    boxes = [text.get_window_extent() for text in drawn]
    assert all(left.x1 < right.x0 for left, right in pairwise(boxes))
    assert "".join(drawn[0].get_text().split()) == "".join(title.split())

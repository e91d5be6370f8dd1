"""Which figures a report shows, each as SVG in two layouts."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from markupsafe import Markup
from matplotlib.figure import Figure

from pipeline.reporting import figures, style, svg
from pipeline.reporting.contents import Report
from pipeline.reporting.style import Marks

_Draw = Callable[[float], Figure]
_Planned = Iterator[tuple[str, str, _Draw]]


@dataclass(frozen=True)
class Drawing:
    """A figure laid out twice, for a desk and for a phone; the style sheet shows the one that fits."""

    wide: Markup
    narrow: Markup


def draw(report: Report) -> dict[str, Drawing]:
    """Draw every figure that `report` has data for, by the name of its function in `figures`."""
    marks = style.marks(_schemes(report))
    planned = (*_range_test(report), *_refinement(report), *_curves(report, marks), *_search(report, marks))
    return {name: drawing(name, description, make) for name, description, make in planned}


def _range_test(report: Report) -> _Planned:
    sweep, result = report.sweep, report.range_test
    if sweep is None or result is None:
        return
    curves = {"median": sweep.median, "band_low": sweep.band_low, "band_high": sweep.band_high}

    def make(width: float) -> Figure:
        return figures.range_test(sweep.rates, sweep.losses, result, **curves, width=width)

    yield "range_test", "Training loss against learning rate in the range test", make


def _refinement(report: Report) -> _Planned:
    result = report.range_test
    if result is None or result.refinement is None:
        return
    what = "Validation loss against initial learning rate of the trainings that refined the range test"
    yield "refinement", what, lambda width: figures.refinement(result, width=width)


def _curves(report: Report, marks: Marks) -> _Planned:
    compared = [training for training in report.trainings if training.role != "trial"]
    if not compared:
        return
    who = "of the winner, the finalists and the baselines"
    yield (
        "lr_curves",
        f"Learning rate against epochs {who}",
        lambda width: figures.lr_curves(compared, marks=marks, width=width),
    )
    yield (
        "loss_curves",
        f"Training and validation loss per epoch {who}",
        lambda width: figures.loss_curves(compared, marks=marks, width=width),
    )


def _search(report: Report, marks: Marks) -> _Planned:
    search, trials = report.search, report.trials
    if search is None:
        return
    measure = search.objective.label
    yield (
        "leaderboard",
        f"Mean {measure} of each finalist and baseline with its interval, as in the table that follows",
        lambda width: figures.leaderboard(search, marks=marks, width=width),
    )
    if any(row.basin for row in search.leaderboard):
        yield (
            "basins",
            f"The {measure} against initial learning rate of each finalist, with the noise as a band",
            lambda width: figures.basins(search, marks=marks, width=width),
        )
    if trials is not None and len(trials):
        yield (
            "trials",
            f"The {measure} against initial learning rate of every trial",
            lambda width: figures.trials(trials, search.objective, marks=marks, width=width),
        )


def drawing(name: str, description: str, make: _Draw) -> Drawing:
    """Draw a figure in both layouts; `description` is what a screen reader says."""
    # matplotlib escapes every text that it writes, so the SVG is safe as it is.
    wide = svg.inline(make(style.WIDE), f"{name}-wide", description)
    narrow = svg.inline(make(style.NARROW), f"{name}-narrow", description)
    return Drawing(Markup(wide), Markup(narrow))


def _schemes(report: Report) -> list[str]:
    """List every scheme of the report, the winner first: figures agree on colours, the best get the clearest."""
    ranked = [row.scheme for row in report.search.leaderboard] if report.search else []
    trained = [training.scheme for training in report.trainings]
    tried = sorted(set(report.trials["scheme"].astype(str))) if report.trials is not None else []
    return [report.train.winner.scheme, *ranked, *trained, *tried]

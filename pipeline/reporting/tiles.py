"""Key numbers of the first screen: how sure the answer is, what it cost, and what it saves."""

from dataclasses import replace
from math import isfinite

from pipeline.reporting import wording
from pipeline.reporting.epochs_saved import passing
from pipeline.reporting.gains import Gain, Tile
from pipeline.reporting.report_inputs import Report, entries
from pipeline.results import Baseline, Basin, SearchResult


def how_sure(search: SearchResult) -> Tile:
    """Return the verdict on the winner, and what it rests on."""
    row = next(row for row in search.leaderboard if row.only == search.winner)
    if not row.seeds:
        return Tile("How sure", "not compared", ("a larger budget compares it with other choices",))
    compared = entries(search)
    tied = sum(entry.row.verdict == row.verdict for entry in compared)
    verdict = {
        "winner": f"better than {wording.count(len(compared) - 1, 'other')}",
        "tie": f"tie of {tied}",
        "equivalent": f"{tied} equivalent",
    }.get(row.verdict, row.verdict)
    seeds, splits = wording.count(len(row.seeds), "seed"), wording.count(search.splits, "split")
    level = "at 95%, " if len(row.seeds) > 1 else ""
    return Tile("How sure", verdict, (f"{level}of {len(compared)} compared on {seeds} and {splits} of the data",))


def wide_enough(basin: Basin) -> bool:
    """Return whether enough is known of the rates for a range: a single trial gives none."""
    return basin.lr_high > basin.lr_low


def cost(report: Report) -> Tile:
    """Return what all stages cost in training time, and in trainings of full length."""
    seconds, epochs = sum(one for _, one, _ in report.costs), sum(one for _, _, one in report.costs)
    budget = float(str(report.options["epochs"]))
    return Tile(
        "Cost", wording.seconds(seconds), (f"of training, as many epochs as {epochs / budget:.1f} full trainings",)
    )


def with_epochs_saved(gain: Gain, one: Baseline, report: Report) -> Gain:
    """Add to the winner's gain over a baseline when it passes what that ends with, where both have trainings."""
    assert report.search is not None  # baselines are the search's
    objective = report.search.objective
    if one not in report.search.baselines:
        return gain
    found = passing(report.trainings, one.name, objective)
    if found is None or not isfinite(one.gain.mean):
        return gain
    text = f"{gain.text} The winner reaches this baseline's final {objective.label} {found.text}."
    return Gain(text, replace(gain.tile, details=(*gain.tile.details, f"as good {found.text}")))

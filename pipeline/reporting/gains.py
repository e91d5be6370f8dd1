"""The gains of the winner over baselines, and of a decay and the search, as sentences and as key numbers."""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf, isfinite
from typing import Literal

from pipeline.objective import Objective
from pipeline.reporting import wording
from pipeline.results import Baseline, Comparison, Interval, Question, SearchResult
from pipeline.rivals import RECIPE

GainVerdict = Literal["better", "worse", "unclear"]

_MEANING: dict[GainVerdict, str] = {
    "better": "excludes zero: better",
    "worse": "excludes zero: worse",
    "unclear": "includes zero: no difference shown",
}


@dataclass(frozen=True)
class Tile:
    """One key number with its label, value and explanation."""

    label: str
    value: str
    details: tuple[str, ...]
    direction: GainVerdict | None = None


@dataclass(frozen=True)
class Gain:
    """A gain over one candidate, on paired seeds, as a sentence and as a key number."""

    text: str
    tile: Tile


def gains(search: SearchResult) -> tuple[tuple[Gain, Baseline], ...]:
    """Return what a decay and the search are worth, as far as that is known, then the gains over other baselines.

    Each with what it is a gain over.
    """
    known = [(one, one.over) for one in search.comparisons if one.over]
    answered = [(gain_over(_described(one, over), search.objective, _subject(one)), over) for one, over in known]
    rest = [baseline for baseline in search.baselines if baseline not in [over for _, over in known]]
    return (*answered, *((gain_over(baseline, search.objective), baseline) for baseline in rest))


def unanswered(search: SearchResult) -> list[str]:
    """Return a sentence for each reason why something is not known."""
    reasons: dict[str, list[str]] = {}
    for one in search.comparisons:
        if not one.over and one.question in _WORTH:
            reasons.setdefault(one.unknown, []).append(_WORTH[one.question])
    return [f"It is not known {', nor '.join(what)}: {why}." for why, what in reasons.items()]


_WORTH: dict[Question, str] = {
    "decay": "what a decay is worth compared with the best constant rate",
    "search": f"what the search is worth compared with the {RECIPE}",
}


def _subject(one: Comparison) -> str:
    return "the search" if one.question == "search" else wording.scheme(one.name)


def _described(one: Comparison, over: Baseline) -> Baseline:
    """Return what a choice is compared with under the name that it has in a sentence."""
    constant = f"the best constant rate, {wording.number(over.row.initial_lr)}"
    names: dict[Question, str] = {"decay": constant, "schedule_free": over.name, "search": f"the {over.name}"}
    return over.model_copy(update={"name": names[one.question]})


def gain_over(baseline: Baseline, objective: Objective, subject: str = "") -> Gain:
    """Return the gain of the winner, or of the subject named, over a baseline, in words and as a key number."""
    name, gain, accuracy = baseline.name, baseline.gain, baseline.accuracy_gain
    label, direction, of = f"Against {name}", gain_verdict(gain), f" of {subject}" if subject else ""
    if not isfinite(gain.mean):
        reason = "it diverged on at least one seed" if gain.mean == inf else "not every training has a loss to compare"
        return Gain(f"{label}: {reason}.", Tile(label, "diverged" if gain.mean == inf else "n/a", (reason,), direction))
    meaning = _MEANING[direction]
    if direction == "unclear" and baseline.row.verdict == "worse":
        meaning = "includes zero: another scheme beat it, this one did not"
    text = f"Gain{of} over {name}: {wording.loss(gain.mean)} in {objective.label} ({_bounds(gain)}, {meaning})"
    details = [f"{objective.label}, by {wording.loss(gain.mean)}", _bounds(gain), meaning]
    if accuracy is not None and objective.metric != "val_accuracy":
        text += f"; {wording.points(accuracy.mean)} accuracy points ({_accuracy_bounds(baseline, accuracy)})"
        details.append(f"accuracy {wording.points(accuracy.mean)} points")
    return Gain(f"{text}.", Tile(label, _relative(baseline, objective), tuple(details), direction))


def _accuracy_bounds(baseline: Baseline, gain: Interval) -> str:
    """Return the interval of a difference of accuracies; one from end to end only says that the seeds are too few."""
    if gain.low <= -1 and gain.high >= 1:
        return f"{wording.count(len(baseline.row.seeds), 'seed')}, too few for an interval"
    return f"{_bounds(gain, wording.points)}, {_MEANING[gain_verdict(gain)].partition(':')[0]}"


def _bounds(gain: Interval, shown: Callable[[float], str] = wording.number) -> str:
    """Return the level and the bounds of a gain: "above 0" for one that reads as zero, but is excluded."""
    verdict, low, high = gain_verdict(gain), shown(gain.low), shown(gain.high)
    if verdict == "better" and float(low) == 0:
        return f"{wording.level(gain)} interval above 0 to {high}"
    if verdict == "worse" and float(high) == 0:
        return f"{wording.level(gain)} interval {low} to below 0"
    if not (isfinite(gain.low) and isfinite(gain.high)):
        return bounded(gain)
    return f"{wording.level(gain)} interval {low} to {high}"


def gain_verdict(gain: Interval) -> GainVerdict:
    """Return what the interval shows. A bound of exactly zero is one that excludes it (see `Baseline`)."""
    if gain.low == gain.high == 0:
        return "unclear"
    if gain.low >= 0:
        return "better"
    return "worse" if gain.high <= 0 else "unclear"


def _relative(baseline: Baseline, objective: Objective) -> str:
    """Return by how many percent the winner's loss is lower than the baseline's.

    If the objective is maximised, return the difference instead: percent of an accuracy would read as points.
    """
    reference = baseline.row.objective.mean
    if objective.direction == "max" or not (isfinite(reference) and reference > 0):
        return wording.signed(baseline.gain.mean)
    share = 100 * baseline.gain.mean / reference
    return f"{abs(share):.0f}% {'lower' if share >= 0 else 'higher'}"


def bounded(interval: Interval) -> str:
    """Return the level and the bounds of an interval."""
    return f"{wording.level(interval)} interval {wording.span(interval)}"

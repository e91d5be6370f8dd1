"""The choice: what to train with when the seeds do not decide, and why, in words."""

from collections.abc import Collection, Mapping, Sequence
from math import inf

import numpy as np

from pipeline import statistics
from pipeline.evaluation import Evaluation
from pipeline.results import Basin
from pipeline.schedules import SCHEMES
from pipeline.statistics import Verdicts

_Losses = Mapping[str, Sequence[float]]


def choose(finalists: Mapping[str, Evaluation], found: Verdicts, basins: Mapping[str, Basin], losses: _Losses) -> str:
    """Name the finalist to train with.

    Of those that may be the best the one with the widest basin, to a tenth of a decade: its rate may be off the most.
    Then the simplest scheme, then the lowest mean. Where baselines beat all finalists, the lowest mean.
    """
    means = {
        name: float(np.mean(losses[name])) if found.rows[name].verdict != "diverged" else inf for name in finalists
    }
    tied = [name for name in finalists if name in found.still_in]
    if not tied:
        return min(finalists, key=lambda name: (means[name], SCHEMES[finalists[name].scheme].complexity))
    return min(
        tied,
        key=lambda name: (
            -round(basins[name].decades, 1),
            SCHEMES[finalists[name].scheme].complexity,
            means[name],
        ),
    )


def explain(
    chosen: str, finalists: Collection[str], found: Verdicts, basins: Mapping[str, Basin], losses: _Losses
) -> str:
    """Say why this is the answer, and plainly where a baseline is as good or better."""
    if found.rows[chosen].verdict == "diverged":
        return "every finalist diverged on some seed"
    if found.rows[chosen].verdict == "winner":
        return (
            f"{chosen} beat every other finalist and baseline on the same {len(losses[chosen])} seeds, at 95% over all"
        )
    parts = [_baseline_ahead(finalists, found)] if found.best not in finalists else []
    if found.rows[chosen].verdict == "worse":
        return f"{parts[0]}; {chosen} is the best scheme found"
    parts.append(_tie(chosen, finalists, found, basins, losses))
    return "; ".join(parts)


def _baseline_ahead(finalists: Collection[str], found: Verdicts) -> str:
    if any(name in finalists for name in found.still_in):
        return f"the baseline {found.best} has the lowest mean validation loss"
    return f"every scheme found is worse than {_listed(found.still_in)}"


def _tie(chosen: str, finalists: Collection[str], found: Verdicts, basins: Mapping[str, Basin], losses: _Losses) -> str:
    """Say what is tied, what decided among them, what the choice may cost, and what would part them."""
    seeds = len(losses[chosen])
    others = [name for name in found.still_in if name != chosen]
    tied = [name for name in finalists if name in found.still_in]
    text = f"{seeds} seeds do not tell {chosen} from {_listed(others)}"
    if len(tied) > 1:
        widest = f"{basins[chosen].decades:.1f} decades"
        alone = sum(round(basins[name].decades, 1) == round(basins[chosen].decades, 1) for name in tied) == 1
        why = (
            f"its basin is the widest ({widest})" if alone else f"no basin is wider ({widest}), no such scheme simpler"
        )
        text += f"; of the tied schemes it is chosen because {why}"
    behind = found.rows[chosen].behind.high
    if np.isfinite(behind):
        text += f"; it is behind the best of them by at most {behind:.3g}"
    return text + _resolution(found, losses)


def _resolution(found: Verdicts, losses: _Losses) -> str:
    """Say how many seeds would part the two with the lowest means."""
    first, second = sorted(found.still_in, key=lambda name: float(np.mean(losses[name])))[:2]
    if len(losses[first]) < 2:
        return ""
    needed = statistics.seeds_needed(losses[first], losses[second])
    many = f"about {needed}" if needed <= statistics.MOST_SEEDS else f"more than {statistics.MOST_SEEDS}"
    return f"; to part {first} from {second} would take {many} seeds, going by their difference so far"


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)

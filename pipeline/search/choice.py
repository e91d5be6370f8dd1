"""The choice: which finalist to train with when the seeds do not decide, and why, in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline import statistics
from pipeline.evaluation import Evaluation
from pipeline.objective import VAL_LOSS, Objective
from pipeline.results import Basin
from pipeline.schedules import SCHEMES


@dataclass(frozen=True)
class Evidence:
    """What the choice rests on, by name: `losses` are those of every candidate, `basins` those of the finalists.

    The losses stand for the `objective`: less is better.
    """

    finalists: Mapping[str, Evaluation]
    losses: Mapping[str, Sequence[float]]
    verdicts: statistics.Verdicts
    basins: Mapping[str, Basin]
    objective: Objective = VAL_LOSS

    @property
    def tied(self) -> list[str]:
        """The finalists that may be the best of all."""
        return [name for name in self.finalists if name in self.verdicts.still_in]

    @property
    def close(self) -> list[str]:
        """Of those, the ones whose mean is within a standard error of the lowest (the rule of Breiman et al. 1984).

        What few seeds cannot tell apart may still lie far apart.
        """
        best = np.asarray(self.losses[min(self.tied, key=self.mean)])
        behind = {name: np.asarray(self.losses[name]) - best for name in self.tied}
        return [name for name, by in behind.items() if by.mean() <= by.std(ddof=1) / by.size**0.5]

    def width(self, name: str) -> float:
        """Decades of a finalist's basin, to a tenth: its edges are not known better."""
        return round(self.basins[name].decades, 1)

    def complexity(self, name: str) -> int:
        """How simple a finalist's scheme is; 0 is the constant rate."""
        return SCHEMES[self.finalists[name].candidate.scheme].complexity

    def mean(self, name: str) -> float:
        """Mean loss; infinite where a training diverged."""
        return float(np.mean(self.losses[name]))


def choose(evidence: Evidence) -> str:
    """Name the finalist to train with.

    Of those that may be the best and are close to the best mean, the one with the widest basin: its rate may be off
    the most. Then the one with the simplest scheme, then the one with the best mean. Where baselines beat all
    finalists, the best mean decides.
    """
    if not evidence.tied:
        return min(evidence.finalists, key=lambda name: (evidence.mean(name), evidence.complexity(name)))
    return min(evidence.close, key=lambda name: (-evidence.width(name), evidence.complexity(name), evidence.mean(name)))


def explain(evidence: Evidence, chosen: str) -> str:
    """Say why this is the answer, and plainly where a baseline is as good or better."""
    found, seeds, label = evidence.verdicts, len(evidence.losses[chosen]), evidence.objective.label
    if found.rows[chosen].verdict == "diverged":
        return "every finalist diverged on some seed"
    if found.rows[chosen].verdict == "worse":
        return (
            f"every scheme found is worse in {label} than {_listed(found.still_in)}; {chosen} is the best scheme found"
        )
    if found.rows[chosen].verdict == "winner":
        return (
            f"{chosen} beat every other finalist and baseline in {label} on {seeds} seeds,"
            " at 95% over all comparisons and looks"
        )
    parts = [] if found.best in evidence.finalists else [f"{found.best} has the best mean {label}"]
    others = [name for name in found.still_in if name != chosen]
    parts.append(f"{seeds} seeds do not tell {chosen} from {_listed(others)}")
    parts += [_why(evidence, chosen)] if len(evidence.tied) > 1 else []
    parts.append(f"it is behind the best by at most {found.rows[chosen].behind.high:.3g} in {label}")
    parts.append(_resolution(evidence))
    return "; ".join(parts)


def _why(evidence: Evidence, chosen: str) -> str:
    """Say what decided among finalists that are tied."""
    if evidence.close == [chosen]:
        return f"{chosen} is chosen because its mean is the best by more than a standard error"
    width = f"{evidence.width(chosen):.1f} decades of initial rates"
    rivals = [name for name in evidence.close if name != chosen and evidence.width(name) == evidence.width(chosen)]
    if not rivals:
        return f"{chosen} is chosen because its basin is the widest, {width}"
    if all(evidence.complexity(name) > evidence.complexity(chosen) for name in rivals):
        return f"{chosen} is chosen as the simplest of those with the widest basin, {width}"
    return f"{chosen} is chosen for the best mean of those with the widest basin, {width}, and the simplest schemes"


def _resolution(evidence: Evidence) -> str:
    """Say how many seeds would tell the two with the best means apart."""
    first, second = sorted(evidence.verdicts.still_in, key=evidence.mean)[:2]
    needed = statistics.seeds_needed(evidence.losses[first], evidence.losses[second])
    many = f"about {needed}" if needed <= statistics.MOST_SEEDS else f"more than {statistics.MOST_SEEDS}"
    return f"going by the difference so far, {many} seeds would tell {first} from {second}"


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)

"""The choice of the finalist to train with where the seeds do not decide, and the reason in words."""

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
    """What the choice is based on: losses of all candidates and basins of the finalists, by name.

    The losses are the `objective`, negated where more is better.
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
        """Those of the tied whose mean is within a standard error of the lowest (the rule of Breiman et al. 1984).

        With few seeds even finalists that are far apart can be tied.
        """
        best = np.asarray(self.losses[min(self.tied, key=self.mean)])
        behind = {name: np.asarray(self.losses[name]) - best for name in self.tied}
        return [name for name, by in behind.items() if by.mean() <= by.std(ddof=1) / by.size**0.5]

    def width(self, name: str) -> float:
        """Return the decades of a finalist's basin, rounded to a tenth: its edges are not known more precisely."""
        return round(self.basins[name].decades, 1)

    def complexity(self, name: str) -> int:
        """Return the complexity of a finalist's scheme; 0 is the constant rate."""
        return SCHEMES[self.finalists[name].candidate.scheme].complexity

    def mean(self, name: str) -> float:
        """Return the mean loss; infinite where a training diverged."""
        return float(np.mean(self.losses[name]))


def choose(evidence: Evidence) -> str:
    """Return the name of the finalist to train with.

    Among those that may be the best and are close to the best mean, the widest basin decides, since it leaves the most
    room for a wrong rate; then the simplest scheme, then the best mean. Where baselines beat all finalists, the best
    mean decides.
    """
    if not evidence.tied:
        return min(evidence.finalists, key=lambda name: (evidence.mean(name), evidence.complexity(name)))
    return min(evidence.close, key=lambda name: (-evidence.width(name), evidence.complexity(name), evidence.mean(name)))


def explain(evidence: Evidence, chosen: str) -> str:
    """Say why this finalist was chosen, also where a baseline is as good or better."""
    found, seeds, label = evidence.verdicts, len(evidence.losses[chosen]), evidence.objective.label
    if found.rows[chosen].verdict == "diverged":
        return "every finalist diverged on some seed"
    if found.rows[chosen].verdict == "worse":
        return f"every scheme is worse in {label} than {_listed(found.still_in)}; {chosen} is the best of the schemes"
    if found.rows[chosen].verdict == "winner":
        return (
            f"{chosen} beat every other finalist and baseline in {label} on {seeds} seeds,"
            " with 95% confidence over all comparisons"
        )
    parts = [] if found.best in evidence.finalists else [f"{found.best} has the best mean {label}"]
    others = [name for name in found.still_in if name != chosen]
    parts.append(f"{seeds} seeds do not distinguish {chosen} from {_listed(others)}")
    parts += [_why(evidence, chosen)] if len(evidence.tied) > 1 else []
    parts.append(f"it is at most {found.rows[chosen].behind.high:.3g} behind the best in {label}")
    parts.append(_resolution(evidence))
    return "; ".join(parts)


def _why(evidence: Evidence, chosen: str) -> str:
    """Say what decided among tied finalists."""
    if evidence.close == [chosen]:
        return f"{chosen} is chosen because its mean is best by more than a standard error"
    width = f"{evidence.width(chosen):.1f} decades of initial rates"
    rivals = [name for name in evidence.close if name != chosen and evidence.width(name) == evidence.width(chosen)]
    if not rivals:
        return f"{chosen} is chosen because its basin is the widest, {width}"
    if all(evidence.complexity(name) > evidence.complexity(chosen) for name in rivals):
        return f"{chosen} is chosen as the simplest of those with the widest basin, {width}"
    return f"{chosen} is chosen for its mean, the best of the simplest schemes with the widest basin, {width}"


def _resolution(evidence: Evidence) -> str:
    """Say how many seeds would distinguish the two with the best means."""
    first, second = sorted(evidence.verdicts.still_in, key=evidence.mean)[:2]
    needed = statistics.seeds_needed(evidence.losses[first], evidence.losses[second])
    many = f"about {needed}" if needed <= statistics.MOST_SEEDS else f"more than {statistics.MOST_SEEDS}"
    return f"if the difference stays as it is, {many} seeds would distinguish {first} from {second}"


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)

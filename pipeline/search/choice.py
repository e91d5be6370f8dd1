"""The choice between tied finalists, and the reason for it in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf

from pipeline import statistics
from pipeline.objective import VAL_LOSS, Objective


@dataclass(frozen=True)
class Evidence:
    """What the choice is based on.

    Attributes:
        losses: the losses of finalists and baselines by name, one per seed: the objective, negated if higher is
            better.
        verdicts: the verdicts on these losses.
        expected: for each finalist, how bad its loss may be, estimated from all trainings of the search.
        objective: what the losses measure.
        reserves: the baselines that may be chosen if every finalist was beaten, since their setting was searched.

    """

    losses: Mapping[str, Sequence[float]]
    verdicts: statistics.Verdicts
    expected: Mapping[str, float]
    objective: Objective = VAL_LOSS
    reserves: Sequence[str] = ()

    @property
    def tied(self) -> list[str]:
        """The finalists that may be the best candidate."""
        return [name for name in self.expected if name in self.verdicts.still_in]

    @property
    def beaten(self) -> list[str]:
        """The baselines that were beaten."""
        rows = self.verdicts.rows.items()
        return [name for name, row in rows if row.verdict == "worse" and name not in self.expected]

    @property
    def eligible(self) -> list[str]:
        """The tied finalists that themselves beat every baseline that is "worse"; all tied finalists if none does.

        Otherwise a report could call a baseline worse although the chosen candidate was not shown to be better.
        """
        able = [one for one in self.tied if all(self.verdicts.beats(one, other) for other in self.beaten)]
        return able or self.tied

    def rank(self, name: str) -> tuple[bool, int, float]:
        """Return the sort key where every finalist was beaten: whether it diverged, more seeds first, then the mean."""
        mean = sum(self.losses[name]) / len(self.losses[name])
        return mean == inf, -len(self.losses[name]), mean


def choose(evidence: Evidence) -> str:
    """Return the name of what to train with: of the finalists that may be the best, the one with the best worst case.

    Means on a few seeds do not decide, since the lowest of several is partly luck. If every finalist was beaten, a
    baseline may be chosen too: what was beaten last, or among several of these the one with the best mean.
    """
    if evidence.tied:
        return min(evidence.eligible, key=evidence.expected.__getitem__)
    return min([*evidence.expected, *evidence.reserves], key=evidence.rank)


def explain(evidence: Evidence, chosen: str, trainings: int) -> str:
    """Return why this one was chosen after so many trainings, even if a baseline is as good or better."""
    found, seeds, label = evidence.verdicts, len(evidence.losses[chosen]), evidence.objective.label
    verdict = found.rows[chosen].verdict
    others = [name for name in found.still_in if name != chosen]
    if verdict == "diverged":
        return "every finalist diverged on some seed"
    if verdict == "worse":
        lost = f"every scheme is worse in {label} than {found.still_in[0]}"
        if len(found.still_in) > 1:
            lost = f"every scheme was beaten in {label}, and the best is one of {_listed(found.still_in)}"
        return f"{lost}; {chosen} is the best of what was searched"
    if chosen in evidence.reserves:
        equal = f", which {seeds} seeds do not distinguish from {_listed(others)}" if others else ""
        return f"every scheme is worse in {label} than {chosen}{equal}; {_BEYOND}"
    if verdict == "winner":
        return (
            f"{chosen} beat every other finalist and baseline in {label} on {seeds} seeds,"
            " with 95% confidence over all comparisons"
        )
    if verdict == "equivalent":
        return f"{chosen} and {_listed(others)} differ in {label} by less than the tolerance, with 95% confidence"
    parts = [] if found.best in evidence.expected else [f"{found.best} has the best mean {label}"]
    parts.append(f"{seeds} seeds do not distinguish {chosen} from {_listed(others)}")
    if len(evidence.tied) > 1:
        if len(evidence.eligible) == 1:
            parts.append(f"{chosen} is chosen because it alone of the tied schemes beat {_listed(evidence.beaten)}")
        else:
            why = f"its {label} is expected to suffer least when rate, data and seed vary a little"
            parts.append(f"{chosen} is chosen because, according to all {trainings} trainings, {why}")
    if seeds == 1:
        return "; ".join([*parts, "one seed shows no spread, so there is no bound on how far it is behind the best"])
    parts.append(f"it is at most {found.rows[chosen].behind.high:.3g} behind the best in {label}")
    parts.append(_resolution(evidence))
    return "; ".join(parts)


_BEYOND = "good rates may lie beyond those tried (lr_min, lr_max)"


def _resolution(evidence: Evidence) -> str:
    """Return how many seeds would distinguish the two with the best means, in words."""
    means = {name: sum(evidence.losses[name]) / len(evidence.losses[name]) for name in evidence.verdicts.still_in}
    first, second = sorted(means, key=means.__getitem__)[:2]
    needed = statistics.seeds_needed(evidence.losses[first], evidence.losses[second])
    many = f"about {needed}" if needed <= statistics.MOST_SEEDS else f"more than {statistics.MOST_SEEDS}"
    return f"if the difference stays as it is, {many} seeds would distinguish {first} from {second}"


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)

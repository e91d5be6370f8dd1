"""The choice between finalists that the seeds do not decide: their basins, and the reason in words."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf

import numpy as np

from pipeline import statistics
from pipeline.evaluation import Evaluation
from pipeline.objective import VAL_LOSS, Objective
from pipeline.results import Basin
from pipeline.schedules import SCHEMES
from pipeline.search.plan import Evaluate, Trial


@dataclass(frozen=True)
class Evidence:
    """What the choice is based on: losses of all candidates and basins of the finalists, by name.

    The losses are the `objective`, negated where more is better. `preference` is the expected loss of each finalist,
    None where basins decide.
    """

    finalists: Mapping[str, Evaluation]
    losses: Mapping[str, Sequence[float]]
    verdicts: statistics.Verdicts
    basins: Mapping[str, Basin]
    objective: Objective = VAL_LOSS
    baselines: Collection[str] = ()
    preference: Mapping[str, float] | None = None

    @property
    def tied(self) -> list[str]:
        """The finalists that may be the best of all."""
        return [name for name in self.finalists if name in self.verdicts.still_in]

    @property
    def eligible(self) -> list[str]:
        """Those of the tied that beat every baseline which anyone beat, or all of them if none did.

        So a baseline that is called worse is, where possible, one that the answer itself beat.
        """
        beaten = [name for name in self.baselines if self.verdicts.rows[name].verdict == "worse"]
        ahead = [one for one in self.tied if all(self.verdicts.beats(one, baseline) for baseline in beaten)]
        return ahead or self.tied

    @property
    def close(self) -> list[str]:
        """Those of the eligible whose mean is within a standard error of the lowest (Breiman et al. 1984).

        With few seeds even finalists that are far apart can be tied.
        """
        best = np.asarray(self.losses[min(self.eligible, key=self.mean)])
        behind = {name: np.asarray(self.losses[name]) - best for name in self.eligible}
        return [name for name, by in behind.items() if by.size < 2 or by.mean() <= by.std(ddof=1) / by.size**0.5]

    def width(self, name: str) -> float:
        """Return the decades of a finalist's basin, rounded to a tenth: its edges are not known more precisely."""
        return round(self.basins[name].decades, 1)

    def complexity(self, name: str) -> int:
        """Return the complexity of a finalist's scheme; 0 is the constant rate."""
        return SCHEMES[self.finalists[name].candidate.scheme].complexity

    def rank(self, name: str) -> tuple[bool, int, float, int]:
        """Return what orders finalists that were beaten: whether it diverged, on how many seeds, mean, complexity."""
        return (self.mean(name) == inf, -len(self.losses[name]), self.mean(name), self.complexity(name))

    def mean(self, name: str) -> float:
        """Return the mean loss; infinite where a training diverged."""
        return float(np.mean(self.losses[name]))


def choose(evidence: Evidence) -> str:
    """Return the name of the finalist to train with.

    Among those that may be the best, the lowest expected loss decides where it is known. Otherwise it is the widest
    basin, of those close to the best mean, since it leaves the most room for a wrong rate; then the simplest scheme,
    then the best mean. Where baselines beat all finalists, the one that was beaten last is chosen, then the best mean.
    """
    if not evidence.tied:
        return min(evidence.finalists, key=evidence.rank)
    if (preference := evidence.preference) is not None:
        return min(evidence.eligible, key=lambda name: (preference[name], evidence.mean(name)))
    return min(evidence.close, key=lambda name: (-evidence.width(name), evidence.complexity(name), evidence.mean(name)))


def explain(evidence: Evidence, chosen: str) -> str:
    """Say why this finalist was chosen, also where a baseline is as good or better."""
    found, seeds, label = evidence.verdicts, len(evidence.losses[chosen]), evidence.objective.label
    verdict = found.rows[chosen].verdict
    if verdict == "diverged":
        return "every finalist diverged on some seed"
    if verdict == "not compared":
        return f"{chosen} was not compared with anything"
    if verdict == "worse":
        lost = f"every scheme is worse in {label} than {found.still_in[0]}"
        if len(found.still_in) > 1:
            lost = f"every scheme was beaten in {label}, and the best is one of {_listed(found.still_in)}"
        return f"{lost}; {chosen} is the best of the schemes"
    if verdict == "winner":
        return (
            f"{chosen} beat every other finalist and baseline in {label} on {seeds} seeds,"
            " with 95% confidence over all comparisons"
        )
    parts = [] if found.best in evidence.finalists else [f"{found.best} has the best mean {label}"]
    others = [name for name in found.still_in if name != chosen]
    shown = f"show {chosen} to be equivalent to" if verdict == "equivalent" else f"do not distinguish {chosen} from"
    parts.append(f"{seeds} seeds {shown} {_listed(others)}")
    parts += [_why(evidence, chosen)] if len(evidence.tied) > 1 else []
    if seeds == 1:
        return "; ".join([*parts, "one seed shows no spread, so there is no bound on how far it is behind the best"])
    parts.append(f"it is at most {found.rows[chosen].behind.high:.3g} behind the best in {label}")
    parts += [_resolution(evidence)] if verdict == "tie" else []
    return "; ".join(parts)


def _why(evidence: Evidence, chosen: str) -> str:
    """Say what decided among tied finalists."""
    if evidence.eligible == [chosen]:
        beaten = [name for name in evidence.baselines if evidence.verdicts.rows[name].verdict == "worse"]
        return f"{chosen} is chosen because no other of the schemes beat {_listed(beaten)} as well"
    if evidence.preference is not None:
        return f"{chosen} is chosen because its expected loss is the lowest"
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
    ours, theirs = evidence.losses[first], evidence.losses[second]
    needed = max(statistics.seeds_needed(ours, theirs), len(ours) + 1)  # these many did not
    many = f"about {needed}" if needed <= statistics.MOST_SEEDS else f"more than {statistics.MOST_SEEDS}"
    return f"if the difference stays as it is, {many} seeds would distinguish {first} from {second}"


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


EDGE_RUNS = 3
"""The most trainings for each of the two edges of a basin."""

NOISE_RUNS = 2
"""Trainings of each finalist on further seeds, to measure the noise at a trial's budget."""

BASIN_RUNS = EDGE_RUNS + NOISE_RUNS // 2
"""The most trainings for each side of a basin, including half of those for the noise."""

_DEVIATIONS = 2.0
"""Standard deviations above the best that count as noise; the best of a few is itself low by chance."""


def measure_noise(finalists: Iterable[Evaluation], evaluate: Evaluate) -> float:
    """Return how far above the best a loss at a trial's budget may be by chance: two standard deviations over seeds.

    Short trainings are noisier than full ones, so the seeds of the confirmation do not show this.
    """
    groups = [[replace(finalist, seed=finalist.seed + at) for at in range(NOISE_RUNS + 1)] for finalist in finalists]
    outcomes = iter(evaluate([asked for group in groups for asked in group]))
    losses = [[next(outcomes).loss for _ in group] for group in groups]
    return _DEVIATIONS * statistics.seed_noise(losses)


def measure_basins(
    centres: Mapping[str, Evaluation],
    trials: Sequence[Trial],
    evaluate: Evaluate,
    noise: float,
    objective: Objective = VAL_LOSS,
) -> dict[str, Basin]:
    """Find the rates around each centre whose loss is within `noise` of the best, all else being equal.

    Trials that differ from a centre only in their rate are used. Up to `EDGE_RUNS` trainings are added for each edge,
    where they are most informative. Both edges of all basins are trained at once.
    """
    losses = {name: _known(centre, trials) for name, centre in centres.items()}
    unknown = [name for name, centre in centres.items() if centre.candidate.initial_lr not in losses[name]]
    for name, outcome in zip(unknown, evaluate([centres[name] for name in unknown]), strict=True):
        losses[name][centres[name].candidate.initial_lr] = outcome.loss
    for _ in range(EDGE_RUNS):
        asked = [
            (name, rate)
            for name, centre in centres.items()
            for side in (-1, 1)
            if (rate := _next_rate(losses[name], centre, noise, side)) is not None
        ]
        outcomes = evaluate([centres[name].trying(initial_lr=rate) for name, rate in asked])
        for (name, rate), outcome in zip(asked, outcomes, strict=True):
            losses[name][rate] = outcome.loss
    return {
        name: _basin(centre.candidate.initial_lr, losses[name], noise, objective) for name, centre in centres.items()
    }


def _known(centre: Evaluation, trials: Sequence[Trial]) -> dict[float, float]:
    """Return the losses of trials that differ from the centre only in the rate, by rate."""
    own = centre.candidate.initial_lr
    alike = [trial for trial in trials if trial.evaluation.trying(initial_lr=own) == centre]
    return {trial.evaluation.candidate.initial_lr: trial.outcome.loss for trial in alike}


def _next_rate(losses: Mapping[float, float], centre: Evaluation, noise: float, side: int) -> float | None:
    own = centre.candidate.initial_lr
    return statistics.next_rate(losses, own, noise, side) if np.isfinite(losses[own]) else None


def _basin(centre: float, losses: Mapping[float, float], noise: float, objective: Objective) -> Basin:
    sound = np.isfinite(losses[centre])
    low, high = statistics.basin(losses, centre, noise) if sound else (centre, centre)
    rates = sorted(losses)
    return Basin(
        lr_low=low,
        lr_high=high,
        decades=statistics.decades(low, high),
        noise=noise,
        rates=tuple(rates),
        values=tuple(objective.oriented(losses[rate]) for rate in rates),
    )

"""Which scheme gets the next trial, at which rate, and at which budgets."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from math import inf

from pipeline.search.plan import Evaluate, Plan, Space
from pipeline.search.race import Point, Race
from pipeline.search.rates import common_rate, next_in_bracket

FIRST = ("linear", "one_cycle", "cosine", "warmup_stable_decay", "rex")
"""Tried before the others, since comparisons find them good nearly everywhere: linear decay no worse than any common
one on ten problems (Defazio et al. 2023, arXiv:2310.07831), rex (Chen et al. 2021, arXiv:2107.04197), the trapezoid on
a par with cosine (Haegele et al. 2024, arXiv:2405.18392). An order only: every scheme is tried."""

_MULTIPLES = (1.0, 10**-0.2, 10**0.2)
"""The first trials of a race have the scheme's default parameters, at these multiples of the common rate: the smaller
first, since beyond the best rate losses become noisy and soon diverge."""

_EVENNESS = 2
"""Added to each rank when further trials are shared out: ranks from one training each are not to be relied on."""


@dataclass(frozen=True)
class _Ask:
    """A trial to make: `point` is what to try, None where the sampler proposes; one more than asked for if `extra`."""

    race: Race
    budgets: Sequence[float]
    point: Point | None = None
    extra: bool = False


def run_races(plan: Plan, evaluate: Evaluate) -> list[Race]:
    """Run `plan.trials` trials, and a few more where the best rate lies at a bound; one race a scheme and space.

    1. The first scheme looks for the best rate, at the full budget, from the suggested one on.
    2. Each other scheme is tried once at the rate that is best for all so far: at the budgets of trials, and on to the
       full one where it is among the best there.
    3. Further trials go to the schemes with the lowest losses: next to the rate that is best for all, at the full
       budget, then as the sampler proposes.
    """
    schemes = sorted(plan.schemes, key=lambda scheme: FIRST.index(scheme) if scheme in FIRST else len(FIRST))
    races = [Race(plan, space, scheme) for scheme, space in product(schemes, plan.spaces)]
    number, ask = 0, _next(plan, races)
    while number < plan.trials or ask.extra:
        others = [race for race in races if race is not ask.race]
        ask.race.run_trial(number, evaluate, ask.budgets, partial(_leads, plan, others), ask.point)
        number, ask = number + 1, _next(plan, races)
    return races


def _leads(plan: Plan, others: Sequence[Race], loss: float) -> bool:
    """Whether a loss at the highest budget of trials is among the lowest so far of as many schemes as are confirmed."""
    lowest = [min((t.outcome.loss for t in race.at(plan.trial_epochs)), default=inf) for race in others]
    return sum(other < loss for other in lowest) < plan.top_k


def _next(plan: Plan, races: Sequence[Race]) -> _Ask:
    """What the next trial is; depends on the trials so far alone, never on how many there will be."""
    whole, climbing = (plan.epochs,), (*plan.budgets, plan.epochs)
    for first in sorted(races[: len(plan.spaces)], key=lambda race: race.length):
        rate = _bracket(plan, races, first)
        if rate is not None:
            return _Ask(first, whole, first.defaults(rate))
    for race in races:
        if not race.length:
            return _Ask(race, climbing, race.defaults(_common(plan, races, race.space)))
    ranked = sorted(races, key=_loss)
    for leader in [race for race in ranked if race.best][: plan.top_k]:
        beyond = leader.widen()
        if beyond is not None:
            return _Ask(leader, whole, beyond, extra=True)
    # D'Hondt's rule with votes that fall slowly: the best scheme gets twice the trials of the fourth, and none starves.
    shares = [1 / ((rank + _EVENNESS) * race.length) for rank, race in enumerate(ranked, start=1)]
    race = ranked[shares.index(max(shares))]
    if race.length >= len(_MULTIPLES):
        return _Ask(race, climbing)
    return _Ask(race, whole, race.defaults(_common(plan, races, race.space) * _MULTIPLES[race.length]))


def _bracket(plan: Plan, races: Sequence[Race], first: Race) -> float | None:
    """The next rate of the first scheme; None when it knows the best, at a bound too, or other schemes have begun."""
    if any(race.length for race in races if race.space == first.space and race is not first):
        return None
    tried = {trial.evaluation.initial_lr: trial.outcome.loss for trial in first.at(plan.epochs)}
    rate = next_in_bracket(tried, first.space.suggested_lr)
    return None if rate is None or first.clipped(rate) in tried else rate


def _common(plan: Plan, races: Sequence[Race], space: Space) -> float:
    known = [trial for race in races if race.space == space for trial in race.at(plan.epochs)]
    return common_rate(known, space.suggested_lr)


def _loss(race: Race) -> tuple[float, float]:
    """The budget and loss it has come to; a race of which nothing is known, since all diverged, comes first."""
    return (-race.best.evaluation.epochs, race.best.outcome.loss) if race.best else (-inf, -inf)

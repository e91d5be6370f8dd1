"""Which scheme gets the next trial."""

from collections.abc import Sequence
from itertools import product
from math import inf

from pipeline.search.plan import Evaluate, Plan
from pipeline.search.race import Race


def run_races(plan: Plan, evaluate: Evaluate) -> list[Race]:
    """Run `plan.trials` trials, and a few more where the best rate lies at a bound; one race a scheme and space."""
    races = [Race(plan, space, scheme) for scheme, space in product(plan.schemes, plan.spaces)]
    number = 0
    while race := _next(plan, races, number):
        race.run_trial(number, evaluate)
        number += 1
    return races


def _next(plan: Plan, races: Sequence[Race], number: int) -> Race | None:
    """The race that gets trial `number`; depends on the trials so far alone, never on how many there will be."""
    if number < plan.trials and (untried := [race for race in races if not race.length]):
        return untried[0]
    ranked = sorted((race for race in races if race.length), key=_loss)
    for leader in [race for race in ranked if race.best][: plan.top_k]:
        if leader.widen():
            return leader
    if number >= plan.trials:
        return None
    # D'Hondt's rule, with 1 / rank for votes: the best scheme gets twice the trials of the second, and none starves.
    shares = [1 / (rank * race.length) for rank, race in enumerate(ranked, start=1)]
    return ranked[shares.index(max(shares))]


def _loss(race: Race) -> float:
    """The loss it has come to; a race of which nothing is known yet, since all diverged, comes first."""
    return race.best.outcome.loss if race.best else -inf

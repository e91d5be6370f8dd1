"""When seeds are added one batch after another: when to look, and how much error each look may spend.

Looking again at growing data gives chance another opportunity, so the error of 1 - level is shared out over the looks:
by the n-th of `limit` seeds (n / limit) ** 2 of it may be spent (the power family of spending functions, Kim and DeMets
1987; it lies between those that act like Pocock's and like O'Brien and Fleming's boundaries, Lan and DeMets 1983). What
a look may spend is the level of its own t test. By the union bound the sum holds for any dependence between looks:
nothing is assumed but that the paired differences are normal.
"""

from collections.abc import Sequence

FIRST = 3
"""Seeds before the first look: with two, a t test has one degree of freedom and rejects nothing."""

_SPARSE = 1.5
"""Each look but the last has at least this factor to the limit: one just before it would spend for nothing."""


def looks(limit: int) -> tuple[int, ...]:
    """Give the numbers of seeds at which to look: 3, doubled while well below `limit`, and `limit` itself."""
    if limit < 1:
        raise ValueError(f"the limit of seeds must be at least 1, received {limit}")
    found = []
    seeds = FIRST
    while seeds * _SPARSE <= limit:
        found.append(seeds)
        seeds *= 2
    return (*found, limit)


def spent_at(look: int, schedule: Sequence[int]) -> float:
    """Give the share of the error that the look at `look` seeds may spend; over all looks of `schedule` it is 1."""
    if look not in schedule:
        raise ValueError(f"there is no look at {look} seeds, only at {', '.join(map(str, schedule))}")
    before = max((seeds for seeds in schedule if seeds < look), default=0)
    return float((look**2 - before**2) / schedule[-1] ** 2)

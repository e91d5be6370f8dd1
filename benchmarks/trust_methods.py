"""Ways to name a winner among five candidates on few paired seeds, compared by simulation.

    python -m benchmarks.trust_methods [--repeats 20000] [--worst 4000] [--counts 20000]

Prints how often each names a winner where two are equal (an error), and where one is truly ahead (its power). Losses
are normal, with unit noise for each candidate. The search's own method, `pipeline.statistics.verdicts`, is
reimplemented here for many repeats at a time. The table is that of docs/statistics.md.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from pipeline import statistics

Floats = NDArray[np.float64]
Tail = Callable[[Floats, Floats], Floats]

LEVEL = 0.05
PROBLEMS = {
    "two equal": (0.0, 0.0, 6.0, 8.0, 10.0),
    "all equal": (0.0,) * 5,
    "ahead by 2": (0.0, 2.0, 6.0, 8.0, 10.0),
    "steps of 1": (0.0, 1.0, 2.0, 3.0, 4.0),
}
LIMITS = (2, 3, 4, 6, 10)
COUNT_NOISE = (0.25, 0.5, 0.75, 1.0, 2.0, 4.0)
"""Standard deviations of the number of validation examples that a candidate gets right, beyond the seed's effect."""


@dataclass(frozen=True)
class Method:
    """A rule that names a winner.

    Attributes:
        name: its name in the table.
        share: returns the one-sided share of the error for one comparison, by the number of candidates.
        spends: whether the error is spread over the looks; otherwise each look gets all of it.
        step_down: whether only the candidates still in are counted; otherwise all are.
        only_last: whether there is only one look, at the limit.
        moderates: whether a pair's variance is moderated by those of the others.
        tail: returns the value to compare with the error, given t statistics and their degrees of freedom.

    """

    name: str
    share: Callable[[Floats], Floats]
    spends: bool = True
    step_down: bool = False
    only_last: bool = False
    moderates: bool = False
    tail: Tail = lambda t, freedom: np.asarray(stats.t.sf(t, freedom))


def _mixture(t: Floats, freedom: Floats) -> Floats:
    """Return half the inverse of the t-mixture martingale with unit effects (Lai 1976; Wang and Ramdas 2024)."""
    seeds = freedom + 1
    spread = 1.0 + seeds
    log_ratio = np.log1p(t**2 / freedom) - np.log1p(t**2 / (spread * freedom))
    evidence = np.exp(seeds / 2 * log_ratio) / np.sqrt(spread)
    return np.where(t > 0, 0.5 / evidence, 1.0)


STEPS = Method("the same, step by step", lambda k: 1 / np.maximum(k - 1, 2), step_down=True)
OURS = replace(STEPS, name="ours: the same, moderated variances", moderates=True)
METHODS = (
    Method("plain t tests at 95% at every look", lambda k: 0.5 + 0 * k, spends=False),
    Method("all pairs, Bonferroni, every look", lambda k: 1 / (k * (k - 1))),
    Method("with the best, two-sided (Edwards and Hsu)", lambda k: 0.5 / (k - 1)),
    Method("with the best, one-sided (Hsu)", lambda k: 1 / np.maximum(k - 1, 2)),
    STEPS,
    OURS,
    replace(OURS, name="ours, but one look at the limit", only_last=True),
    replace(STEPS, name="step by step, with a confidence sequence", spends=False, tail=_mixture),
)


def confirm(
    method: Method, losses: Floats, schedule: Sequence[int], resolution: float = 0.0
) -> tuple[NDArray[np.bool_], Floats]:
    """Return which candidates are still in at the end, and the seeds of each, both of shape (repeats, candidates).

    `losses` has shape (repeats, candidates, seeds). Candidates that are beaten are trained no further.
    """
    schedule = schedule[-1:] if method.only_last else schedule
    still_in = np.ones(losses.shape[:2], bool)
    used = np.zeros(losses.shape[:2])
    for look in schedule:
        error = LEVEL * (statistics.spent_at(look, schedule) if method.spends else 1.0)
        for running in np.unique(still_in, axis=0):
            if running.sum() < 2:
                continue
            rows, names = (still_in == running).all(1).nonzero()[0], running.nonzero()[0]
            used[np.ix_(rows, names)] = look
            left = _unbeaten(method, losses[np.ix_(rows, names)][:, :, :look], error, losses.shape[1], resolution)
            still_in[np.ix_(rows, names)] = left
    return still_in, used


def _unbeaten(method: Method, seen: Floats, error: float, candidates: int, resolution: float) -> NDArray[np.bool_]:
    """Return which of the compared candidates are not beaten at a look."""
    repeats, k, look = seen.shape
    differences = seen[:, :, None] - seen[:, None]
    upper = np.triu_indices(k, 1)
    variances = np.maximum(differences.var(-1, ddof=1)[:, *upper], max(statistics.rounding(resolution), 1e-12))
    freedom = np.full(repeats, look - 1.0)
    if method.moderates:
        variances, freedom = statistics.moderated(variances, look - 1, k)
        variances = np.maximum(variances, statistics.rounding(resolution))
    deviation = np.full((repeats, k, k), np.inf)
    deviation[:, *upper] = deviation[:, *upper[::-1]] = np.sqrt(variances / look)
    tail = method.tail(differences.mean(-1) / deviation, freedom[:, None, None])
    still_in = np.ones((repeats, k), bool)
    while True:
        count = still_in.sum(1) if method.step_down else np.full(repeats, candidates)
        beaten = (tail < (error * method.share(count.astype(float)))[:, None, None]) & still_in[:, None]
        kept = still_in & ~beaten.any(2)
        if (kept == still_in).all():
            return still_in
        still_in = kept


def compare(repeats: int) -> None:
    """Print the table of all methods."""
    print(f"| method | limit | {' | '.join(PROBLEMS)} | seeds, ahead by 2 |\n|{' --- |' * (len(PROBLEMS) + 3)}")
    for limit in (3, 6, 10):
        schedule = statistics.looks(limit)
        rng = np.random.default_rng(0)
        drawn = {
            name: np.array(means)[:, None] + rng.normal(size=(repeats, len(means), limit))
            for name, means in PROBLEMS.items()
        }
        for method in METHODS:
            found = {name: confirm(method, losses, schedule) for name, losses in drawn.items()}
            shares = " | ".join(f"{100 * (still_in.sum(1) == 1).mean():.1f}%" for still_in, _ in found.values())
            print(f"| {method.name} | {limit} | {shares} | {found['ahead by 2'][1].mean():.1f} |", flush=True)


def hard_problems() -> Iterator[tuple[Floats, Floats]]:
    """Yield means and noise of candidates that are tied or nearly so, with or without some that are further off."""
    for k, apart, further in product((3, 4, 5, 8), (0.0, 0.3, 0.6, 1.0, 2.0), (0.0, 1.0, 2.0, 4.0)):
        off = (k - 1) // 2 if further else 0
        means = np.array([0.0] + [apart] * (k - 1 - off) + [apart + further] * off)
        one = np.ones(k)
        for noise in (one, np.r_[0.2, one[1:]], np.r_[3.0, one[1:]], np.r_[1.0, 0.2, one[2:]], np.linspace(0.3, 3, k)):
            yield means, noise


def worst(repeats: int) -> None:
    """Print how often our method errs on the problem where it errs most."""
    for limit in (*LIMITS, 30):
        rng, false, lost = np.random.default_rng(1), [], []
        for means, noise in hard_problems():
            losses = means[:, None] + noise[:, None] * rng.normal(size=(repeats, means.size, limit))
            still_in, _ = confirm(OURS, losses, statistics.looks(limit))
            best = means == means.min()
            alone = still_in.sum(1) == 1
            false.append(float((alone & ~((still_in & best).any(1) & (best.sum() == 1))).mean()))
            lost.append(float((~(still_in & best).any(1)).mean()))
        print(
            f"limit {limit}, {len(lost)} problems: a false or tied winner in at most {100 * max(false):.1f}%, "
            f"none of the best still in in at most {100 * max(lost):.1f}%",
            flush=True,
        )


def counts(repeats: int) -> None:
    """Print how often our method distinguishes equal candidates whose scores are counts, as accuracies are."""
    for means in ((0, 0), (0, 0, 30, 40, 50)):
        print(f"{len(means)} candidates, two of them equal")
        for limit in LIMITS:
            rng, found = np.random.default_rng(2), []
            for noise in COUNT_NOISE:
                shared = rng.uniform(-2, 2, (repeats, 1, limit))
                wrong = np.round(
                    np.array(means)[:, None] + shared + noise * rng.normal(size=(repeats, len(means), limit))
                )
                still_in, _ = confirm(OURS, wrong, statistics.looks(limit), resolution=1.0)
                found.append(float((still_in.sum(1) == 1).mean()))
            shares = ", ".join(
                f"{100 * share:.1f}% at {noise:g}" for noise, share in zip(COUNT_NOISE, found, strict=True)
            )
            print(f"limit {limit}: {shares}", flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, the worst cases, or the error rates with counts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--repeats", type=int, default=20_000)
    parser.add_argument(
        "--worst", type=int, metavar="REPEATS", help="instead, search for the problems on which our method errs most"
    )
    parser.add_argument(
        "--counts", type=int, metavar="REPEATS", help="instead, compare two equal accuracies, by noise in examples"
    )
    options = parser.parse_args(arguments)
    if options.worst:
        worst(options.worst)
    elif options.counts:
        counts(options.counts)
    else:
        compare(options.repeats)


if __name__ == "__main__":
    main()

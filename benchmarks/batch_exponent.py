"""How often the interval of the exponent of the batch size holds the true one, and how wide it is.

    python -m benchmarks.batch_exponent [--searches 5] [--transfer] [NAME ...]

Whole searches over two batch sizes, 16 and 64, with 24 and with 60 full trainings; with --transfer, searches of 24 at
one size, 32, that train the winner at 8 and at 128 too. Range tests are taken to be off by a factor of 1.6 (a standard
deviation). The truth is the slope of the best rates over the batch sizes, both as logarithms: known for valleys,
measured with twenty seeds for networks.
"""

import argparse
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # matrices this small are slower on more

import numpy as np

from benchmarks.batch_exponent_problems import KINDS, NETWORKS, Trained, Valley
from pipeline.results import BatchScaling, Space
from pipeline.schedules import SCHEMES
from pipeline.search import Plan, conduct
from pipeline.search.budget import sizes

EXPONENTS = (0.0, 0.5, 1.0)

TOGETHER, ALONE, FURTHER = (16, 64), (32,), (8, 32, 128)
"""Batch sizes that are searched, and where the winner of a search at one size is trained."""

_OFF = 0.2
"""Standard deviation of a range test's suggestion around the best rate, in decades."""

_FIRST = 10_000
"""The number of the first valley, and of the first search."""

HEAD = (
    "| problem | batch sizes | trainings | searches | given, % | interval holds, % | median width | error |\n"
    "| --- | --- | --- | --- | --- | --- | --- | --- |"
)


@dataclass(frozen=True)
class Measured:
    """What one search says of the exponent, and the true one."""

    law: BatchScaling | None
    exponent: float


def measured(problem: Valley | Trained, budget: int, number: int, *, transfer: bool) -> Measured:
    """Search once."""
    own, rng = sizes(budget), np.random.default_rng([number, budget])
    searched = ALONE if transfer else TOGETHER
    plan = Plan(
        spaces=[_space(problem, size, 10 ** (problem.best(size) + _OFF * rng.normal())) for size in searched],
        schemes=tuple(name for name, scheme in SCHEMES.items() if scheme.searchable),
        trials=own.trials,
        epochs=problem.epochs,
        top_k=own.top_k,
        confirm_seeds=own.confirm_seeds,
        seed=100_000 * number,
        batch_transfer=transfer,
    )
    trained = FURTHER if transfer else TOGETHER
    slope = np.polyfit(np.log10(trained), [problem.best(size) for size in trained], 1)[0]
    return Measured(conduct(plan, problem)[0].batch_scaling, float(slope))


def _space(problem: Valley | Trained, size: int, rate: float) -> Space:
    return Space(optimizer=problem.optimizer, batch_size=size, suggested_lr=rate, lr_low=rate / 10, lr_high=rate * 10)


def row(name: str, found: Sequence[Measured], budget: int, *, transfer: bool) -> str:
    """Return a line of the table; the error is the root of the mean square, where an exponent is given."""
    given = [(one.law, one.exponent) for one in found if one.law is not None]
    holds = [law.exponent_low <= exponent <= law.exponent_high for law, exponent in given]
    width = [law.exponent_high - law.exponent_low for law, _ in given]
    error = np.sqrt(np.mean([(law.exponent - exponent) ** 2 for law, exponent in given])) if given else np.nan
    at = "32, then 8 and 128" if transfer else "16 and 64"
    shares = f"{100 * len(given) / len(found):.0f} | {100 * np.mean(holds):.0f}" if given else "0 | -"
    return (
        f"| {name} | {at} | {budget}{' + 12' * transfer} | {len(found)} | {shares} "
        f"| {np.median(width) if given else np.nan:.2f} | {error:.2f} |"
    )


def _problems(name: str, searches: int) -> Iterator[tuple[Valley | Trained, int]]:
    """Yield what each search of this name is about, and its number."""
    network = Trained(name) if name in NETWORKS else None
    for at in range(searches):
        if network is not None:
            yield network, _FIRST + at
        else:
            yield from ((Valley(KINDS[name], exponent, _FIRST + at), _FIRST + at) for exponent in EXPONENTS)


def main(arguments: Sequence[str] | None = None) -> None:
    """Search, and print a table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    names = [*KINDS, *NETWORKS]
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of {', '.join(names)}; default: all")
    parser.add_argument("--searches", type=int, default=5, help="of each network, and of each valley and exponent")
    parser.add_argument("--transfer", action="store_true", help="search at one batch size, and train at two others")
    options = parser.parse_args(arguments)
    if unknown := set(options.names) - set(names):
        parser.error(f"received {', '.join(sorted(unknown))}, expected some of {', '.join(names)}")
    budgets, together = (24,) if options.transfer else (24, 60), dict[tuple[str, int], list[Measured]]()
    print(HEAD)
    for name in options.names or names:
        problems = list(_problems(name, options.searches))
        for budget in budgets:
            found = [measured(problem, budget, number, transfer=options.transfer) for problem, number in problems]
            together.setdefault(("all networks" if name in NETWORKS else "all valleys", budget), []).extend(found)
            print(row(name, found, budget, transfer=options.transfer), flush=True)
    for (name, budget), found in together.items():
        print(row(name, found, budget, transfer=options.transfer))


if __name__ == "__main__":
    main()

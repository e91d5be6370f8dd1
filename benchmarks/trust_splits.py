"""Coverage of intervals and errors of verdicts for fresh splits of the data, with the seeds on one split or on several.

    python -m benchmarks.trust_splits [--count 100] [--seeds 6] [--repeats 2000] [--problems NAME ...]

Article A's network is trained by each of three candidates, on many splits of the same examples with some seeds each. A
candidate's true loss is its mean over all of them: what to expect on a split that nobody has seen. Each repeat draws
seeds and splits as the confirmation does for `splits` of 1, of a few, or of one for each seed, and judges them by its
statistics. Prints the table of part (d) of reports/trust.md; the trainings are kept in a folder.
"""

import argparse
import os
import platform
import tempfile
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # matrices this small are slower on more

import numpy as np
from numpy.typing import NDArray

from benchmarks.trust_regret import PROBLEMS
from benchmarks.trust_regret_network import Network
from pipeline import datasets, statistics
from pipeline.evaluation import Candidate, Evaluation
from pipeline.results import Interval

Losses = NDArray[np.float64]
"""Validation losses (candidates, splits, seeds)."""

NAMES = ("digits", "friedman1", "clusters")
CANDIDATES = (("linear", 0.015), ("cosine", 0.015), ("constant", 0.01))
"""Schemes and initial rates: two that are about equal, and what people use without a search."""


def measured(name: str, folder: Path, count: int, seeds: int) -> Losses:
    """Return the losses of all candidates on the same splits and seeds, trained unless the folder has them."""
    path = folder / f"{name} {count} {seeds}.npy"
    if not path.exists():
        prepared, problem = datasets.split(PROBLEMS[name].load(), seed=0), PROBLEMS[name]
        rows = []
        for number in range(count):
            network = Network(datasets.resplit(prepared, number), problem.batch_size)
            asked = [
                Evaluation(_candidate(scheme, rate, problem.batch_size), problem.epochs, seed)
                for scheme, rate in CANDIDATES
                for seed in range(seeds)
            ]
            rows.append([training.val_loss for _, training in network.ask(asked)])
        np.save(path, np.array(rows).reshape(count, len(CANDIDATES), seeds).swapaxes(0, 1))
    return np.asarray(np.load(path, allow_pickle=False))


def _candidate(scheme: str, rate: float, batch_size: int) -> Candidate:
    return Candidate(scheme=scheme, initial_lr=rate, optimizer="sgd", batch_size=batch_size, params={})


def row(losses: Losses, splits: int, repeats: int) -> str:
    """Return the cells of a table: how often intervals hold the truth, and how often a wrong winner is named."""
    names, (count, seeds), rng = [scheme for scheme, _ in CANDIDATES], losses.shape[1:], np.random.default_rng(splits)
    truth = dict(zip(names, losses.mean(axis=(1, 2)), strict=True))
    first, *others = names
    held = []
    for _ in range(repeats):
        chosen = rng.choice(count, splits, replace=False)[np.arange(seeds) % splits]
        drawn = dict(zip(names, losses[:, chosen, rng.permutation(seeds)], strict=True))
        means = [_holds(statistics.mean_interval(drawn[name]), truth[name]) for name in names]
        differences = [
            _holds(statistics.paired_difference(drawn[name], drawn[first]), truth[name] - truth[first])
            for name in others
        ]
        found = statistics.verdicts(drawn, statistics.looks(seeds)).rows
        winners = [name for name in names if found[name].verdict == "winner"]
        wrong = [name for name in winners if name != min(names, key=truth.__getitem__)]
        held.append((np.mean(means), np.mean(differences), len(winners), len(wrong)))
    return " | ".join(f"{100 * share:.1f}%" for share in np.mean(np.array(held), axis=0))


def _holds(interval: Interval, value: float) -> bool:
    return bool(interval.low - 1e-9 <= value <= interval.high + 1e-9)


def spread(losses: Losses) -> str:
    """Return the standard deviations of the first candidate's log loss between splits, and between seeds on a split."""
    logs = np.log(losses[0])
    within = logs.var(axis=1, ddof=1).mean()
    between = max(logs.mean(axis=1).var(ddof=1) - within / logs.shape[1], 0.0)
    return f"{100 * np.sqrt(between):.1f}% between splits, {100 * np.sqrt(within):.1f}% between seeds"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table and what it rests on."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--problems", nargs="+", choices=list(PROBLEMS), default=list(NAMES))
    parser.add_argument("--count", type=int, default=100, help="splits")
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--repeats", type=int, default=2000)
    kept = Path(tempfile.gettempdir()) / "lr-pipeline-trust-splits"
    parser.add_argument("--folder", type=Path, default=kept, help="keeps the trainings")
    options = parser.parse_args(arguments)
    options.folder.mkdir(parents=True, exist_ok=True)
    print(
        f"Python {platform.python_version()}, NumPy {np.__version__}; {options.count} splits, {options.seeds} seeds\n"
    )
    print("| problem | splits | each mean's interval | each difference's interval | winner named | wrongly |")
    print("| --- | --- | --- | --- | --- | --- |")
    found = {name: measured(name, options.folder, options.count, options.seeds) for name in options.problems}
    for name, losses in found.items():
        for splits in sorted({1, options.seeds // 2, options.seeds}):
            print(f"| {name} | {splits} | {row(losses, splits, options.repeats)} |")
    print()
    for name, losses in found.items():
        means = ", ".join(
            f"{scheme} {rate:g}: {mean:.4f}"
            for (scheme, rate), mean in zip(CANDIDATES, losses.mean((1, 2)), strict=True)
        )
        print(f"{name}: {spread(losses)}; {means}")


if __name__ == "__main__":
    main()
